//! Regions of interest that are there, and what the mirror makes of them.

use super::*;
use crate::{
    core::person::{Identity, IdentityId, IdentityState},
    media,
};

const FRAME: FrameSize = FrameSize {
    width: 640,
    height: 480,
};

fn person(x: f32) -> Person {
    Person::detected(Rect::new(x, 20.25, 50.0, 100.5), 0.75, "person".into(), 0)
}

fn identified(x: f32, id: u32) -> Person {
    let identity = Identity {
        id: IdentityId(id),
        state: IdentityState::Matched,
        score: 0.5,
        margin: 0.25,
        evidence: None,
        previous: [].into(),
        name: None,
    };
    Person {
        identity: Some(identity),
        ..person(x)
    }
}

fn regions(buffer: &gst::BufferRef) -> Vec<(String, Vec<String>)> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|m| {
            (
                m.roi_type().to_string(),
                m.params().map(|p| p.name().to_string()).collect(),
            )
        })
        .collect()
}

#[test]
fn what_is_written_is_read_back() {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.make_mut();
    assert!(media::read_people(buffer, FRAME).is_none());
    mirror(buffer, FRAME, &[person(10.0)], None, &Origin::default());
    let read = read_detections(buffer, FRAME).unwrap();
    assert_eq!(read.len(), 1);
    assert!((read[0].rect.y - 20.25).abs() < 1e-3 && (read[0].confidence - 0.75).abs() < 1e-6);
}

#[test]
fn a_second_writer_completes_the_region_and_keeps_foreign_parameters() {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.make_mut();
    mirror(
        buffer,
        FRAME,
        &[person(10.0)],
        None,
        &Origin {
            detector: Some("yolo".into()),
            ..Origin::default()
        },
    );
    for mut meta in buffer.iter_meta_mut::<VideoRegionOfInterestMeta>() {
        meta.add_param(gst::Structure::new_empty("classification"));
    }
    VideoRegionOfInterestMeta::add(buffer, "face", (0, 0, 5, 5));
    for _ in 0..2 {
        mirror(
            buffer,
            FRAME,
            &[identified(10.0, 7)],
            None,
            &Origin {
                camera: Some("door".into()),
                ..Origin::default()
            },
        );
    }
    let mut regions = regions(buffer);
    regions.sort();
    assert_eq!(regions[0].0, "face");
    assert_eq!(
        regions[1].1,
        ["detection", "classification", "object_id", "reid"]
    );
    assert_eq!(regions.len(), 2);
    let roi = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .find(|m| m.roi_type() == "person")
        .unwrap();
    let reid = roi.param(REID).unwrap();
    assert_eq!(reid.get::<i32>("global_id"), Ok(7));
    assert_eq!(reid.get::<String>("camera"), Ok("door".into()));
    assert_eq!(reid.get::<String>("label"), Ok("P7".into()));
    assert_eq!(
        roi.param(DETECTION).unwrap().get::<String>("model_name"),
        Ok("yolo".into())
    );
}

#[test]
fn numbers_never_run_out() {
    for (used, expected) in [
        (&[][..], 1),
        (&[0, -5], 1),
        (&[1, 7], 8),
        (&[1, 2, i32::MAX], 3),
    ] {
        assert_eq!(free_number(&used.iter().copied().collect()), expected);
    }
}

#[test]
fn boxes_outside_the_frame_have_no_region_and_the_truth_is_no_detection() {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.make_mut();
    mirror(
        buffer,
        FRAME,
        &[person(1000.0), person(f32::NAN)],
        None,
        &Origin::default(),
    );
    assert!(read_detections(buffer, FRAME).is_none());
    VideoRegionOfInterestMeta::add(buffer, TRUTH_ROI_TYPE, (0, 0, 5, 5));
    assert!(read_detections(buffer, FRAME).is_none());
}

#[test]
fn a_region_that_names_no_class_is_read_and_completed() {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.make_mut();
    // SAFETY: the buffer is writable; quark 0 is what a C program's empty class is.
    unsafe {
        gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(
            buffer.as_mut_ptr(),
            0,
            10,
            20,
            50,
            100,
        );
    }
    let people = read_detections(buffer, FRAME).unwrap();
    assert_eq!(&*people[0].label, "");
    mirror(buffer, FRAME, &people, None, &Origin::default());
    assert_eq!(
        regions(buffer),
        [(String::new(), vec!["detection".to_owned()])]
    );
}

#[test]
fn a_region_follows_the_box_of_its_person_and_an_outdated_one_goes() {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.make_mut();
    let found = [person(10.0), person(200.0)];
    media::write_people(buffer, FRAME, found.to_vec(), &Origin::default());
    for mut meta in buffer.iter_meta_mut::<VideoRegionOfInterestMeta>() {
        meta.add_param(gst::Structure::new_empty("classification"));
    }
    let before = found.map(|person| person.rect);
    let moved = vec![
        identified(16.0, 7),
        identified(190.0, 8),
        identified(400.0, 9),
    ];
    media::rewrite_people(buffer, FRAME, moved, &before, &Origin::default());
    let all: Vec<_> = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|meta| {
            let has_param = meta.param("classification").is_some();
            (meta.rect().0, meta.id(), has_param)
        })
        .collect();
    assert_eq!(all, [(16, 1, true), (190, 2, true), (400, 3, false)]);
    // Another detector's list takes the place of this one; what others wrote stays.
    media::write_people(buffer, FRAME, vec![person(300.0)], &Origin::default());
    let mut left: Vec<_> = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|meta| meta.rect().0)
        .collect();
    left.sort_unstable();
    assert_eq!(left, [16, 190, 300]);
}

#[test]
fn embeddings_are_written_only_on_request() {
    gst::init().unwrap();
    let mut described = person(10.0);
    let model = crate::core::embedding::ModelFingerprint(0xab);
    described.embedding =
        Some(crate::core::embedding::Embedding::normalised(&[3.0, 4.0], model).unwrap());
    for embeddings in [false, true, true, false] {
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        let origin = Origin {
            embeddings,
            ..Origin::default()
        };
        for _ in 0..2 {
            mirror(
                buffer,
                FRAME,
                std::slice::from_ref(&described),
                None,
                &origin,
            );
        }
        let meta = buffer.meta::<VideoRegionOfInterestMeta>().unwrap();
        let tensors: Vec<_> = meta.params().filter(|p| p.name() == "embedding").collect();
        assert_eq!(tensors.len(), usize::from(embeddings));
        for tensor in tensors {
            let data = tensor.get::<glib::Variant>("data_buffer").unwrap();
            let expected: Vec<u8> = [0.6_f32, 0.8]
                .iter()
                .flat_map(|v| v.to_ne_bytes())
                .collect();
            assert_eq!(data.fixed_array::<u8>().unwrap(), expected);
            assert_eq!(tensor.get::<String>("model").unwrap(), "00000000000000ab");
        }
    }
}
