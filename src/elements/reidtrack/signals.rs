//! The signals: notifications and actions.

use gst_base::{prelude::*, subclass::prelude::*};

use super::ReidTrack;
use crate::core::{identity::Event, person::IdentityId};

/// The notification signals.
pub fn announcements() -> Vec<glib::subclass::Signal> {
    let signal = |name: &str, types: &[glib::Type]| {
        glib::subclass::Signal::builder(name)
            .param_types(types.iter().copied())
            .build()
    };
    let (number, text, score) = (
        u32::static_type(),
        String::static_type(),
        f32::static_type(),
    );
    vec![
        signal("identity-new", &[number, text, number]),
        signal("identity-matched", &[number, text, number, score]),
        signal("identity-merged", &[number, number]),
        signal("identity-split", &[number, number]),
        signal("identity-corrected", &[number, number, text, number]),
        signal("identity-lost", &[number]),
    ]
}

/// The action signals; `of` finds the tracker from the values of a signal.
pub fn actions(of: fn(&[glib::Value]) -> ReidTrack) -> Vec<glib::subclass::Signal> {
    let action = |name: &str| glib::subclass::Signal::builder(name).action().run_last();
    let number = |values: &[glib::Value], index: usize| -> IdentityId {
        IdentityId(values[index].get().expect("checked by GObject"))
    };
    let text = |values: &[glib::Value], index: usize| -> String {
        let text: Option<String> = values[index].get().expect("checked by GObject");
        text.unwrap_or_default()
    };
    vec![
        action("rename")
            .param_types([u32::static_type(), String::static_type()])
            .return_type::<bool>()
            .class_handler(move |values| {
                let done = of(values).rename(number(values, 1), &text(values, 2));
                Some(done.to_value())
            })
            .build(),
        action("merge")
            .param_types([u32::static_type(), u32::static_type()])
            .return_type::<bool>()
            .class_handler(move |values| {
                let done = of(values).merge(number(values, 1), number(values, 2));
                Some(done.to_value())
            })
            .build(),
        action("split")
            .param_types([u32::static_type(), String::static_type()])
            .return_type::<u32>()
            .class_handler(move |values| {
                let new = of(values).split(number(values, 1), &text(values, 2));
                Some(new.to_value())
            })
            .build(),
        action("forget")
            .param_types([u32::static_type()])
            .return_type::<bool>()
            .class_handler(move |values| {
                let done = of(values).forget(number(values, 1));
                Some(done.to_value())
            })
            .build(),
    ]
}

/// The element that a signal was emitted on.
pub fn emitter(values: &[glib::Value]) -> ReidTrack {
    values[0].get().expect("checked by GObject")
}

/// The handlers of the action signals.
impl ReidTrack {
    fn rename(&self, id: IdentityId, name: &str) -> bool {
        self.imp()
            .ask(|gallery| gallery.lock().rename(id, name).map(|()| ((), Vec::new())))
            .is_some()
    }

    fn merge(&self, from: IdentityId, into: IdentityId) -> bool {
        self.imp()
            .ask(|gallery| gallery.lock().merge(from, into).map(|events| ((), events)))
            .is_some()
    }

    fn split(&self, id: IdentityId, camera: &str) -> u32 {
        let camera = (!camera.is_empty()).then_some(camera);
        self.imp()
            .ask(|gallery| gallery.lock().split(id, camera))
            .map_or(0, |new| new.0)
    }

    fn forget(&self, id: IdentityId) -> bool {
        let imp = self.imp();
        let erased = imp.ask(|gallery| gallery.lock().forget(id).map(|events| ((), events)));
        if erased.is_some() {
            imp.wait_until_erased();
        }
        erased.is_some()
    }
}

/// Emits the signal for an event.
pub fn emit(obj: &ReidTrack, event: &Event, camera: &str) {
    match event {
        Event::New { id, track, .. } => {
            obj.emit_by_name::<()>("identity-new", &[&id.0, &camera, &track.0]);
        }
        Event::Split { from, into } => {
            obj.emit_by_name::<()>("identity-new", &[&into.0, &camera, &0_u32]);
            obj.emit_by_name::<()>("identity-split", &[&from.0, &into.0]);
        }
        Event::Matched {
            id, track, score, ..
        } => {
            obj.emit_by_name::<()>("identity-matched", &[&id.0, &camera, &track.0, score]);
        }
        Event::Merged { from, into } => {
            obj.emit_by_name::<()>("identity-merged", &[&from.0, &into.0]);
        }
        Event::Corrected {
            camera,
            track,
            from,
            into,
        } => {
            obj.emit_by_name::<()>(
                "identity-corrected",
                &[&from.0, &into.0, &&**camera, &track.0],
            );
        }
        Event::Lost { id } => obj.emit_by_name::<()>("identity-lost", &[&id.0]),
        Event::Left { .. } => {}
    }
}
