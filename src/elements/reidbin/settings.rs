//! The properties, and the child of each. Defaults, ranges and most blurbs come from the children.

use gst::{glib, prelude::*};

use super::children::Role;
use crate::elements::reidoverlay::BlurMode;

/// Whether people are drawn, unless somebody says otherwise.
pub const OVERLAY: bool = false;

/// A property that is passed on.
pub struct Proxied {
    /// What the bin calls it.
    name: &'static str,
    /// Whose it is; read from the first.
    pub roles: &'static [Role],
    /// What they call it.
    pub property: &'static str,
    /// What is said of it before the child's own words.
    lead: &'static str,
}

const fn proxied(name: &'static str, role: &'static [Role], property: &'static str) -> Proxied {
    Proxied {
        name,
        roles: role,
        property,
        lead: "",
    }
}

const PROXIED: [Proxied; 8] = [
    proxied("detector", &[Role::Detect], "model"),
    proxied("embedder", &[Role::Embed], "model"),
    Proxied {
        lead: "For detector and embedder. ",
        ..proxied("device", &[Role::Detect, Role::Embed], "device")
    },
    proxied("gallery", &[Role::Track], "gallery"),
    proxied("gallery-location", &[Role::Track], "gallery-location"),
    proxied("camera", &[Role::Track], "camera"),
    proxied("topology", &[Role::Track], "topology"),
    Proxied {
        lead: "Needs overlay=true. ",
        ..proxied("blur", &[Role::Overlay], "blur")
    },
];

/// The property of this name, if it is passed on.
pub fn find(name: &str) -> Option<&'static Proxied> {
    PROXIED.iter().find(|proxied| proxied.name == name)
}

/// The specifications of all properties.
pub fn properties() -> Vec<glib::ParamSpec> {
    let mut all: Vec<glib::ParamSpec> = PROXIED.iter().map(Proxied::spec).collect();
    all.push(
        glib::ParamSpecBoolean::builder("overlay")
            .nick("Overlay")
            .blurb("Draw boxes and labels into the picture with reidoverlay. Can be changed in NULL and READY")
            .default_value(OVERLAY)
            .mutable_ready()
            .build(),
    );
    all
}

impl Proxied {
    /// The child's specification under the bin's name.
    fn spec(&self) -> glib::ParamSpec {
        let class = glib::Class::<glib::Object>::from_type(self.roles[0].element_type());
        let spec = class
            .and_then(|class| class.find_property(self.property))
            .expect("a property of the child");
        let blurb = format!("{}{}", self.lead, spec.blurb().unwrap_or_default());
        match spec.default_value().get::<BlurMode>() {
            Ok(default) => glib::ParamSpecEnum::builder_with_default(self.name, default)
                .nick(spec.nick())
                .blurb(&blurb)
                .flags(spec.flags())
                .build(),
            Err(_) => glib::ParamSpecString::builder(self.name)
                .nick(spec.nick())
                .blurb(&blurb)
                .default_value(spec.default_value().get::<Option<&str>>().ok().flatten())
                .flags(spec.flags())
                .build(),
        }
    }
}
