//! Source of a camera's video, in short (`0`, `rtsp://…`, `a.mp4`, `test`) or with options.

use std::{borrow::Cow, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

/// Jitter buffer of an RTSP source, ms.
const LATENCY_MS: u32 = 200;

/// Where a camera's pictures come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A video file, played at its own speed.
    File { path: PathBuf, at_end: AtEnd },
    /// An RTSP camera.
    Rtsp {
        address: String,
        latency_ms: u32,
        transport: Transport,
    },
    /// A stream or file of an HTTP server.
    Http { address: String },
    /// A camera of this machine.
    V4l2 { device: PathBuf },
    /// The test source, live.
    Test(TestSource),
}

/// What happens when a file has been played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// The camera has ended.
    #[default]
    Stop,
    /// It is played again.
    Restart,
}

/// How RTP packets come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// UDP, else TCP.
    #[default]
    Any,
    /// Within the RTSP connection: loses no packets.
    Tcp,
    /// As datagrams.
    Udp,
}

/// People who walk through the views of several cameras.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TestSource {
    /// Which camera's view is shown, from 0.
    pub camera: u32,
    /// How many cameras watch the world, 1 to 64.
    pub cameras: u32,
    /// How many people live in it.
    pub people: Option<u32>,
    /// Random seed. The same seed gives the same scene.
    pub seed: Option<u64>,
    /// What they do: walk, crossing, crowd, similar or empty.
    pub pattern: Option<String>,
    /// What is attached: truth, detections or none.
    pub attach: Option<String>,
    /// The source ends after this many frames; -1: never.
    pub num_buffers: i32,
    /// Width of the picture, px.
    pub width: u32,
    /// Height of the picture, px.
    pub height: u32,
    /// Frames a second.
    pub rate: u32,
}

impl Default for TestSource {
    fn default() -> Self {
        Self {
            camera: 0,
            cameras: 4,
            people: None,
            seed: None,
            pattern: None,
            attach: None,
            num_buffers: -1,
            width: 640,
            height: 480,
            rate: 15,
        }
    }
}

/// The long form: exactly one of the first five.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    /// Path of a video file.
    file: Option<PathBuf>,
    /// Address of an RTSP camera.
    rtsp: Option<String>,
    /// Address of an HTTP stream.
    http: Option<String>,
    /// Device of this machine, such as /dev/video0.
    v4l2: Option<PathBuf>,
    /// The test source.
    test: Option<TestSource>,
    /// Of a file: what happens at its end.
    at_end: Option<AtEnd>,
    /// Of rtsp: jitter buffer, ms.
    latency_ms: Option<u32>,
    /// Of rtsp: how packets come.
    transport: Option<Transport>,
}

impl Table {
    fn source(self) -> Result<Source, String> {
        let of_other = |is_set: bool, key: &str, of: &str| match is_set {
            true => Err(format!("`{key}` is an option of `{of}`")),
            false => Ok(()),
        };
        of_other(
            self.at_end.is_some() && self.file.is_none(),
            "at-end",
            "file",
        )?;
        of_other(
            self.latency_ms.is_some() && self.rtsp.is_none(),
            "latency-ms",
            "rtsp",
        )?;
        of_other(
            self.transport.is_some() && self.rtsp.is_none(),
            "transport",
            "rtsp",
        )?;
        let sources: Vec<Source> = [
            self.file.map(|path| Source::File {
                path,
                at_end: self.at_end.unwrap_or_default(),
            }),
            self.rtsp.map(|address| Source::Rtsp {
                address,
                latency_ms: self.latency_ms.unwrap_or(LATENCY_MS),
                transport: self.transport.unwrap_or_default(),
            }),
            self.http.map(|address| Source::Http { address }),
            self.v4l2.map(|device| Source::V4l2 { device }),
            self.test.map(Source::Test),
        ]
        .into_iter()
        .flatten()
        .collect();
        <[Source; 1]>::try_from(sources)
            .map(|[source]| source)
            .map_err(|given| {
                format!(
                    "{} of `file`, `rtsp`, `http`, `v4l2` and `test` are given, exactly one is wanted",
                    given.len()
                )
            })
    }
}

