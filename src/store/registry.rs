//! The galleries of this process by name: elements that name the same one share it.
//!
//! The list holds weak references only: a gallery lives as long as an element holds it. One lock for the list, one for
//! each gallery; the list's is never held while waiting for a gallery's.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Location, StoreError};
use crate::core::identity::{Gallery, GalleryConfig, MAX_NAME_BYTES};

static GALLERIES: LazyLock<Mutex<HashMap<Key, Weak<SharedGallery>>>> =
    LazyLock::new(Mutex::default);

type Key = String;

/// A gallery that several cameras use.
#[derive(Debug)]
pub struct SharedGallery {
    name: String,
    gallery: Mutex<Gallery>,
}

impl SharedGallery {
    fn new(name: &str, config: GalleryConfig) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            gallery: Mutex::new(Gallery::new(config)),
        })
    }

    /// Its name; empty for a private one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The gallery itself. A neighbour's panic does not stop this camera. Hold it for one frame's decisions and for nothing
    /// that waits.
    pub fn lock(&self) -> MutexGuard<'_, Gallery> {
        self.gallery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gallery called `name`, made when nobody holds it; an empty name gives a private one. `config` holds from now on
/// for all that share it.
pub fn open(
    name: &str,
    location: &Location,
    config: GalleryConfig,
) -> Result<Arc<SharedGallery>, StoreError> {
    let Location::Memory = location;
    if name.len() > MAX_NAME_BYTES {
        return Err(StoreError::LongName);
    }
    if name.is_empty() {
        return Ok(SharedGallery::new(name, config));
    }
    let (gallery, found) = {
        let mut galleries = GALLERIES.lock().unwrap_or_else(PoisonError::into_inner);
        galleries.retain(|_, gallery| gallery.strong_count() > 0);
        match galleries.get(name).and_then(Weak::upgrade) {
            Some(gallery) => (gallery, true),
            None => {
                let gallery = SharedGallery::new(name, config.clone());
                galleries.insert(name.to_owned(), Arc::downgrade(&gallery));
                (gallery, false)
            }
        }
    };
    if found {
        gallery.lock().configure(config);
    }
    Ok(gallery)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<SharedGallery> {
        open(name, &Location::Memory, GalleryConfig::default()).unwrap()
    }

    #[test]
    fn one_name_is_one_gallery_and_no_name_is_a_private_one() {
        let (a, b) = (named("registry-a"), named("registry-a"));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &named("registry-b")));
        assert!(!Arc::ptr_eq(&named(""), &named("")));
    }

    #[test]
    fn galleries_that_nobody_holds_are_gone() {
        for i in 0..100 {
            named(&format!("registry-gone-{i}"));
        }
        let kept = named("registry-kept");
        let galleries = GALLERIES.lock().unwrap_or_else(PoisonError::into_inner);
        let dead = galleries
            .keys()
            .filter(|k| k.starts_with("registry-gone"))
            .count();
        assert!(dead <= 1, "{dead}");
        drop(galleries);
        assert_eq!(kept.name(), "registry-kept");
    }

    #[test]
    fn a_neighbours_panic_stops_nobody() {
        let gallery = named("registry-poisoned");
        let other = gallery.clone();
        let panicked = std::thread::spawn(move || {
            let _held = other.lock();
            panic!("on purpose");
        })
        .join();
        assert!(panicked.is_err());
        assert!(gallery.lock().is_empty());
        assert!(
            open(
                "registry-poisoned",
                &Location::Memory,
                GalleryConfig::default()
            )
            .is_ok()
        );
    }

    #[test]
    fn too_long_a_name_is_refused() {
        let name = "x".repeat(MAX_NAME_BYTES + 1);
        let refused = open(&name, &Location::Memory, GalleryConfig::default());
        assert_eq!(refused.unwrap_err(), StoreError::LongName);
    }
}
