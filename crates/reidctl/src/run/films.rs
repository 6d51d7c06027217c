//! Recordings that play even when their end is never written.

use std::{fs, path::Path};

use gst::prelude::*;

/// An MP4 file of this size, bytes, has a head and no picture.
const HEAD_ONLY: u64 = 100;

/// A recording that is cut off by a crash, a kill or a power cut loses at most this much, ms.
const FRAGMENT_MS: u32 = 1_000;

/// Makes the pipeline's MP4 files playable while they grow: in fragments, which become one ordinary file at its end.
pub fn write_in_fragments(pipeline: &gst::Pipeline) {
    let elements = pipeline.iterate_recurse().into_iter().flatten();
    for muxer in elements.filter(|e| e.factory().is_some_and(|f| f.name() == "mp4mux")) {
        muxer.set_property("fragment-duration", FRAGMENT_MS);
        muxer.set_property_from_str("fragment-mode", "first-moov-then-finalise");
    }
}

/// Removes the files of a recording whose names begin with `stem` and that hold no picture: a stream that ends in the moment in which
/// the next file was opened leaves one. A folder that cannot be read is left as it is.
pub fn remove_empty(folder: &Path, stem: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
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
        remove_empty(folder.path(), "door-1-");
        remove_empty(&folder.path().join("none"), "door-1-");
        let stay = all.map(|(name, _)| folder.path().join(name).exists());
        assert_eq!(stay, [true, false, true, true]);
    }
}
