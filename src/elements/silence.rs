//! Warns when no frame has people: no detector ran, or its metadata was dropped on the way.

use gst::glib;

use super::trail::Trail;

/// Frames without word of people before that is remarkable: ten seconds at 25 frames a second.
const FRAMES: u64 = 250;

/// Frames without word of people after which the elements in front are looked at.
const DOUBTFUL: u64 = 3;

/// Counts frames until the first that carries a list of people or a region of interest.
#[derive(Default)]
pub(super) struct Silence {
    frames: u64,
    /// A frame had people, or the warning was given.
    is_settled: bool,
    /// What passes the elements in front, once there is doubt.
    trail: Option<Trail>,
}

impl Silence {
    /// Whether to look at the elements in front, with no lock held, and to tell it by [`Self::follow`].
    pub(super) fn is_doubtful(&self) -> bool {
        !self.is_settled && self.trail.is_none() && self.frames >= DOUBTFUL
    }

    /// From now on it is known what passes the elements in front.
    pub(super) fn follow(&mut self, trail: Trail) {
        self.trail = Some(trail);
    }

    /// Takes note of a frame. What is to be said, once.
    pub(super) fn note(&mut self, was_looked_at: bool) -> Option<String> {
        self.is_settled |= was_looked_at;
        if self.is_settled {
            self.trail = None;
        }
        self.frames += 1;
        if self.frames < FRAMES {
            return None;
        }
        self.end()
    }

    /// The stream ends: fewer frames are enough.
    pub(super) fn end(&mut self) -> Option<String> {
        if self.frames == 0 || std::mem::replace(&mut self.is_settled, true) {
            return None;
        }
        let culprit = self.trail.take().and_then(|trail| trail.culprit());
        let remedy = match culprit {
            Some(culprit) => format!(
                "{culprit} in front drops the metadata: put it before the detector, or the detector behind it"
            ),
            None => "put a detector (yolodetect) in front. videocrop, videobox, videoflip, compositor and other elements that change the picture drop the metadata: put them before the detector".to_owned(),
        };
        Some(format!(
            "none of {} frames has a list of people or a region of interest: {remedy}",
            self.frames
        ))
    }
}

/// Refuses the result of `name= !` in `gst-launch-1.0`, which takes the `!` as the value and does not link the next element.
pub(super) fn refuse_swallowed_links(
    element: &impl glib::prelude::ObjectExt,
) -> Result<(), gst::ErrorMessage> {
    let all = element.list_properties();
    let text = all.iter().filter(|property| {
        property.value_type() == glib::Type::STRING
            && property.flags().contains(glib::ParamFlags::READWRITE)
    });
    for property in text {
        let name = property.name();
        if element.property::<Option<String>>(name).as_deref() == Some("!") {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("{name} is '!': gst-launch-1.0 takes the text after '{name}=' as its value, so the next element is not linked. Write {name}=\"\" for an empty value, in a shell '{name}=\"\"'")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_warned_about_once_and_at_the_end_at_the_latest() {
        let said = |frames: u64, looked_at: Option<u64>| {
            let mut silence = Silence::default();
            let notes: Vec<u64> = (1..=frames)
                .filter(|&i| silence.note(looked_at == Some(i)).is_some())
                .collect();
            (notes, silence.end().is_some())
        };
        assert_eq!(said(1000, None), (vec![FRAMES], false));
        assert_eq!(said(10, None), (vec![], true));
        assert_eq!(said(10, Some(10)), (vec![], false));
        assert_eq!(said(1000, Some(7)), (vec![], false));
        assert_eq!(said(0, None), (vec![], false));
    }
}
