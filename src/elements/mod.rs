//! The elements: properties and glue, no algorithm.

mod model;
pub mod reidbin;
pub mod reidembed;
pub mod reidoverlay;
pub mod reidpublish;
pub mod reidtestsrc;
pub mod reidtrack;
mod request;
mod shared;
mod silence;
mod trail;
pub mod yolodetect;

use gst::prelude::*;

use crate::inference::Precision;

/// Registers every element, in the order in which data flows through them; the bin is made of those before it.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    crate::media::people::register();
    Precision::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    reidtestsrc::register(plugin)?;
    yolodetect::register(plugin)?;
    reidembed::register(plugin)?;
    reidtrack::register(plugin)?;
    reidoverlay::register(plugin)?;
    reidbin::register(plugin)?;
    reidpublish::register(plugin)
}
