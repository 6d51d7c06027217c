//! The messages on the bus.

use gst::prelude::*;

use super::state::News;
use crate::{
    core::identity::Event,
    store::{Notice, StoreError, registry::SharedGallery},
};

/// The structure of the bus message for an event.
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
            against,
        } => named("reid-identity-matched")
            .field("id", id.0)
            .field("track", track.0)
            .field("score", f64::from(*score))
            .field("margin", f64::from(*margin))
            .field_if_some("against", against.map(|other| other.0))
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

/// The error domain code for a store error.
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

/// Warns that another element has this camera's name.
pub fn warn_of_shared_name(
    element: &impl IsA<gst::Element>,
    camera: &str,
    gallery: &SharedGallery,
) {
    gst::element_warning!(
        element,
        gst::ResourceError::Settings,
        (
            "camera={camera} is also the camera of another element of gallery '{}', so sightings cannot be attributed. Give each element its own camera",
            gallery.name()
        )
    );
}

/// Warns that changes were dropped before they were announced.
pub fn warn_of_dropped(element: &impl IsA<gst::Element>, dropped: u64) {
    gst::element_warning!(
        element,
        gst::StreamError::Failed,
        ("{dropped} changes of the gallery were not announced, because no frame arrived while other processes changed it: list the identities with reidctl gallery list")
    );
}

/// Posts the notices of the gallery's store. No lock is held here.
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
                        "{} works again. All changes of the gallery were written",
                        gallery.location().shown()
                    )
                );
            }
        }
    }
}
