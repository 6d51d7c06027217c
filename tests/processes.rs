//! People on their way to another process: `unixfdsink` and `unixfdsrc`, which GStreamer has from 1.24 on.
#![cfg(feature = "v1_24")]

mod common;
#[path = "common/played.rs"]
mod played;

use std::{fs, time::Duration};

use common::{command, run_well};
use gst::prelude::*;

#[test]
fn people_reach_another_process_with_their_numbers_and_camera() {
    played::init();
    if gst::ElementFactory::find("unixfdsink").is_none() {
        eprintln!("skipped: {} has no unixfdsink", gst::version_string());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (socket, lines) = (folder.path().join("socket"), folder.path().join("lines"));
    // unixfdsink wants the memory that it offers: the converter writes into it.
    let sender = played::parse(&format!(
        "reidtestsrc is-live=true attach=detections pattern=crowd ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
         ! queue ! reidtrack camera=door motion-only=true ! queue ! videoconvert ! video/x-raw,format=NV12 ! unixfdsink socket-path={}",
        socket.display()
    ));
    sender.set_state(gst::State::Playing).unwrap();
    let mut receiver = command("gst-launch-1.0");
    receiver.arg("-q").arg("unixfdsrc").arg("num-buffers=25");
    receiver.arg(format!("socket-path={}", socket.display()));
    receiver.args(["!", "queue", "!", "reidpublish"]);
    receiver.arg(format!("location={}", lines.display()));
    receiver.args(["!", "fakesink"]);
    run_well(receiver, Duration::from_secs(60));
    sender.set_state(gst::State::Null).unwrap();
    let mut numbered = 0;
    for line in fs::read_to_string(lines).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for object in line["objects"].as_array().unwrap() {
            if object["id"].is_u64() {
                assert_eq!(object["reid"]["camera"], "door", "{line}");
                numbered += 1;
            }
        }
    }
    assert!(numbered > 25, "{numbered}");
}
