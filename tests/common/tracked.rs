//! People put before `reidtrack`, without a detector.
#![allow(dead_code)] // each test program uses a part

use gst::prelude::*;
use gstreid::{
    core::{
        embedding::{Embedding, ModelFingerprint},
        geometry::Rect,
        person::Person,
    },
    media::{self, FrameSize, PeopleMeta, roi::Origin},
};

/// Size of every picture.
pub const SIZE: FrameSize = FrameSize {
    width: 640,
    height: 480,
};
pub const FRAME_MS: u64 = 40;

/// The elements, registered once.
pub fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
}

/// A vector that is this person's own.
pub fn looks(person: usize) -> Embedding {
    let mut raw = vec![0.2; 32];
    raw[person % 32] = 2.0;
    raw[(person * 7 + 3) % 32] += 1.0;
    Embedding::normalised(&raw, ModelFingerprint(5)).unwrap()
}

/// A detection of `person`, standing in their own place.
pub fn person(person: usize, described: bool) -> Person {
    let rect = Rect::new(20.0 + 90.0 * person as f32, 100.0, 60.0, 150.0);
    let mut found = Person::detected(rect, 0.9, "person".into(), 0);
    found.embedding = described.then(|| looks(person));
    found
}

/// A camera with a tracker behind it.
pub struct Camera {
    pub harness: gst_check::Harness,
    pub frames: u64,
}

impl Camera {
    pub fn new(launch: &str) -> Self {
        init();
        let mut harness = gst_check::Harness::new_parse(launch);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=640,height=480,framerate=25/1");
        Self { harness, frames: 0 }
    }

    pub fn element(&self) -> gst::Element {
        let bin = self.harness.element().unwrap();
        match bin.downcast_ref::<gst::Bin>() {
            Some(bin) => bin.children().into_iter().next().unwrap(),
            None => bin,
        }
    }

    pub fn buffer(&mut self, people: Option<Vec<Person>>) -> gst::Buffer {
        let mut buffer = gst::Buffer::with_size(640 * 480).unwrap();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(gst::ClockTime::from_mseconds(self.frames * FRAME_MS));
        self.frames += 1;
        if let Some(people) = people {
            media::write_people(writable, SIZE, people, &Origin::default());
        }
        buffer
    }

    /// One frame; the people that come out.
    pub fn frame(&mut self, people: Option<Vec<Person>>) -> Vec<Person> {
        let buffer = self.buffer(people);
        let out = self.harness.push_and_pull(buffer).unwrap();
        out.meta::<PeopleMeta>()
            .map_or(Vec::new(), |meta| meta.people().to_vec())
    }

    /// `count` frames of the same people; those of the last.
    pub fn frames(&mut self, count: usize, who: &[usize], described: bool) -> Vec<Person> {
        let mut last = Vec::new();
        for _ in 0..count {
            last = self.frame(Some(who.iter().map(|&p| person(p, described)).collect()));
        }
        last
    }
}

pub fn ids(people: &[Person]) -> Vec<u32> {
    people
        .iter()
        .map(|p| p.identity.as_ref().map_or(0, |i| i.id.0))
        .collect()
}
