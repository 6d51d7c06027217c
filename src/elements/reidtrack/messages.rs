//! What is said on the bus.

use gst::prelude::*;

use super::state::News;
use crate::{
    core::identity::Event,
    store::{Notice, StoreError, registry::SharedGallery},
};

/// What happened, as the structure of a bus message.
pub fn of_event(event: &Event, news: &News) -> gst::Structure {
    let named = |name: &str| {
        gst::Structure::builder(name)
            .field("gallery", news.gallery.name())
            .field("camera", &*news.camera)
    };
    match event {
        Event::New { id, track, pending } => named("reid-identity-new")
            .field("id", id.0)
            .field("track", track.0)
            .field("pending", *pending)
            .build(),
        Event::Matched {
            id,
            track,
            score,
            margin,
        } => named("reid-identity-matched")
            .field("id", id.0)
            .field("track", track.0)
            .field("score", f64::from(*score))
            .field("margin", f64::from(*margin))
            .build(),
        Event::Merged { from, into } => named("reid-identity-merged")
            .field("from", from.0)
            .field("into", into.0)
            .build(),
        Event::Split { from, into } => named("reid-identity-split")
            .field("from", from.0)
            .field("into", into.0)
            .build(),
        Event::Corrected {
            camera,
            track,
            from,
            into,
        } => named("reid-identity-corrected")
            .field("camera", &**camera)
            .field("from", from.0)
            .field("into", into.0)
            .field("track", track.0)
            .build(),
        Event::Lost { id } => named("reid-identity-lost").field("id", id.0).build(),
        Event::Left { id } => named("reid-identity-left").field("id", id.0).build(),
    }
}

/// What kind of error it is.
pub fn resource(error: &StoreError) -> gst::ResourceError {
    match error {
        StoreError::NoFolder { .. } | StoreError::Missing { .. } => gst::ResourceError::NotFound,
        StoreError::ReadOnly { .. } => gst::ResourceError::OpenWrite,
        StoreError::Full { .. } => gst::ResourceError::NoSpaceLeft,
        StoreError::NotErased { .. } => gst::ResourceError::Write,
        StoreError::Locked { .. } | StoreError::InUse { .. } => gst::ResourceError::Busy,
        StoreError::Denied { .. } => gst::ResourceError::NotAuthorized,
        StoreError::CannotOpen { .. }
        | StoreError::Damaged { .. }
        | StoreError::NotAGallery { .. }
        | StoreError::Newer { .. }
        | StoreError::Unreachable { .. }
        | StoreError::Broken
        | StoreError::Other { .. } => gst::ResourceError::OpenReadWrite,
        StoreError::Location(_)
        | StoreError::LongName
        | StoreError::OtherName { .. }
        | StoreError::OtherModel { .. }
        | StoreError::NotBuilt { .. } => gst::ResourceError::Settings,
    }
}

/// Another element has this camera's name.
pub fn warn_of_shared_name(
    element: &impl IsA<gst::Element>,
    camera: &str,
    gallery: &SharedGallery,
) {
    gst::element_warning!(
        element,
        gst::ResourceError::Settings,
        (
            "camera={camera} is the name of another element of gallery '{}', too: nobody can tell where people were seen. Give each element a camera of its own",
            gallery.name()
        )
    );
}

/// Changes were lost before they could be told.
pub fn warn_of_dropped(element: &impl IsA<gst::Element>, dropped: u64) {
    gst::element_warning!(
        element,
        gst::StreamError::Failed,
        ("{dropped} changes of the gallery were not told, because no frame came while others fed it: read whom it knows by now with reidctl gallery list")
    );
}

/// Says what is the matter with the place that the gallery is kept in. No lock is held here.
pub fn tell_notices(element: &impl IsA<gst::Element>, gallery: &SharedGallery) {
    for notice in gallery.notices() {
        match notice {
            Notice::Trouble(error) => {
                gst::element_warning!(element, resource(&error), ("{error}"));
            }
            Notice::Recovered => {
                gst::element_info!(
                    element,
                    gst::ResourceError::Write,
                    (
                        "{} works again; nothing of the gallery was lost",
                        gallery.location().shown()
                    )
                );
            }
        }
    }
}
