//! Prints docs/properties.md: the properties of all elements, as they are registered.
//!
//! ```text
//! cargo run --example properties > docs/properties.md
//! ```

use gst::prelude::*;

/// The elements in the order of the page.
pub const ELEMENTS: [&str; 7] = [
    "reidbin",
    "yolodetect",
    "reidembed",
    "reidtrack",
    "reidoverlay",
    "reidpublish",
    "reidtestsrc",
];

const HEAD: &str = "\
# Properties

Generated from the registered elements by `cargo run --example properties > docs/properties.md`. Do not edit.

*Changeable* is the highest state in which a property can be set. A string without a default is not set.
";

/// The page. The plugin must be registered.
pub fn page() -> Result<String, glib::BoolError> {
    let mut text = HEAD.to_owned();
    for name in ELEMENTS {
        let factory = gst::ElementFactory::find(name)
            .ok_or_else(|| glib::bool_error!("{name} is not registered"))?;
        let element = factory.create().build()?;
        text += &format!(
            "\n## {name}\n\n{}.\n\n",
            factory.metadata("description").unwrap_or_default()
        );
        text += "| property | type | default | range | changeable | description |\n|---|---|---|---|---|---|\n";
        let mut own: Vec<_> = element
            .list_properties()
            .iter()
            .filter(|property| property.owner_type() == element.type_())
            .cloned()
            .collect();
        own.sort_by_key(|property| property.name().to_owned());
        own.iter().for_each(|property| text += &row(property));
        own.iter().for_each(|property| text += &choices(property));
    }
    Ok(text)
}

fn row(property: &glib::ParamSpec) -> String {
    let blurb = property.blurb().unwrap_or_default();
    let blurb = blurb.split(" Can be changed in ").next().unwrap_or(blurb);
    format!(
        "| `{}` | {} | {} | {} | {} | {} |\n",
        property.name(),
        property.value_type().name(),
        code(default_of(property)),
        range_of(property).unwrap_or_default(),
        changeable(property),
        blurb
    )
}

fn code(text: String) -> String {
    match text.is_empty() {
        true => text,
        false => format!("`{text}`"),
    }
}

fn changeable(property: &glib::ParamSpec) -> &'static str {
    let flags = property.flags();
    if !flags.contains(glib::ParamFlags::WRITABLE) {
        "read-only"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "PLAYING"
    } else {
        "READY"
    }
}

/// The default, as a launch line has it; empty for none.
fn default_of(property: &glib::ParamSpec) -> String {
    if !property.flags().contains(glib::ParamFlags::WRITABLE) {
        return String::new();
    }
    let value = property.default_value();
    if let Ok(text) = value.get::<Option<String>>() {
        return text.unwrap_or_default();
    }
    if let Some((_, value)) = glib::EnumValue::from_value(value) {
        return value.nick().to_owned();
    }
    if let Ok(number) = value.get::<f32>() {
        return number.to_string();
    }
    let text = value.serialize();
    text.map(|text| text.to_string()).unwrap_or_default()
}

/// Smallest and largest value of a number.
fn range_of(property: &glib::ParamSpec) -> Option<String> {
    let range = |least: String, most: String| Some(format!("{least} – {most}"));
    if let Some(p) = property.downcast_ref::<glib::ParamSpecInt>() {
        return range(p.minimum().to_string(), p.maximum().to_string());
    }
    if let Some(p) = property.downcast_ref::<glib::ParamSpecUInt>() {
        return range(p.minimum().to_string(), p.maximum().to_string());
    }
    if let Some(p) = property.downcast_ref::<glib::ParamSpecInt64>() {
        return range(p.minimum().to_string(), p.maximum().to_string());
    }
    if let Some(p) = property.downcast_ref::<glib::ParamSpecUInt64>() {
        return range(p.minimum().to_string(), p.maximum().to_string());
    }
    let p = property.downcast_ref::<glib::ParamSpecFloat>()?;
    range(p.minimum().to_string(), p.maximum().to_string())
}

/// A table of the values of an enumeration; empty for other types.
fn choices(property: &glib::ParamSpec) -> String {
    let Some(class) = glib::EnumClass::with_type(property.value_type()) else {
        return String::new();
    };
    let name = property.name();
    let mut text = format!("\n| `{name}` | |\n|---|---|\n");
    for value in class.values() {
        text += &format!("| `{}` | {} |\n", value.nick(), value.name());
    }
    text
}

#[allow(dead_code)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gstreid::plugin_register_static()?;
    print!("{}", page()?);
    Ok(())
}
