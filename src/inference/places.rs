//! Paths of this plugin and its files.

use std::path::{Path, PathBuf};

/// The folder of the plugin's own file as GStreamer loaded it, then the folder of the running program (for `reidctl`
/// and statically linked plugins). No duplicates.
pub fn home_folders() -> Vec<PathBuf> {
    let plugin = gst::Registry::get()
        .find_plugin("reid")
        .and_then(|plugin| plugin.filename());
    let program = std::env::current_exe().ok();
    let mut folders: Vec<PathBuf> = Vec::new();
    for file in [plugin, program].into_iter().flatten() {
        let file = file.canonicalize().unwrap_or(file);
        if let Some(folder) = file
            .parent()
            .map(Path::to_path_buf)
            .filter(|folder| !folders.contains(folder))
        {
            folders.push(folder);
        }
    }
    folders
}

/// Each home folder and the ones above it that a build or an installation uses: `target/release` lies two below the
/// checkout, `lib/<machine>/gstreamer-1.0` three below the prefix. A test binary lies in `deps`, one deeper.
pub fn ancestors(levels: usize) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for home in home_folders() {
        for folder in home.ancestors().take(levels + 1).map(Path::to_path_buf) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}
