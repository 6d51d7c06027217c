//! The elements: properties and glue, no algorithm.

/// Registers every element, in the order in which data flows through them.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let _ = plugin;
    Ok(())
}
