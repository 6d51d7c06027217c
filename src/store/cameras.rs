//! The current cameras of a gallery: names set by users, and default names made unique.
//!
//! One lock, held briefly and never together with another.

use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The names of a gallery's cameras while they are there.
#[derive(Debug, Default)]
pub struct CameraNames(Mutex<Vec<Arc<str>>>);

/// A camera's name. It is free again when this is dropped.
#[derive(Debug)]
pub struct CameraName {
    name: Arc<str>,
    is_shared: bool,
    names: Arc<CameraNames>,
}

impl CameraNames {
    /// The name that a user gave a camera. Others may have it, too.
    pub fn chosen(self: &Arc<Self>, name: &str) -> CameraName {
        let mut names = lock(&self.0);
        let is_shared = names.iter().any(|other| **other == *name);
        let name: Arc<str> = name.into();
        names.push(name.clone());
        CameraName {
            name,
            is_shared,
            names: self.clone(),
        }
    }

    /// A name that nobody has: `name`, else `name-2`, `name-3` and so on.
    pub fn unique(self: &Arc<Self>, name: &str) -> CameraName {
        let mut names = lock(&self.0);
        let is_free = |name: &str| names.iter().all(|other| **other != *name);
        let numbered = (2..).map(|n: u64| format!("{name}-{n}"));
        let name: Arc<str> = std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| is_free(name))
            .unwrap_or_default()
            .into();
        names.push(name.clone());
        CameraName {
            name,
            is_shared: false,
            names: self.clone(),
        }
    }
}

impl CameraName {
    /// The name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether another camera had it already.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }
}

impl Drop for CameraName {
    fn drop(&mut self) {
        let mut names = lock(&self.names.0);
        if let Some(index) = names.iter().position(|name| *name == self.name) {
            names.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_unique_and_free_again_afterwards() {
        let names = Arc::<CameraNames>::default();
        let chosen = names.chosen("door");
        let first = names.unique("door");
        let second = names.unique("door");
        assert_eq!(
            [&**chosen.name(), &**first.name(), &**second.name()],
            ["door", "door-2", "door-3"]
        );
        assert!(!chosen.is_shared() && !second.is_shared());
        assert!(names.chosen("door").is_shared());
        drop(first);
        assert_eq!(&**names.unique("door").name(), "door-2");
        drop((chosen, second));
        assert!(!names.chosen("door").is_shared());
    }
}
