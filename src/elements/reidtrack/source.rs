//! Default name of a camera, from the source of its video.

use gst::{glib, prelude::*};

use super::ReidTrack;
use crate::elements::reidbin::ReidBin;

/// Longest name that is made up, characters.
const LONGEST: usize = 64;

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Short and readable.
    pub name: String,
    /// It means another thing on another machine.
    pub is_local: bool,
}

impl Source {
    /// Asks upstream. `None` when the source says nothing that is the same tomorrow.
    pub fn of(sink_pad: &gst::Pad) -> Option<Self> {
        let mut query = gst::query::Uri::new();
        if !sink_pad.peer_query(&mut query) {
            return None;
        }
        Self::read(&query.uri()?)
    }

    /// A file by its name without the ending, a device by its name, a stream by its host and the end of its path, never
    /// with a password.
    fn read(uri: &str) -> Option<Self> {
        if uri.starts_with("file:") {
            let (path, _) = glib::filename_from_uri(uri).ok()?;
            let stem = path.file_stem()?.to_string_lossy();
            return Self::local(&stem);
        }
        let (scheme, rest) = uri.split_once("://")?;
        let rest = rest.split(['?', '#']).next()?;
        // Whatever is in front of an @ may be a password.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, behind)| behind);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let last = path.rsplit('/').find(|part| !part.is_empty());
        if scheme == "v4l2" {
            return Self::local(last?);
        }
        let host = match host.strip_prefix('[') {
            Some(address) => address.split(']').next()?,
            None => host.split(':').next()?,
        };
        // Not a number or nothing, as of fd://0.
        let is_host = host.contains(|c: char| !c.is_ascii_digit());
        let host = Some(host).filter(|_| is_host)?;
        let name = match last {
            Some(last) => format!("{host}/{last}"),
            None => host.to_owned(),
        };
        Some(Self {
            name: short(&name)?,
            is_local: false,
        })
    }

    fn local(name: &str) -> Option<Self> {
        Some(Self {
            name: short(name)?,
            is_local: true,
        })
    }

    /// A source without an address: the element's own name.
    pub fn unknown(element: &str) -> Self {
        Self {
            name: element.to_owned(),
            is_local: true,
        }
    }

    /// The name, with the machine's where many machines share the gallery.
    pub fn name_for(&self, are_many_machines: bool) -> String {
        if self.is_local && are_many_machines {
            format!("{}@{}", self.name, glib::host_name())
        } else {
            self.name.clone()
        }
    }
}

/// The name by which users know the tracker: that of the `reidbin` that it is a part of, else its own.
pub(super) fn own_name(track: &ReidTrack) -> glib::GString {
    match track.parent().and_downcast::<ReidBin>() {
        Some(bin) => bin.name(),
        None => track.name(),
    }
}

/// On one line and not too long; `None` of nothing.
fn short(name: &str) -> Option<String> {
    let line = name.chars().filter(|c| !c.is_control()).take(LONGEST);
    let line: String = line.collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_by_file_device_or_host() {
        for (uri, name, is_local) in [
            (
                "file:///var/film/front%20door.mp4",
                Some("front door"),
                true,
            ),
            ("file:///a.b.mkv", Some("a.b"), true),
            ("v4l2:///dev/video0", Some("video0"), true),
            (
                "rtsp://admin:secret@192.168.1.20:554/Streaming/Channels/101?user=x",
                Some("192.168.1.20/101"),
                false,
            ),
            ("http://cam.example/", Some("cam.example"), false),
            ("rtsp://[fe80::1]/cam", Some("fe80::1/cam"), false),
            ("rtsp://admin:a/b@host:1/c", Some("host/c"), false),
            ("appsrc", None, true),
            ("appsrc://", None, true),
            ("fd://0", None, true),
            ("", None, true),
        ] {
            let found = Source::read(uri);
            assert_eq!(found.as_ref().map(|s| &*s.name), name, "{uri}");
            assert!(found.is_none_or(|s| s.is_local == is_local), "{uri}");
        }
        let long = Source::read(&format!("file:///{}.mp4", "x".repeat(200)));
        assert_eq!(long.map(|s| s.name.len()), Some(LONGEST));
    }

    #[test]
    fn machines_that_share_a_gallery_do_not_share_names_by_chance() {
        let device = Source::unknown("reidtrack0");
        assert_eq!(device.name_for(false), "reidtrack0");
        assert!(device.name_for(true).starts_with("reidtrack0@"));
        let stream = Source::read("rtsp://host/a").unwrap();
        assert_eq!(stream.name_for(true), "host/a");
    }
}
