//! `yolodetect`: detects people (or other classes) with an ONNX detector and attaches their boxes.
//!
//! The picture passes unchanged. Each frame with inference gets a [`crate::media::PeopleMeta`] and its copy as regions of interest,
//! also when nobody is there. Frames without inference (`inference-interval`) get neither, so that the elements behind can tell the
//! two apart.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! queue ! yolodetect ! queue ! reidoverlay ! videoconvert ! autovideosink
//! ```
//!
//! # Models
//! The output layout and the input's size, colour order and normalisation are derived from the model's shapes and metadata
//! ([`crate::inference::model_spec`]). A `.toml` file beside the model overrides them ([`crate::inference::sidecar`]). If the shapes are
//! ambiguous, the start fails with an error that names the property `layout`.
//!
//! # Messages
//! Besides errors, the element posts a warning, once each, when nothing ever passes `threshold` (with the best score seen; at the end
//! of a stream that is shorter than 250 frames), when every box lies outside the picture, when all scores are zero, and when the model
//! gives NaN or scores above 1. Boxes as fractions of the picture are recognised.
//!
//! # Statistics
//! The property `stats` is a structure with `frames`, `inferences`, `detections`, `not-finite`, `implausible` (uint64, since the
//! start), `last-best-score` (double, of the wanted classes in the last frame with inference), `preprocess-ms`, `inference-ms` and
//! `decode-ms` (double, means).

use gst::prelude::*;

use crate::core::yolo::Layout;

mod imp;
mod rotation;
mod settings;
mod worker;

glib::wrapper! {
    /// The detector.
    pub struct YoloDetect(ObjectSubclass<imp::YoloDetect>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// The property `layout`: layout of the model's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstYoloDetectLayout")]
#[repr(i32)]
pub enum DetectLayout {
    /// From shapes and metadata.
    #[default]
    #[enum_value(
        name = "Auto: from shapes and metadata; an error if ambiguous",
        nick = "auto"
    )]
    Auto,
    /// [`Layout::Yolov8`].
    #[enum_value(name = "YOLOv8, v9, 11, 12: [1,4+C,N]", nick = "yolov8")]
    Yolov8,
    /// [`Layout::Yolov8Transposed`].
    #[enum_value(name = "YOLOv8, transposed: [1,N,4+C]", nick = "yolov8-transposed")]
    Yolov8Transposed,
    /// [`Layout::Yolov5`].
    #[enum_value(name = "YOLOv5, v7, decoded YOLOX: [1,N,5+C]", nick = "yolov5")]
    Yolov5,
    /// [`Layout::EndToEnd`].
    #[enum_value(
        name = "End to end, as YOLOv10 and YOLO26: [1,N,6] = x0,y0,x1,y1,score,class",
        nick = "end-to-end"
    )]
    EndToEnd,
    /// [`Layout::Yolox`].
    #[enum_value(name = "YOLOX raw grid: [1,N,5+C]", nick = "yolox")]
    Yolox,
    /// [`Layout::EmbeddedNms`].
    #[enum_value(
        name = "Built-in NMS, as YOLOv7: [N,7] = picture,x0,y0,x1,y1,class,score",
        nick = "embedded-nms"
    )]
    EmbeddedNms,
    /// [`Layout::Detr`].
    #[enum_value(
        name = "DETR family (RT-DETR, D-FINE, DEIM): labels, boxes, scores",
        nick = "detr"
    )]
    Detr,
    /// [`Layout::Mmdeploy`].
    #[enum_value(
        name = "MMDeploy (RTMDet): dets [1,N,5] and labels [1,N]",
        nick = "mmdeploy"
    )]
    Mmdeploy,
    /// [`Layout::Nanodet`].
    #[enum_value(
        name = "NanoDet: classes and distances for strides 8, 16, 32",
        nick = "nanodet"
    )]
    Nanodet,
    /// [`Layout::Fastestdet`].
    #[enum_value(name = "FastestDet: one grid [1,5+C,h,w]", nick = "fastestdet")]
    Fastestdet,
}

impl From<DetectLayout> for Option<Layout> {
    fn from(layout: DetectLayout) -> Self {
        Some(match layout {
            DetectLayout::Auto => return None,
            DetectLayout::Yolov8 => Layout::Yolov8,
            DetectLayout::Yolov8Transposed => Layout::Yolov8Transposed,
            DetectLayout::Yolov5 => Layout::Yolov5,
            DetectLayout::EndToEnd => Layout::EndToEnd,
            DetectLayout::Yolox => Layout::Yolox,
            DetectLayout::EmbeddedNms => Layout::EmbeddedNms,
            DetectLayout::Detr => Layout::Detr,
            DetectLayout::Mmdeploy => Layout::Mmdeploy,
            DetectLayout::Nanodet => Layout::Nanodet,
            DetectLayout::Fastestdet => Layout::Fastestdet,
        })
    }
}

/// Registers `yolodetect`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    DetectLayout::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "yolodetect",
        gst::Rank::NONE,
        YoloDetect::static_type(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_has_every_layout_under_its_own_name() {
        let class = glib::EnumClass::new::<DetectLayout>();
        let nicks: Vec<&str> = class.values().iter().map(|v| v.nick()).collect();
        let names: Vec<&str> = Layout::ALL.iter().map(|l| l.name()).collect();
        assert_eq!(nicks[0], "auto");
        assert_eq!(nicks[1..], names);
    }
}
