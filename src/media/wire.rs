//! A list of people as bytes, for another process of the same machine (`unixfdsink`, `unixfdsrc`).
//!
//! The length of a JSON text (four bytes, the lowest first), the text, then the vectors in the order of the people who have one, as
//! `f32` with the lowest byte first. What comes in is not trusted: sizes and numbers are checked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::people::{FrameSize, Viewpoint};
use crate::core::{
    embedding::{Embedding, MAX_DIMENSION, ModelFingerprint},
    geometry::Rect,
    person::{
        Identity, IdentityId, IdentityState, Person, Seen, Subject, Track, TrackId, TrackState,
    },
};

/// Changes with the layout.
pub(super) const VERSION: u8 = 1;

/// A list that came from elsewhere.
#[derive(Debug, PartialEq)]
pub(super) struct Sent {
    pub frame: FrameSize,
    pub people: Vec<Person>,
    pub viewpoint: Viewpoint,
}

#[derive(Serialize, Deserialize)]
struct Head {
    size: (u32, u32),
    camera: Option<String>,
    gallery_ns: Option<u64>,
    people: Vec<Sender>,
}

/// A person without the numbers of the vector.
#[derive(Serialize, Deserialize)]
struct Sender {
    rect: [f32; 4],
    confidence: f32,
    label: String,
    label_id: i32,
    /// Whether an embedder describes it, once one has seen it.
    is_described: Option<bool>,
    /// Fingerprint of the model and length of the vector.
    vector: Option<(u64, usize)>,
    is_carried: bool,
    track: Option<SentTrack>,
    identity: Option<SentIdentity>,
}

#[derive(Serialize, Deserialize)]
struct SentTrack {
    id: u32,
    is_confirmed: bool,
    unseen_ns: u64,
    age_ns: u64,
}

#[derive(Serialize, Deserialize)]
struct SentIdentity {
    id: u32,
    state: String,
    score: f32,
    margin: f32,
    /// Camera and time, ns.
    evidence: Option<(String, u64)>,
    previous: Vec<u32>,
    name: Option<String>,
}

/// The bytes of a list; `None` when a number is none.
pub(super) fn bytes(frame: FrameSize, people: &[Person], view: &Viewpoint) -> Option<Vec<u8>> {
    let people: Vec<&Person> = people.iter().filter(|p| p.rect.is_valid()).collect();
    let head = Head {
        size: (frame.width, frame.height),
        camera: view.camera.as_deref().map(str::to_owned),
        gallery_ns: view.gallery_ns,
        people: people.iter().copied().map(sender).collect(),
    };
    let text = serde_json::to_vec(&head).ok()?;
    let mut bytes = u32::try_from(text.len()).ok()?.to_le_bytes().to_vec();
    bytes.extend_from_slice(&text);
    for embedding in people.iter().filter_map(|p| p.embedding.as_ref()) {
        bytes.extend(embedding.values().iter().flat_map(|v| v.to_le_bytes()));
    }
    Some(bytes)
}

fn sender(person: &Person) -> Sender {
    let Rect { x, y, w, h } = person.rect;
    Sender {
        rect: [x, y, w, h],
        confidence: person.confidence,
        label: person.label.to_string(),
        label_id: person.label_id,
        is_described: match person.subject {
            Subject::Unknown => None,
            Subject::Described => Some(true),
            Subject::Other => Some(false),
        },
        vector: person
            .embedding
            .as_ref()
            .map(|embedding| (embedding.model().0, embedding.dimension())),
        is_carried: person.is_carried,
        track: person.track.map(|track| SentTrack {
            id: track.id.0,
            is_confirmed: track.state == TrackState::Confirmed,
            unseen_ns: track.unseen_ns,
            age_ns: track.age_ns,
        }),
        identity: person.identity.as_ref().map(|identity| SentIdentity {
            id: identity.id.0,
            state: identity.state.as_str().to_owned(),
            score: identity.score,
            margin: identity.margin,
            evidence: identity
                .evidence
                .as_ref()
                .map(|seen| (seen.camera.to_string(), seen.time_ns)),
            previous: identity.previous.iter().map(|id| id.0).collect(),
            name: identity.name.as_deref().map(str::to_owned),
        }),
    }
}

/// The list in these bytes; `None` when they are not one of this version.
pub(super) fn read(version: u8, bytes: &[u8]) -> Option<Sent> {
    if version != VERSION {
        return None;
    }
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, mut vectors) = rest.split_at_checked(length)?;
    let head: Head = serde_json::from_slice(text).ok()?;
    let received = |sender| receive(sender, &mut vectors);
    let people = head.people.into_iter().map(received).collect::<Option<_>>();
    let (width, height) = head.size;
    Some(Sent {
        frame: FrameSize { width, height },
        people: people.filter(|_| width > 0 && height > 0 && vectors.is_empty())?,
        viewpoint: Viewpoint {
            camera: head.camera.map(Arc::from),
            gallery_ns: head.gallery_ns,
        },
    })
}

