//! Person re-identification for GStreamer.
//!
//! The plugin `reid` detects people (`yolodetect`), embeds them (`reidembed`), tracks and re-identifies them across cameras
//! (`reidtrack`), draws them (`reidoverlay`), all of this in one element (`reidbin`), publishes them (`reidpublish`) and generates test
//! video (`reidtestsrc`). See ARCHITECTURE.md for the map of the code.

pub mod elements;
pub mod fonts;
pub mod inference;
pub mod media;
pub mod store;
mod sync;

/// The science, which knows nothing of pipelines.
pub use reid_core as core;

/// The plugin's description, as GStreamer wants it. The macro's items carry no docs of their own.
#[allow(missing_docs)]
mod plugin {
    use crate::elements;

    fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        elements::register(plugin)
    }

    gst::plugin_define!(
        reid,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        // GStreamer's list of licences knows no "MIT OR Apache-2.0" and hides plugins with a licence that it does not know.
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "https://crates.io/crates/gst-plugin-reid",
        env!("BUILD_REL_DATE")
    );
}

pub use plugin::plugin_register_static;
