//! As much of JSON Schema as the committed files use.

use serde_json::Value;

/// What is wrong with `value`; `root` holds what `$ref` names.
pub fn faults(value: &Value, schema: &Value, root: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(value, schema, root, "", &mut found);
    found
}

fn check(value: &Value, schema: &Value, root: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let inner = root.pointer(name.trim_start_matches('#'));
        return check(value, inner.expect(name), root, at, found);
    }
    if let Some(kinds) = schema.get("type") {
        let is = |kind: &Value| match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{other}"),
        };
        let fits = kinds
            .as_array()
            .map_or_else(|| is(kinds), |kinds| kinds.iter().any(is));
        if !fits {
            found.push(format!("{at}: {value} is no {kinds}"));
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(ways) = schema[key].as_array()
            && ways.iter().all(|way| !faults(value, way, root).is_empty())
        {
            found.push(format!("{at}: {value} is none of {key}"));
        }
    }
    let known = schema["enum"].as_array();
    if known.is_some_and(|known| !known.contains(value))
        || schema.get("const").is_some_and(|c| c != value)
    {
        found.push(format!("{at}: {value} is unknown"));
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match schema["properties"].get(key) {
            Some(property) => check(inner, property, root, &at, found),
            None if schema["additionalProperties"] == false => {
                found.push(format!("{at} is unknown"));
            }
            None => {}
        }
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(key.as_str().unwrap()).is_none() {
            found.push(format!("{at}: {key} is missing"));
        }
    }
    if let Some(item) = schema.get("items") {
        for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
            check(inner, item, root, &format!("{at}[{i}]"), found);
        }
    }
}
