//! YAML, of a value of JSON.
//!
//! A string is written as it is only when no version of YAML reads it as anything else, and with quotes
//! otherwise, as a string of JSON, which is one of YAML as well. So `no`, `1e3` and `2020-01-01` are
//! strings for readers of YAML 1.1, which Kubernetes has, as for those of 1.2.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that some reader takes for something else than a string.
const WORDS: [&str; 11] = [
    "false", "inf", "n", "nan", "no", "null", "off", "on", "true", "y", "yes",
];

/// Returns the text of a value: a document, or a part of one.
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) => {
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    indent(text, depth);
                }
                text.push_str(&scalar(key));
                text.push(':');
                below(text, value, depth);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    indent(text, depth);
                }
                text.push_str("- ");
                match is_block(item) {
                    true => write(text, item, depth + 1),
                    false => leaf(text, item),
                }
            }
        }
        _ => leaf(text, value),
    }
}

/// Writes what belongs to a key.
fn below(text: &mut String, value: &Value, depth: usize) {
    if !is_block(value) {
        text.push(' ');
        return leaf(text, value);
    }
    text.push('\n');
    // A list may stand where its key does.
    let depth = if value.is_array() { depth } else { depth + 1 };
    indent(text, depth);
    write(text, value, depth);
}

fn indent(text: &mut String, depth: usize) {
    text.push_str(&"  ".repeat(depth));
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn leaf(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => text.push_str(&scalar(value)),
        // Numbers, words and empty collections are the same in both.
        other => {
            let _ = write!(text, "{other}");
        }
    }
    text.push('\n');
}

fn scalar(text: &str) -> String {
    match is_plain(text) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn is_plain(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !WORDS.contains(&lower.as_str())
}

/// Characters that YAML wants escaped and JSON does not are escaped as well.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    let mut quoted = String::new();
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_blocks() {
        let value = json!({
            "a": { "b": [ { "c": 1, "d": [] }, "x y", true, [ "e", {} ] ], "f": {} },
            "g": "no", "h": "1e3", "i/j": null, "2020-01-01": "v1.2-3",
        });
        insta::assert_snapshot!(yaml(&value), @r#"
        "2020-01-01": v1.2-3
        a:
          b:
          - c: 1
            d: []
          - "x y"
          - true
          - - e
            - {}
          f: {}
        g: "no"
        h: "1e3"
        i/j: null
        "#);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ -~]{0,12}",
            "[a-z0-9.:-]{0,6}",
            prop::sample::select(&WORDS[..]).prop_map(str::to_uppercase),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{1,8}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn readers_read_what_was_written(value in values()) {
            let value = json!({ "a": value });
            let text = yaml(&value);
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
