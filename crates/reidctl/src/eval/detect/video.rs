//! Frames of a clip, decoded by GStreamer and seen in the format in which the elements would get them.

use std::{error::Error, path::Path};

use gst::prelude::*;
use gstreid::{
    core::image::ImageView,
    media::{MappedFrame, caps},
};

/// How long the decoder may take for a frame.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Stops the pipeline whatever happens.
struct Playing(gst::Pipeline);

impl Drop for Playing {
    fn drop(&mut self) {
        // Nothing is left to do about a pipeline that does not stop.
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Calls `each` with every frame and its number, from 1.
pub fn frames(
    clip: &Path,
    mut each: impl FnMut(u32, &ImageView<'_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let describe =
        |error: &dyn std::fmt::Display| format!("{} cannot be played: {error}", clip.display());
    let pipeline = gst::parse::launch(
        "filesrc name=file ! decodebin ! videoconvert ! appsink name=frames sync=false max-buffers=2",
    )?
    .downcast::<gst::Pipeline>()
    .map_err(|_| describe(&"no pipeline was made"))?;
    let by_name = |name: &str| {
        pipeline
            .by_name(name)
            .ok_or_else(|| describe(&"an element is missing"))
    };
    by_name("file")?.set_property("location", clip);
    let sink = by_name("frames")?;
    sink.set_property("caps", caps::template());
    let playing = Playing(pipeline);
    playing
        .0
        .set_state(gst::State::Playing)
        .map_err(|error| describe(&error))?;
    let mut number = 0;
    loop {
        let sample =
            sink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&PATIENCE.nseconds()]);
        let Some(sample) = sample else {
            break;
        };
        number += 1;
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
            return Err(describe(&"a frame is empty").into());
        };
        let info = gst_video::VideoInfo::from_caps(caps)?;
        let frame = MappedFrame::readable(buffer, &info)?;
        each(number, &frame.view()?)?;
    }
    if let Some(error) = error_of(&playing.0) {
        return Err(describe(&error).into());
    }
    if !sink.property::<bool>("eos") {
        return Err(describe(&format!("no frame for {} s", PATIENCE.seconds())).into());
    }
    if number == 0 {
        return Err(describe(&"it holds no frame").into());
    }
    Ok(())
}

/// What went wrong, as the elements said it.
fn error_of(pipeline: &gst::Pipeline) -> Option<String> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(error.error().to_string()),
        _ => None,
    }
}
