//! The ground truth of a picture of `reidtestsrc`: a region of interest of its own type, which no element of this plugin takes for
//! a detection and which is never published.

use gst_video::VideoRegionOfInterestMeta;

use crate::{
    core::{geometry::Rect, person::Person, testscene::Truth},
    media::{
        self, FrameSize, TRUTH_ROI_TYPE,
        roi::{self, Origin},
    },
};

/// Name of the parameter that carries number and visibility.
const PARAM: &str = "truth";
/// Boxes of people of whom less is seen are not attached as detections: a detector would miss them.
const DETECTABLE: f32 = 0.3;

/// Attaches where a person really is. The region's own number is the person's.
pub fn attach(buffer: &mut gst::BufferRef, truth: &Truth) {
    let Rect { x, y, w, h } = truth.rect;
    let rect = (x as u32, y as u32, w as u32, h as u32);
    let id = i32::try_from(truth.id).unwrap_or(i32::MAX);
    let mut meta = VideoRegionOfInterestMeta::add(buffer, TRUTH_ROI_TYPE, rect);
    meta.set_id(id);
    meta.add_param(
        gst::Structure::builder(PARAM)
            .field("id", id)
            .field("visibility", f64::from(truth.visibility))
            .build(),
    );
}

/// Attaches those who can be seen well enough as if a detector had found them.
pub(super) fn attach_detections(buffer: &mut gst::BufferRef, frame: FrameSize, truths: &[Truth]) {
    let people = truths
        .iter()
        .filter(|truth| truth.visibility >= DETECTABLE)
        .map(|truth| Person::detected(truth.rect, 1.0, "person".into(), 0))
        .collect();
    let origin = Origin {
        detector: Some("reidtestsrc".into()),
        ..Origin::default()
    };
    media::write_people(buffer, frame, people, &origin);
}

/// Everybody who really is in the picture. A converter of GStreamer 1.22 loses the parameters: then the number comes
/// from the region and the visibility counts as full.
pub fn read(buffer: &gst::BufferRef) -> Vec<Truth> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .filter(|meta| roi::class_of(meta) == TRUTH_ROI_TYPE)
        .map(|meta| {
            let (x, y, w, h) = meta.rect();
            let param = meta.param(PARAM);
            let id = param
                .and_then(|p| p.get::<i32>("id").ok())
                .unwrap_or(meta.id());
            let visibility = param.and_then(|p| p.get::<f64>("visibility").ok());
            Truth {
                id: u32::try_from(id).unwrap_or(0),
                rect: Rect::new(x as f32, y as f32, w as f32, h as f32),
                visibility: visibility.unwrap_or(1.0) as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::read_people;

    #[test]
    fn what_is_attached_is_read_back_and_is_no_detection() {
        gst::init().unwrap();
        let truth = Truth {
            id: 3,
            rect: Rect::new(4.0, 5.0, 60.0, 70.0),
            visibility: 0.25,
        };
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        attach(buffer, &truth);
        assert_eq!(read(buffer), [truth]);
        assert!(
            read_people(
                buffer,
                FrameSize {
                    width: 100,
                    height: 100
                }
            )
            .is_none()
        );
    }
}
