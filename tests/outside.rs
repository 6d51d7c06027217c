//! What we write, read by programs that are not ours: MOT lines by TrackEval, MP4 by `gst-discoverer-1.0`. JSON is read by its schema
//! (`publish`), MQTT by mosquitto's client (`mqtt`), ONVIF by upstream's parser (`analytics`).

mod common;
#[path = "common/played.rs"]
mod played;

use std::{
    fs,
    process::{Command, Stdio},
};

use gstreid::elements::reidtestsrc::truth;

/// A Python that has TrackEval: `GST_REID_TRACKEVAL_PYTHON`, else the system's. Where neither has, it is said.
fn python_with_trackeval() -> Option<String> {
    let python = std::env::var("GST_REID_TRACKEVAL_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python)
        .args(["-c", "import trackeval"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!(
        "skipped: {python} has no trackeval (pip install trackeval==1.3.0; GST_REID_TRACKEVAL_PYTHON names another Python)"
    );
    None
}

const FRAMES: usize = 100;

#[test]
fn trackeval_reads_and_scores_mot_lines() {
    let Some(python) = python_with_trackeval() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let pipeline = played::parse(&format!(
        "reidtestsrc name=source attach=detections pattern=crossing people=4 num-buffers={FRAMES} \
         ! video/x-raw,width=320,height=240,framerate=25/1 ! reidtrack motion-only=true \
         ! reidpublish format=mot location={} ! fakesink",
        place("result.txt")
    ));
    let truths = played::collect(&pipeline, "source", truth::read);
    assert_eq!(played::play(&pipeline).error, None);
    let mut lines = String::new();
    for (i, people) in truths.lock().unwrap().iter().enumerate() {
        for person in people {
            let (frame, id, rect) = (i + 1, person.id, person.rect);
            lines += &format!(
                "{frame},{id},{},{},{},{},1,1,1\n",
                rect.x, rect.y, rect.w, rect.h
            );
        }
    }
    fs::write(place("truth.txt"), lines).unwrap();
    let output = Command::new(python)
        .arg(common::root().join("tests/reference/mot_lines.py"))
        .args([place("truth.txt"), place("result.txt"), FRAMES.to_string()])
        .output()
        .unwrap();
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let last = text.lines().last().unwrap_or_default();
    let scores: serde_json::Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    let written = fs::read_to_string(place("result.txt"))
        .unwrap()
        .lines()
        .count();
    let number = |name: &str| scores[name].as_f64().unwrap();
    assert!(written > 200, "{written}");
    assert!(number("IDF1") > 0.8 && number("MOTA") > 0.7, "{scores}");
}

#[test]
fn the_discoverer_reads_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("annotated.mp4");
    let mut script = common::command("bash");
    script
        .arg(common::root().join("pipelines/record.sh"))
        .arg("")
        .arg(&video)
        .arg(folder.path().join("people.jsonl"));
    let done = script.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let tool = Command::new("gst-discoverer-1.0").arg(&video).output();
    let Ok(found) = tool else {
        eprintln!("skipped: gst-discoverer-1.0 is not installed (gstreamer1.0-plugins-base-apps)");
        return;
    };
    let text = String::from_utf8_lossy(&found.stdout);
    let is_video = text.contains("Quicktime") && text.contains("H.264");
    assert!(found.status.success() && is_video, "{text}");
    assert!(text.contains("Seekable: yes"), "{text}");
    assert!(!text.contains("Duration: 0:00:00.000000000"), "{text}");
}
