//! Recordings that play even when their end is never written.

use std::{fs, path::Path};

use gst::prelude::*;

/// An MP4 file of this size, bytes, has a head and no picture.
const HEAD_ONLY: u64 = 100;

/// A recording that is cut off by a crash, a kill or a power cut loses at most this much, ms.
const FRAGMENT_MS: u32 = 1_000;

/// Makes the pipeline's MP4 files playable while they grow: in fragments, which become one ordinary file at its end.
pub fn write_in_fragments(pipeline: &gst::Pipeline) {
    for muxer in elements(pipeline, "mp4mux") {
        muxer.set_property("fragment-duration", FRAGMENT_MS);
        muxer.set_property_from_str("fragment-mode", "first-moov-then-finalise");
    }
}

/// Removes the MP4 files that the ended pipeline wrote and that hold no picture: a stream that ends in the moment in which the next
/// file was opened leaves one. A folder that cannot be read is left as it is.
pub fn remove_empty(pipeline: &gst::Pipeline) {
    for sink in elements(pipeline, "splitmuxsink") {
        if let Some(pattern) = sink.property::<Option<String>>("location") {
            remove_empty_like(Path::new(&pattern));
        }
    }
}

/// The pipeline's elements of a factory, those in bins as well.
fn elements(pipeline: &gst::Pipeline, factory: &str) -> impl Iterator<Item = gst::Element> {
    let all = pipeline.iterate_recurse().into_iter().flatten();
    all.filter(move |e| e.factory().is_some_and(|f| f.name() == factory))
}

/// `pattern` is `folder/name-%05d.mp4`.
fn remove_empty_like(pattern: &Path) {
    let name = pattern.file_name().and_then(|name| name.to_str());
    let stem = name.and_then(|name| Some(name.split_once('%')?.0));
    let (Some(folder), Some(stem)) = (pattern.parent(), stem) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_own = name
            .to_str()
            .is_some_and(|name| name.starts_with(stem) && name.ends_with(".mp4"));
        if is_own && entry.metadata().is_ok_and(|about| about.len() < HEAD_ONLY) {
            // What stays is a file that does not play.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_files_without_a_picture_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            ("door-1-00000.mp4", 2000),
            ("door-1-00001.mp4", 48),
            ("hall-1-00001.mp4", 48),
            ("door-1.jsonl", 0),
        ];
        for (name, size) in all {
            fs::write(folder.path().join(name), vec![0; size]).unwrap();
        }
        remove_empty_like(&folder.path().join("door-1-%05d.mp4"));
        remove_empty_like(&folder.path().join("none/door-1-%05d.mp4"));
        let stay = all.map(|(name, _)| folder.path().join(name).exists());
        assert_eq!(stay, [true, false, true, true]);
    }
}
