//! What the cameras of a measurement show.

use std::{error::Error, fmt, path::PathBuf, sync::Arc};

use gst::prelude::*;

/// Frames of a made-up scene; shown forwards, again and again.
const FRAMES: u32 = 100;
/// Frames of the world that pass before, so that people are in view.
const SKIPPED: usize = 50;

/// What the cameras show.
pub enum Source {
    /// A recording.
    Clip(PathBuf),
    /// Pictures in memory.
    Scene(Scene),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clip(path) => write!(
                f,
                "{}",
                path.file_name().unwrap_or_default().to_string_lossy()
            ),
            Self::Scene(scene) => write!(
                f,
                "made-up scene {}x{}, {} people",
                scene.width, scene.height, scene.people
            ),
        }
    }
}

/// The made-up scene of `reidtestsrc`, drawn beforehand: drawing costs more than looking.
pub struct Scene {
    pub width: u32,
    pub height: u32,
    people: u32,
    pub frames: Arc<[gst::Buffer]>,
}

impl Scene {
    /// Draws it.
    pub fn draw(width: u32, height: u32, people: u32) -> Result<Self, Box<dyn Error>> {
        let line = format!(
            "reidtestsrc pattern=crowd people={people} attach=none num-buffers={} ! video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! fakesink name=end sync=false signal-handoffs=true",
            FRAMES as usize + SKIPPED
        );
        let pipeline = gst::parse::launch(&line)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| "no pipeline")?;
        let frames = crate::bench::measure::collect(&pipeline, "end")?;
        Ok(Self {
            width,
            height,
            people,
            frames: frames.into_iter().skip(SKIPPED).collect(),
        })
    }
}

/// Reads `640x360`.
pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let size = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    size.filter(|(width, height)| (16..=8192).contains(width) && (16..=8192).contains(height))
        .ok_or_else(|| format!("'{text}' is no size such as 640x360, 16 to 8192 pixels a side"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("1920x1080"), Ok((1920, 1080)));
        for bad in ["", "640", "640x", "8x8", "x360", "640x360x2", "9999x100"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
