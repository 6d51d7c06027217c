//! A camera as a launch line: the arguments of `gst-launch-1.0`, and the same without passwords.

mod outputs;

use super::{
    check::file_stem,
    config::{Config, Models, Mosaic, Options, Publish, Segments},
    secrets::masked,
    source::{AtEnd, Source, TestSource, Transport},
};

/// The tracker, whose output is counted.
pub const TRACK: &str = "track";
/// What lets pictures through to the page while somebody looks.
pub const LOOK: &str = "look";
/// Where the page's pictures wait.
pub const LOOK_QUEUE: &str = "look-queue";
/// Where the page's pictures end.
pub const EYE: &str = "eye";
/// Where the mosaic's pictures wait.
pub const TILE_QUEUE: &str = "tile-queue";
/// Where the mosaic's pictures end.
pub const TILE: &str = "tile";
/// Where the mosaic's own line begins.
pub const WALL: &str = "wall";
/// The stream as the source encoded it.
const ENCODED: &str = "encoded";
/// Encoded video that Matroska can hold: sound, subtitles and raw pictures are left out.
const ENCODED_VIDEO: &str = "video/x-h264;video/x-h265;video/x-vp8;video/x-vp9;video/x-av1;\
video/mpeg,systemstream=false;image/jpeg";
/// Width of the page's pictures, px.
const PAGE_WIDTH: u32 = 480;
/// Pictures a second on the page.
pub const PAGE_RATE: u32 = 5;
/// Quality of the page's JPEG pictures, 0 to 100.
const PAGE_QUALITY: u32 = 75;
/// Newest frame only: what is late is dropped instead of delaying what follows.
const FRESH: [&str; 4] = [
    "leaky=downstream",
    "max-size-buffers=2",
    "max-size-bytes=0",
    "max-size-time=0",
];

/// A launch line, word by word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq)]
struct Word {
    text: String,
    /// In place of a text that holds a secret.
    shown: Option<String>,
}

/// What every camera's line takes from the file.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    pub config: &'a Config,
    pub name: &'a str,
    pub source: &'a Source,
    pub options: &'a Options,
    /// Part of the names of files, so that a restart overwrites none.
    pub stamp: &'a str,
    /// Whether there is a page.
    pub has_page: bool,
    /// The mosaic, if one is shown or recorded.
    pub mosaic: Option<&'a Mosaic>,
}

impl Plan<'_> {
    /// The camera's line.
    pub fn line(&self) -> Line {
        let mut line = Line::default();
        let record = self.options.record.as_ref();
        line.source(self.source, record.is_some_and(|r| r.what.is_received()));
        line.pad("queue");
        if self.source.is_live() {
            line.plain(FRESH);
        }
        line.recognise(self);
        if let Some(publish) = &self.options.publish {
            line.publish(publish, self);
        }
        let encoded = record.filter(|record| record.what.is_encoded());
        if encoded.is_some() || self.has_page || self.mosaic.is_some() {
            line.pad("tee");
            line.plain(["name=all"]);
            line.pad("queue");
        }
        line.pad("fakesink");
        let is_paced = !self.source.is_live();
        line.set("sync", if is_paced { "true" } else { "false" });
        if let Some(record) = record.filter(|record| record.what.is_received()) {
            line.plain(["encoded.", "!", "queue"]);
            line.files(
                record.segments(),
                &self.stem("-received"),
                Container::Matroska,
            );
        }
        if let Some(record) = encoded {
            line.plain(["all.", "!", "queue"]);
            if record.what.is_annotated() {
                line.overlay(self.options);
            }
            line.h264();
            line.files(record.segments(), &self.stem(""), Container::Mp4);
        }
        if self.has_page {
            line.page(self.options);
        }
        if let Some(mosaic) = self.mosaic {
            line.tile(mosaic, self.options);
        }
        line
    }

    /// Begin of the names of the camera's files.
    fn stem(&self, suffix: &str) -> String {
        format!("{}-{}{suffix}", file_stem(self.name), self.stamp)
    }
}

/// The line that records the mosaic, whose pictures the program makes.
pub fn recorded_mosaic(mosaic: &Mosaic, cameras: usize, stamp: &str) -> Option<Line> {
    let segments = mosaic.segments()?;
    let mut line = Line::default();
    line.wall(mosaic, cameras);
    line.h264();
    line.files(segments, &format!("mosaic-{stamp}"), Container::Mp4);
    Some(line)
}

/// The line that shows the mosaic in a window.
pub fn shown_mosaic(mosaic: &Mosaic, cameras: usize) -> Line {
    let mut line = Line::default();
    line.wall(mosaic, cameras);
    line.pad("videoconvert");
    line.pad("autovideosink");
    line.plain(["name=window", "sync=false"]);
    line
}

