//! Documents against their JSON Schemas.

use serde_json::Value;

/// As much of JSON Schema as the schemas use, and stricter: what is there must be described. Whether
/// the schemas are valid ones is checked with somebody else's validator.
pub fn check(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    if let Some(Value::String(reference)) = schema.get("$ref") {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return check(root, target, value, path, wrong);
    }
    // Anything: a document of its own, as a result among the events.
    if schema.as_object().is_some_and(serde_json::Map::is_empty) {
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match schema.get("type") {
        Some(Value::String(expected)) if expected == kind => {}
        Some(Value::String(expected)) if (expected.as_str(), kind) == ("number", "integer") => {}
        Some(Value::Array(expected)) if expected.iter().any(|one| one == kind) => {}
        None => {}
        Some(other) => wrong.push(format!("{path}: {kind} is not {other}")),
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        wrong.push(format!("{path}: {value} is none of the words"));
    }
    if let (Value::Array(items), Some(of)) = (value, schema.get("items")) {
        for (at, item) in items.iter().enumerate() {
            check(root, of, item, &format!("{path}/{at}"), wrong);
        }
    }
    if let Value::Object(members) = value {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().unwrap()) {
                wrong.push(format!("{path}: {name} is missing"));
            }
        }
        for (name, member) in members {
            let path = format!("{path}/{name}");
            let of = schema["properties"].get(name);
            match of.or_else(|| schema.get("additionalProperties")) {
                Some(of @ Value::Object(_)) => check(root, of, member, &path, wrong),
                _ => wrong.push(format!("{path} is not in the schema")),
            }
        }
    }
}