/// The short form.
fn parse(text: &str) -> Result<Source, String> {
    let lower = text.to_ascii_lowercase();
    if text.trim().is_empty() {
        return Err("the source is empty".into());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(device(text));
    }
    if let Some(number) = lower.strip_prefix("test") {
        if number.is_empty() {
            return Ok(Source::Test(TestSource::default()));
        }
        if let Some(camera) = number.strip_prefix(':') {
            let camera = camera
                .parse()
                .map_err(|_| format!("'{text}' is no test source; write test or test:3"))?;
            let cameras = TestSource::default().cameras.max(camera + 1);
            return Ok(Source::Test(TestSource {
                camera,
                cameras,
                ..TestSource::default()
            }));
        }
    }
    let address = text.to_owned();
    match lower.split_once("://") {
        Some(("rtsp" | "rtsps" | "rtspt", _)) => Ok(Source::Rtsp {
            address,
            latency_ms: LATENCY_MS,
            transport: Transport::default(),
        }),
        Some(("http" | "https", _)) => Ok(Source::Http { address }),
        Some(("file", _)) => Ok(file(&text["file://".len()..])),
        Some((scheme, _)) => Err(format!(
            "{scheme}:// is not supported; write rtsp://, http://, a path, a device or test"
        )),
        None if lower.starts_with("/dev/video") => Ok(Source::V4l2 {
            device: text.into(),
        }),
        None if is_bare_host(text) => Err(format!(
            "'{text}' is a host without a protocol; write the stream's whole address, such as rtsp://{text}/stream or http://{text}/video"
        )),
        None => Ok(file(text)),
    }
}

fn is_bare_host(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok()
}

fn file(path: &str) -> Source {
    Source::File {
        path: path.into(),
        at_end: AtEnd::default(),
    }
}

fn device(number: impl std::fmt::Display) -> Source {
    Source::V4l2 {
        device: format!("/dev/video{number}").into(),
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Source;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a number of a V4L2 device, a path, an address (rtsp://, http://), test, or a table with one of file, rtsp, http, v4l2, test",
                )
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Source, E> {
                Ok(device(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Source, E> {
                let number = u64::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))?;
                self.visit_u64(number)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Source, E> {
                parse(text).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                table.source().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<Table>();
        json_schema!({
            "description": "Number of a V4L2 device, path of a file, address (rtsp://, http://), test, or a table.",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "minLength": 1 }, table]
        })
    }
}

impl Source {
    /// Whether the source is live.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::File { .. })
    }

    /// What it is, without a password.
    pub fn shown(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Rtsp { address, .. } | Self::Http { address } => super::secrets::masked(address),
            Self::V4l2 { device } => device.display().to_string(),
            Self::Test(test) => format!("test:{}", test.camera),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Source, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn short_forms_are_those_of_opencv_programs() {
        assert_eq!(
            read("2"),
            Ok(Source::V4l2 {
                device: "/dev/video2".into()
            })
        );
        assert_eq!(read("\"2\""), read("2"));
        assert_eq!(read("\"a b.mp4\""), Ok(file("a b.mp4")));
        assert!(
            matches!(read("\"RTSP://user:pw@host/1\""), Ok(Source::Rtsp { address, .. }) if address.ends_with("host/1"))
        );
        assert!(matches!(
            read("\"test:6\""),
            Ok(Source::Test(TestSource {
                camera: 6,
                cameras: 7,
                ..
            }))
        ));
        assert_eq!(read("\"tester.mp4\""), Ok(file("tester.mp4")));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (json, part) in [
            ("\"192.168.1.20\"", "rtsp://192.168.1.20/stream"),
            ("-1", "number of a V4L2 device"),
            ("\"ftp://host/a\"", "not supported"),
            ("{}", "exactly one"),
            (
                r#"{"file": "a", "rtsp": "rtsp://b"}"#,
                "2 of `file`, `rtsp`",
            ),
            (
                r#"{"file": "a", "latency-ms": 1}"#,
                "`latency-ms` is an option of `rtsp`",
            ),
            (r#"{"file": "a", "lop": true}"#, "unknown field `lop`"),
        ] {
            let said = read(json).unwrap_err();
            assert!(said.contains(part), "{json}: {said}");
        }
    }
}
