//! The child elements: how they are created, linked, and found by their roles.

use gst::{glib, prelude::*};

use crate::elements::{
    reidembed::ReidEmbed, reidoverlay::ReidOverlay, reidtrack::ReidTrack, yolodetect::YoloDetect,
};

/// Most frames that wait in each queue. One is worked on behind it; a second keeps the next element busy when frames
/// take unequal times. More would only add latency.
const QUEUED_FRAMES: u32 = 2;

/// Which child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Detect,
    Embed,
    Track,
    Overlay,
}

impl Role {
    /// The type of the child, whose class has its properties' specifications.
    pub fn element_type(self) -> glib::Type {
        match self {
            Self::Detect => YoloDetect::static_type(),
            Self::Embed => ReidEmbed::static_type(),
            Self::Track => ReidTrack::static_type(),
            Self::Overlay => ReidOverlay::static_type(),
        }
    }
}

/// The children, in the order in which data flows. The overlay lives as long as the bin, also while it is not in it.
pub struct Children {
    detect: YoloDetect,
    embed: ReidEmbed,
    pub track: ReidTrack,
    overlay: ReidOverlay,
}

impl Default for Children {
    fn default() -> Self {
        Self {
            detect: child("yolodetect", "detect"),
            embed: child("reidembed", "embed"),
            track: child("reidtrack", "track"),
            overlay: child("reidoverlay", "overlay"),
        }
    }
}

impl Children {
    pub fn get(&self, role: Role) -> &gst::Element {
        match role {
            Role::Detect => self.detect.upcast_ref(),
            Role::Embed => self.embed.upcast_ref(),
            Role::Track => self.track.upcast_ref(),
            Role::Overlay => self.overlay.upcast_ref(),
        }
    }

    /// Puts all but the overlay into the bin and behind its pads. Fails where GStreamer has no `queue`.
    pub fn assemble(
        &self,
        bin: &gst::Bin,
        sink: &gst::GhostPad,
        src: &gst::GhostPad,
    ) -> Result<(), glib::BoolError> {
        let (embed_queue, track_queue) = (queue("embed-queue")?, queue("track-queue")?);
        let chain = [
            self.get(Role::Detect),
            &embed_queue,
            self.get(Role::Embed),
            &track_queue,
            self.get(Role::Track),
        ];
        bin.add_many(chain)?;
        gst::Element::link_many(chain)?;
        sink.set_target(self.detect.static_pad("sink").as_ref())?;
        src.set_target(self.track.static_pad("src").as_ref())
    }

    /// Whether the overlay is in the bin.
    pub fn has_overlay(&self) -> bool {
        self.overlay.parent().is_some()
    }

    /// Puts the overlay behind the tracker. Only while no data flows.
    pub fn insert_overlay(
        &self,
        bin: &gst::Bin,
        src: &gst::GhostPad,
    ) -> Result<(), glib::BoolError> {
        src.set_target(None::<&gst::Pad>)?;
        bin.add(&self.overlay)?;
        self.track.link(&self.overlay)?;
        src.set_target(self.overlay.static_pad("src").as_ref())?;
        self.overlay.sync_state_with_parent()
    }

    /// Takes the overlay out; its properties stay. Only while no data flows.
    pub fn remove_overlay(
        &self,
        bin: &gst::Bin,
        src: &gst::GhostPad,
    ) -> Result<(), glib::BoolError> {
        src.set_target(None::<&gst::Pad>)?;
        self.track.unlink(&self.overlay);
        bin.remove(&self.overlay)?;
        let stopped = self.overlay.set_state(gst::State::Null);
        stopped.map_err(|_| glib::bool_error!("reidoverlay cannot be stopped"))?;
        src.set_target(self.track.static_pad("src").as_ref())
    }
}

/// An element of this plugin, made by its factory so that applications can ask for that; an element of another plugin
/// that took the name does not do.
fn child<T>(factory: &str, name: &str) -> T
where
    T: IsA<gst::Element> + IsA<glib::Object> + glib::object::IsClass,
{
    gst::ElementFactory::make(factory)
        .name(name)
        .build()
        .ok()
        .and_then(|element| element.downcast().ok())
        .unwrap_or_else(|| glib::Object::builder().property("name", name).build())
}

/// A queue that is limited by frames alone.
fn queue(name: &str) -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make("queue")
        .name(name)
        .property("max-size-buffers", QUEUED_FRAMES)
        .property("max-size-bytes", 0_u32)
        .property("max-size-time", 0_u64)
        .build()
}
