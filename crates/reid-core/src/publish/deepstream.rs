//! NVIDIA DeepStream's minimal message schema, as `nvmsgconv payload-type=1` writes it: one object per frame, one text per person.

use serde::Serialize;

use super::{FrameFacts, published, rfc3339_ms};
use crate::person::Person;

/// The schema's version (`deepstream_schema/eventmsg_payload.cpp` of DeepStream's `nvmsgconv`).
const VERSION: &str = "4.0";

/// What stands in place of a person's gender, age, hair, cap and apparel, which nobody here looks at; then comes the confidence.
const NO_ATTRIBUTES: &str = "|#||||||";

#[derive(Serialize)]
struct Message<'a> {
    version: &'static str,
    id: u64,
    #[serde(rename = "@timestamp")]
    timestamp: String,
    #[serde(rename = "sensorId")]
    sensor_id: &'a str,
    objects: Vec<String>,
}

/// The message of frame number `number` (from 0) without its end. `None` for a frame without people unless `add_empty`. Where it is
/// unknown when the frame was taken, its stream time counts from 1970.
pub fn deepstream_line(
    number: u64,
    frame: &FrameFacts<'_>,
    people: &[Person],
    add_empty: bool,
) -> Option<String> {
    let objects: Vec<String> = published(people).map(object).collect();
    if objects.is_empty() && !add_empty {
        return None;
    }
    let message = Message {
        version: VERSION,
        id: number,
        timestamp: rfc3339_ms(frame.utc_ns.or(frame.timestamp_ns).unwrap_or(0)),
        sensor_id: frame.camera,
        objects,
    };
    // Plain structures of numbers and text always serialise.
    serde_json::to_string(&message).ok()
}

/// `identity|left|top|right|bottom|class`, edges in px; the confidence of a person follows behind empty attributes.
fn object(person: &Person) -> String {
    let identity = person.identity.as_ref();
    let id = identity.map_or(-1, |identity| i64::from(identity.id.0));
    let rect = &person.rect;
    let [left, top, right, bottom] = [rect.x, rect.y, rect.right(), rect.bottom()].map(px);
    // A bar would begin another field.
    let label = person.label.replace('|', " ");
    let mut text = format!("{id}|{left}|{top}|{right}|{bottom}|{label}");
    if label.eq_ignore_ascii_case("person") {
        text += &format!("{NO_ATTRIBUTES}{}", super::tidy(person.confidence));
    }
    text
}

/// Hundredths of a px.
fn px(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}
