//! Python, of a value of JSON.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns a value as Python writes it, in lines that are `depth` steps in.
pub(super) fn python(value: &Value, depth: usize) -> String {
    let mut text = String::new();
    write(&mut text, value, depth);
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Object(members) if !members.is_empty() => {
            text.push_str("{\n");
            for (key, value) in members {
                indent(text, depth + 1);
                let _ = write!(text, "{}: ", Value::from(key.as_str()));
                write(text, value, depth + 1);
                text.push_str(",\n");
            }
            indent(text, depth);
            text.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            text.push_str("[\n");
            for item in items {
                indent(text, depth + 1);
                write(text, item, depth + 1);
                text.push_str(",\n");
            }
            indent(text, depth);
            text.push(']');
        }
        // Numbers and strings of JSON are Python's as well.
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.push_str(&"    ".repeat(depth));
}
