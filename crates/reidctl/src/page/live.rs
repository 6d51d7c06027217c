//! Live pictures and events. Pictures are produced only for viewers; a slow client misses some.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;

use super::{Site, guard::refuse};
use crate::run::board::Entry;

/// Most streams of pictures and events at a time.
pub const MAX_STREAMS: u32 = 64;
/// How long a picture is waited for.
const PICTURE_TIME: Duration = Duration::from_secs(3);
const BOUNDARY: &str = "reidctl-picture";

/// One of a limited number, given back when dropped.
struct Place(Arc<AtomicU32>);

impl Place {
    fn take(count: &Arc<AtomicU32>, most: u32) -> Option<Self> {
        let place = Self(count.clone());
        (count.fetch_add(1, Ordering::AcqRel) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A viewer of a camera: its pictures are encoded until this is dropped.
struct Viewer(Arc<Entry>);

impl Viewer {
    fn new(entry: Arc<Entry>) -> Self {
        entry.viewers.fetch_add(1, Ordering::Relaxed);
        Self(entry)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn no_camera() -> Response {
    refuse(StatusCode::NOT_FOUND, "there is no camera of this name")
}

fn full() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "too many viewers")
}

/// The next picture of a camera.
pub async fn picture(State(site): State<Site>, Path(name): Path<String>) -> Response {
    let Some(entry) = site.board.camera(&name) else {
        return no_camera();
    };
    let viewer = Viewer::new(entry);
    let mut pictures = viewer.0.picture.subscribe();
    let next = async {
        while pictures.changed().await.is_ok() {
            if let Some(picture) = pictures.borrow_and_update().clone() {
                return Some(picture);
            }
        }
        None
    };
    match tokio::time::timeout(PICTURE_TIME, next).await {
        Ok(Some(jpeg)) => (
            [(header::CONTENT_TYPE, "image/jpeg")],
            Bytes::from_owner(jpeg),
        )
            .into_response(),
        _ => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the camera shows nothing now",
        ),
    }
}

/// A camera's pictures, one after the other (MJPEG).
pub async fn stream(State(site): State<Site>, Path(name): Path<String>) -> Response {
    let Some(entry) = site.board.camera(&name) else {
        return no_camera();
    };
    let Some(place) = Place::take(&site.streams, MAX_STREAMS) else {
        return full();
    };
    let viewer = Viewer::new(entry);
    let pictures = viewer.0.picture.subscribe();
    let parts = stream::unfold(
        (pictures, viewer, place),
        |(mut pictures, viewer, place)| async move {
            loop {
                pictures.changed().await.ok()?;
                let Some(jpeg) = pictures.borrow_and_update().clone() else {
                    continue;
                };
                let head = format!(
                    "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                    jpeg.len()
                );
                let part = [head.as_bytes(), &jpeg, b"\r\n"].concat();
                let part = Ok::<_, Infallible>(Bytes::from(part));
                return Some((part, (pictures, viewer, place)));
            }
        },
    );
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response()
}

/// What happens from now on, as server-sent events.
pub async fn events(State(site): State<Site>) -> Response {
    let Some(place) = Place::take(&site.streams, MAX_STREAMS) else {
        return full();
    };
    let notes = stream::unfold(
        (site.board.listen(), place),
        |(mut notes, place)| async move {
            loop {
                match notes.recv().await {
                    Ok(note) => {
                        // Plain data with text keys: always JSON.
                        let event = Event::default().event(note.event).json_data(&*note).ok()?;
                        return Some((Ok::<_, Infallible>(event), (notes, place)));
                    }
                    // The client was too slow and missed some.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        },
    );
    Sse::new(notes)
        .keep_alive(KeepAlive::default())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let count = Arc::<AtomicU32>::default();
        let first = Place::take(&count, 2);
        let second = Place::take(&count, 2);
        assert!(first.is_some() && second.is_some());
        assert!(Place::take(&count, 2).is_none());
        drop(first);
        assert!(Place::take(&count, 2).is_some());
    }
}