/// Format of video files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    /// Of H.264.
    Mp4,
    /// Takes every codec; can be read when its end is missing.
    Matroska,
}

impl Line {
    /// As `gst_parse_launchv` takes it.
    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(|word| word.text.as_str()).collect()
    }

    /// As a command for a shell, without secrets.
    pub fn shown(&self) -> String {
        let words = self.words.iter().map(|word| {
            let text = word.shown.as_ref().unwrap_or(&word.text);
            quoted(text)
        });
        let words: Vec<String> = words.collect();
        format!("gst-launch-1.0 -e {}", words.join(" "))
    }

    fn plain<const N: usize>(&mut self, words: [&str; N]) {
        self.words.extend(words.map(|text| Word {
            text: text.to_owned(),
            shown: None,
        }));
    }

    /// The next element.
    fn pad(&mut self, element: &str) {
        if self.words.is_empty() {
            self.plain([element]);
        } else {
            self.plain(["!", element]);
        }
    }

    fn set(&mut self, property: &str, value: impl ToString) {
        self.words.push(Word {
            text: assigned(property, &value.to_string()),
            shown: None,
        });
    }

    fn set_some(&mut self, property: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(property, value);
        }
    }

    fn set_secret(&mut self, property: &str, value: &str, shown: &str) {
        self.words.push(Word {
            text: assigned(property, value),
            shown: Some(assigned(property, shown)),
        });
    }

    /// The video of a source; `is_kept`: the encoded stream can also be had from `encoded`.
    fn source(&mut self, source: &Source, is_kept: bool) {
        match source {
            Source::File { path, .. } => {
                self.pad("filesrc");
                self.set("location", path.display());
            }
            Source::Rtsp {
                address,
                latency_ms,
                transport,
            } => {
                self.pad("rtspsrc");
                self.set_secret("location", address, &masked(address));
                self.set("latency", latency_ms);
                self.set("drop-on-latency", true);
                match transport {
                    Transport::Any => {}
                    Transport::Tcp => self.set("protocols", "tcp"),
                    Transport::Udp => self.set("protocols", "udp"),
                }
                // A camera's sound is another stream.
                self.pad("application/x-rtp,media=video");
            }
            Source::Http { address } => {
                self.pad(if is_kept {
                    "urisourcebin"
                } else {
                    "uridecodebin"
                });
                self.set_secret("uri", address, &masked(address));
            }
            Source::V4l2 { device } => {
                self.pad("v4l2src");
                self.set("device", device.display());
                if is_kept {
                    self.pad(ENCODED_VIDEO);
                }
            }
            Source::Test(test) => return self.test_source(test),
        }
        if is_kept {
            self.pad("parsebin");
            self.pad(ENCODED_VIDEO);
            self.pad("tee");
            self.set("name", ENCODED);
            self.pad("queue");
        }
        if is_kept || !matches!(source, Source::Http { .. }) {
            self.pad("decodebin");
        }
        // Takes the pictures of whatever is in a file, in every format.
        self.pad("videoconvert");
    }

    fn test_source(&mut self, test: &TestSource) {
        self.pad("reidtestsrc");
        self.set("is-live", true);
        self.set("camera", test.camera);
        self.set("cameras", test.cameras);
        self.set_some("people", test.people);
        self.set_some("seed", test.seed);
        self.set_some("pattern", test.pattern.as_ref());
        self.set_some("attach", test.attach.as_ref());
        if test.num_buffers >= 0 {
            self.set("num-buffers", test.num_buffers);
        }
        self.pad(&format!(
            "video/x-raw,width={},height={},framerate={}/1",
            test.width, test.height, test.rate
        ));
    }

    fn recognise(&mut self, plan: &Plan) {
        let (models, options) = (&plan.config.models, plan.options);
        let is_none = |model: &Option<String>| model.as_deref() == Some("none");
        if !is_none(&models.detector) {
            self.pad("yolodetect");
            self.model(models.detector.as_ref(), models);
            self.set_some("threshold", options.threshold);
            self.set_some("inference-interval", options.inference_interval);
            self.pad("queue");
            self.plain(["max-size-buffers=2"]);
        }
        if !is_none(&models.embedder) {
            self.pad("reidembed");
            self.model(models.embedder.as_ref(), models);
            self.set_some("reuse-interval", options.reuse_interval);
            self.set_some("min-height", options.min_height);
            self.pad("queue");
            self.plain(["max-size-buffers=2"]);
        }
        self.pad("reidtrack");
        self.plain(["name=track"]);
        self.set("camera", plan.name);
        if is_none(&models.embedder) {
            self.set("motion-only", true);
        }
        self.gallery(plan.config);
    }

    fn model(&mut self, model: Option<&String>, models: &Models) {
        self.set_some("model", model);
        self.set_some("device", models.device.as_ref());
        if models.threads > 0 {
            self.set("threads", models.threads);
        }
    }

    fn gallery(&mut self, config: &Config) {
        let gallery = &config.gallery;
        self.set("gallery", &gallery.name);
        if !gallery.location.is_empty() {
            let shown = masked(&gallery.location);
            self.set_secret("gallery-location", &gallery.location, &shown);
        }
        if gallery.thumbnails {
            self.set("thumbnails", true);
        }
        self.set_some("match-threshold", gallery.match_threshold);
        self.set("max-identities", gallery.max_identities);
        self.set_some(
            "max-age",
            config.retention.max_age.map(|age| age.0.as_nanos()),
        );
        self.set_some(
            "topology",
            config.topology.as_ref().map(|file| file.display()),
        );
    }

    fn publish(&mut self, publish: &Publish, plan: &Plan) {
        let (format, ending) = publish.format.nick_and_ending();
        let stem = file_stem(plan.name);
        if let Some(folder) = &publish.folder {
            self.pad("reidpublish");
            self.set("format", format);
            let file = format!("{}.{ending}", plan.stem(""));
            self.set("location", folder.join(file).display());
            self.rotation(publish);
        }
        if let Some(broker) = &publish.mqtt {
            self.pad("reidpublish");
            self.set("format", format);
            let location = format!("{}/{stem}", broker.trim_end_matches('/'));
            self.set_secret("location", &location, &masked(&location));
        }
        if let Some(cluster) = &publish.kafka {
            self.pad("reidpublish");
            // The key of its messages.
            self.set("name", stem);
            self.set("format", format);
            self.set_secret("location", cluster, &masked(cluster));
        }
        if let Some(socket) = &publish.socket {
            self.pad("reidpublish");
            self.set("format", format);
            self.set("location", format!("unix://{}", socket.display()));
        }
    }

    fn rotation(&mut self, publish: &Publish) {
        let (seconds, megabytes) = (publish.segment_seconds, publish.segment_megabytes);
        if seconds > 0 {
            let limit = gst::ClockTime::from_seconds(seconds.into());
            self.set("max-size-time", limit.nseconds());
        }
        if megabytes > 0 {
            self.set("max-size-bytes", u64::from(megabytes) * 1_000_000);
        }
        if seconds > 0 || megabytes > 0 {
            self.set("max-files", publish.max_files);
        }
    }

    fn overlay(&mut self, options: &Options) {
        self.pad("reidoverlay");
        self.set_some("blur", options.blur.map(|blur| blur.nick()));
        if let Some(names) = options.blur_except.as_ref().filter(|n| !n.is_empty()) {
            self.set("blur-except", names.join(","));
        }
    }
}

