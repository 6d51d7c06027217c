//! Puts version and release date where `plugin_define!` reads them.

fn main() {
    gst_plugin_version_helper::info();
}