fn receive(sender: Sender, vectors: &mut &[u8]) -> Option<Person> {
    let [x, y, w, h] = sender.rect;
    let mut person = Person::detected(
        Rect::new(x, y, w, h),
        sender.confidence,
        sender.label.into(),
        sender.label_id,
    );
    if !person.rect.is_valid() || !(0.0..=1.0).contains(&sender.confidence) {
        return None;
    }
    person.subject = match sender.is_described {
        None => Subject::Unknown,
        Some(true) => Subject::Described,
        Some(false) => Subject::Other,
    };
    if let Some((model, dimension)) = sender.vector {
        person.embedding = Some(vector(model, dimension, vectors)?);
    }
    person.is_carried = sender.is_carried;
    person.track = sender.track.map(|track| Track {
        id: TrackId(track.id),
        state: match track.is_confirmed {
            true => TrackState::Confirmed,
            false => TrackState::Tentative,
        },
        unseen_ns: track.unseen_ns,
        age_ns: track.age_ns,
    });
    if let Some(identity) = sender.identity {
        person.identity = Some(receive_identity(identity)?);
    }
    Some(person)
}

/// The next vector.
fn vector(model: u64, dimension: usize, vectors: &mut &[u8]) -> Option<Embedding> {
    let length = Some(dimension).filter(|&n| n <= MAX_DIMENSION)? * size_of::<f32>();
    let (own, rest) = vectors.split_at_checked(length)?;
    *vectors = rest;
    let values: Vec<f32> = own
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    Embedding::normalised(&values, ModelFingerprint(model)).ok()
}

fn receive_identity(sent: SentIdentity) -> Option<Identity> {
    let states = [
        IdentityState::Pending,
        IdentityState::New,
        IdentityState::Matched,
    ];
    Some(Identity {
        id: IdentityId(Some(sent.id).filter(|&id| id > 0 && id < 1 << 31)?),
        state: states.into_iter().find(|s| s.as_str() == sent.state)?,
        score: sent.score,
        margin: sent.margin,
        evidence: sent.evidence.map(|(camera, time_ns)| Seen {
            camera: camera.into(),
            time_ns,
        }),
        previous: sent.previous.into_iter().map(IdentityId).collect(),
        name: sent.name.map(Arc::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Sent {
        let mut known = Person::detected(Rect::new(1.5, 2.0, 3.0, 4.0), 0.75, "person".into(), 3);
        known.subject = Subject::Described;
        // A unit vector whose numbers are exact.
        known.embedding =
            Some(Embedding::normalised(&[0.0, 1.0, 0.0], ModelFingerprint(9)).unwrap());
        known.is_carried = true;
        known.track = Some(Track {
            id: TrackId(4),
            state: TrackState::Confirmed,
            unseen_ns: 5,
            age_ns: 6,
        });
        known.identity = Some(Identity {
            id: IdentityId(7),
            state: IdentityState::Matched,
            score: 0.5,
            margin: 0.25,
            evidence: Some(Seen {
                camera: "hall".into(),
                time_ns: 8,
            }),
            previous: [IdentityId(2)].into(),
            name: Some("Ann".into()),
        });
        let bare = Person::detected(Rect::new(0.0, 0.0, 1.0, 1.0), 1.0, "".into(), 0);
        Sent {
            frame: FrameSize {
                width: 640,
                height: 480,
            },
            people: vec![known, bare],
            viewpoint: Viewpoint {
                camera: Some("door".into()),
                gallery_ns: Some(11),
            },
        }
    }

    #[test]
    fn a_list_arrives_as_it_was_sent() {
        let sent = list();
        let bytes = bytes(sent.frame, &sent.people, &sent.viewpoint).unwrap();
        assert_eq!(read(VERSION, &bytes).unwrap(), sent);
        assert_eq!(read(VERSION + 1, &bytes), None);
        let nobody = self::bytes(sent.frame, &[], &Viewpoint::default()).unwrap();
        assert!(read(VERSION, &nobody).unwrap().people.is_empty());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let sent = list();
        let good = bytes(sent.frame, &sent.people, &sent.viewpoint).unwrap();
        for length in 0..good.len() {
            assert_eq!(read(VERSION, &good[..length]), None, "{length} bytes");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(read(VERSION, &longer), None);
        let nan = f32::NAN.to_le_bytes();
        let mut poisoned = good.clone();
        let at = good.len() - 4;
        poisoned[at..].copy_from_slice(&nan);
        assert_eq!(read(VERSION, &poisoned), None);
        let mut claims = good;
        let at = claims.windows(5).position(|part| part == b"[9,3]").unwrap();
        claims[at + 3] = b'9';
        assert_eq!(read(VERSION, &claims), None);
    }
}
