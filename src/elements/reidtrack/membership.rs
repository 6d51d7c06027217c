//! An element's rules of its gallery.

use std::sync::{Arc, Mutex};

use super::settings::Settings;
use crate::{
    store::{
        Location, StoreError, registry,
        rules::{Contradiction, Member, RuleBook, Rules},
    },
    sync::lock,
};

/// The say in the rules, kept through NULL; let go when another gallery is named.
#[derive(Default)]
pub struct Membership(Mutex<Option<Member>>);

impl Membership {
    /// Takes a place among the elements whose rules the named gallery has.
    pub fn join(&self, settings: &Settings, element: &str) -> Result<Arc<RuleBook>, StoreError> {
        let location = Location::parse(&settings.gallery_location)?;
        let is_private = settings.gallery.is_empty() && location == Location::Memory;
        let mut member = lock(&self.0);
        let book = match &*member {
            // Nobody else has a say.
            Some(member) if is_private && member.is_private() => return Ok(member.book()),
            _ => registry::rules(&settings.gallery, &location),
        };
        if !member.as_ref().is_some_and(|m| m.is_of(&book)) {
            *member = Some(book.join(element, is_private));
        }
        Ok(book)
    }

    /// Says what the rules are to be; an error where another element says otherwise.
    pub fn declare(&self, rules: Rules) -> Result<(), Contradiction> {
        let member = lock(&self.0);
        member.as_ref().map_or(Ok(()), |m| m.declare(rules))
    }

    /// Says before anybody opens the gallery what its rules will be, so that nobody is dropped from it for want of them. What is
    /// wrong is an error when the element starts.
    pub fn announce(&self, settings: &Settings, element: &str) {
        if self.join(settings, element).is_ok()
            && let Some(member) = &*lock(&self.0)
        {
            member.announce(settings.rules());
        }
    }

    /// Says nothing until the next start.
    pub fn rest(&self) {
        if let Some(member) = &*lock(&self.0) {
            member.rest();
        }
    }
}