/// `property=value`, quoted for the parser of launch lines where it must be.
fn assigned(property: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:-,@%+~".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return format!("{property}={value}");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{property}=\"{escaped}\"")
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:-,@%+=".contains(c);
    if word == "!" || word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Whether a camera that has ended is started again.
pub fn goes_on_at_end(source: &Source) -> bool {
    !matches!(
        source,
        Source::File {
            at_end: AtEnd::Stop,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    #[test]
    fn values_reach_properties_as_they_are() {
        gst::init().unwrap();
        for value in [
            "/a b/c.mp4",
            "say \"hi\" \\ there",
            "ends in \\",
            "a!b 'c' $d",
            "größe",
            "x=y,z;w",
        ] {
            let word = assigned("location", value);
            let pipeline = gst::parse::launchv(&["filesrc", &word, "!", "fakesink"]).unwrap();
            let pipeline = pipeline.downcast::<gst::Bin>().unwrap();
            let source = pipeline
                .children()
                .into_iter()
                .find(|element| element.name().starts_with("filesrc"))
                .unwrap();
            let read: String = source.property("location");
            assert_eq!(read, value, "{word}");
        }
    }

    #[test]
    fn printed_lines_hold_no_password() {
        let mut config = Config::default();
        config.gallery.location = "postgresql://ada:s3cret@host/people".into();
        let source = Source::Rtsp {
            address: "rtsp://ada:hunter2@cam/1?key=abcdef".into(),
            latency_ms: 200,
            transport: Transport::Tcp,
        };
        let line = Plan {
            config: &config,
            name: "the door",
            source: &source,
            options: &Options::default(),
            stamp: "TIME",
            has_page: false,
            mosaic: None,
        }
        .line();
        let shown = line.shown();
        for secret in ["s3cret", "hunter2", "abcdef"] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(line.words().iter().any(|word| word.contains(secret)));
        }
        assert!(shown.contains("'camera=\"the door\"'"), "{shown}");
    }
}
