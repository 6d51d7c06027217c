//! The bin: pads, properties and signals passed on, and the optional overlay.

use std::sync::{
    LazyLock, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    children::{Children, Role},
    settings::{self, OVERLAY},
};
use crate::{
    elements::{
        reidoverlay::BlurMode,
        reidtrack::{ReidTrack, signals},
    },
    media::caps,
};

pub struct ReidBin {
    sink: gst::GhostPad,
    src: gst::GhostPad,
    children: Children,
    /// Whether people are to be drawn.
    overlay: AtomicBool,
    /// Why the children are not linked, if they are not.
    fault: OnceLock<glib::BoolError>,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidBin {
    const NAME: &'static str = "GstReidBin";
    type Type = super::ReidBin;
    type ParentType = gst::Bin;

    fn with_class(class: &Self::Class) -> Self {
        let pad = |name: &str| {
            let template = class.pad_template(name).expect("a template of this class");
            gst::GhostPad::from_template(&template)
        };
        Self {
            sink: pad("sink"),
            src: pad("src"),
            children: Children::default(),
            overlay: AtomicBool::new(OVERLAY),
            fault: OnceLock::new(),
        }
    }
}

impl ObjectImpl for ReidBin {
    fn constructed(&self) {
        self.parent_constructed();
        if let Err(error) = self.assemble() {
            let _ = self.fault.set(error);
        }
        self.forward_announcements();
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match settings::find(pspec.name()) {
            Some(proxied) => {
                for &role in proxied.roles {
                    let child = self.children.get(role);
                    child.set_property_from_value(proxied.property, value);
                }
            }
            None => {
                let overlay = value.get().expect("checked by GObject");
                self.overlay.store(overlay, Ordering::Relaxed);
            }
        }
        if self.is_at_rest() {
            self.arrange();
        } else if let Some(fault) = self.hides_nobody() {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{fault}"));
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match settings::find(pspec.name()) {
            Some(proxied) => {
                let child = self.children.get(proxied.roles[0]);
                child.property_value(proxied.property)
            }
            None => self.overlay.load(Ordering::Relaxed).to_value(),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let mut all = signals::announcements();
            all.extend(signals::actions(asked));
            all
        });
        &SIGNALS
    }
}

/// The tracker of the bin that an action signal was emitted on.
fn asked(values: &[glib::Value]) -> ReidTrack {
    let bin: super::ReidBin = values[0].get().expect("checked by GObject");
    bin.imp().children.track.clone()
}

impl GstObjectImpl for ReidBin {}

impl ElementImpl for ReidBin {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person re-identification bin",
                "Filter/Analyzer/Video",
                "Detects, embeds, tracks and re-identifies people: yolodetect, reidembed, reidtrack and optionally reidoverlay in one element",
                crate::elements::shared::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::pad_templates(&caps::template()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            self.arrange();
            let fault = self.fault.get().map(ToString::to_string);
            if let Some(fault) = fault.or_else(|| self.hides_nobody()) {
                gst::element_imp_error!(self, gst::ResourceError::Settings, ("{fault}"));
                return Err(gst::StateChangeError);
            }
        }
        self.parent_change_state(transition)
    }
}

impl BinImpl for ReidBin {}

impl ReidBin {
    fn assemble(&self) -> Result<(), glib::BoolError> {
        let bin = self.obj();
        bin.add_pad(&self.sink)?;
        bin.add_pad(&self.src)?;
        self.children
            .assemble(bin.upcast_ref(), &self.sink, &self.src)
    }

    /// Tells by the bin's signals what the tracker tells.
    fn forward_announcements(&self) {
        for signal in signals::announcements() {
            let (bin, name) = (self.obj().downgrade(), signal.name().to_owned());
            self.children
                .track
                .connect(signal.name(), false, move |values| {
                    if let Some(bin) = bin.upgrade() {
                        bin.emit_by_name_with_values(&name, &values[1..]);
                    }
                    None
                });
        }
    }

    /// No data flows, now or soon.
    fn is_at_rest(&self) -> bool {
        let (_, current, pending) = self.obj().state(gst::ClockTime::ZERO);
        current.max(pending) <= gst::State::Ready
    }

    /// Puts the overlay in or takes it out, as the property says. Only while no data flows.
    fn arrange(&self) {
        let wanted = self.overlay.load(Ordering::Relaxed);
        if wanted == self.children.has_overlay() {
            return;
        }
        let bin = self.obj();
        let done = match wanted {
            true => self.children.insert_overlay(bin.upcast_ref(), &self.src),
            false => self.children.remove_overlay(bin.upcast_ref(), &self.src),
        };
        if let Err(error) = done {
            let _ = self.fault.set(error);
        }
    }

    /// What is said when people are to be made unrecognisable and nothing is there to do it.
    fn hides_nobody(&self) -> Option<String> {
        let overlay = self.children.get(Role::Overlay);
        let blur: BlurMode = overlay.property("blur");
        (blur != BlurMode::None && !self.children.has_overlay()).then(|| {
            "blur needs the overlay: set overlay=true before the start, or blur=none".to_owned()
        })
    }
}
