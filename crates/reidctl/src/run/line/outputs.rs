//! Where a camera's pictures go: files, the mosaic, the page.

use std::path::Path;

use super::*;

impl Line {
    pub(super) fn h264(&mut self) {
        self.pad("videoconvert");
        self.pad("x264enc");
        self.plain([
            "tune=zerolatency",
            "speed-preset=veryfast",
            "key-int-max=50",
        ]);
        self.pad("h264parse");
    }

    /// Video files, whose names begin with `stem`.
    pub(super) fn files(&mut self, segments: Segments, stem: &str, container: Container) {
        self.pad("splitmuxsink");
        let ending = match container {
            Container::Mp4 => "mp4",
            Container::Matroska => {
                self.set("muxer-factory", "matroskamux");
                "mkv"
            }
        };
        // The sink fills in the number of the file where the percent sign stands.
        let folder = segments.folder.display().to_string().replace('%', "%%");
        let file = Path::new(&folder).join(format!("{stem}-%05d.{ending}"));
        self.set("location", file.display());
        self.set("max-size-time", u64::from(segments.seconds) * 1_000_000_000);
        self.set("max-size-bytes", u64::from(segments.megabytes) * 1_000_000);
        self.set("max-files", segments.max_files);
        if container == Container::Mp4 && segments.seconds > 0 && segments.megabytes == 0 {
            // The encoder here gives a key frame when one is wanted.
            self.set("send-keyframe-requests", true);
        }
    }

    /// The camera's part of the mosaic.
    pub(super) fn tile(&mut self, mosaic: &Mosaic, options: &Options) {
        self.plain(["all.", "!", "queue"]);
        self.set("name", TILE_QUEUE);
        self.plain(FRESH);
        self.pad("videoconvertscale");
        self.pad(&format!(
            "video/x-raw,format=I420,width={},height={},pixel-aspect-ratio=1/1,colorimetry=bt601",
            mosaic.tile_width, mosaic.tile_height
        ));
        self.overlay(options);
        self.pad("fakesink");
        self.set("name", TILE);
        self.plain(["sync=false", "async=false"]);
    }

    /// Where the pictures of the mosaic come in.
    pub(super) fn wall(&mut self, mosaic: &Mosaic, cameras: usize) {
        let [columns, rows] = mosaic.grid(cameras);
        self.pad("appsrc");
        self.set("name", WALL);
        // A sink that is slow misses pictures, not memory.
        self.plain([
            "is-live=true",
            "do-timestamp=true",
            "format=time",
            "max-buffers=4",
            "leaky-type=downstream",
        ]);
        let caps = format!(
            "video/x-raw,format=I420,width={},height={},framerate={}/1,pixel-aspect-ratio=1/1,colorimetry=bt601,interlace-mode=progressive",
            columns * mosaic.tile_width as usize,
            rows * mosaic.tile_height as usize,
            mosaic.rate
        );
        self.set("caps", caps);
        self.pad("queue");
        self.plain(FRESH);
    }

    pub(super) fn page(&mut self, options: &Options) {
        self.plain(["all.", "!", "valve"]);
        self.set("name", LOOK);
        self.plain(["drop=true", "drop-mode=forward-sticky-events"]);
        self.pad("queue");
        self.set("name", LOOK_QUEUE);
        self.plain(FRESH);
        self.pad("videoconvertscale");
        self.pad(&format!(
            "video/x-raw,width={PAGE_WIDTH},pixel-aspect-ratio=1/1"
        ));
        self.overlay(options);
        self.pad("videoconvert");
        self.pad("jpegenc");
        self.set("quality", PAGE_QUALITY);
        self.pad("fakesink");
        self.set("name", EYE);
        self.plain(["sync=false", "async=false"]);
    }
}
