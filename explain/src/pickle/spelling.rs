//! How older protocols spell values: in text.

use crate::base::Fault;
use crate::pickle::{Id, Node};

/// Returns the text of Latin-1 in which characters beyond it are `\uXXXX` or `\UXXXXXXXX`.
pub(super) fn raw_unicode(line: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        let length = match after.first() {
            Some(b'u') if *first == b'\\' => 4,
            Some(b'U') if *first == b'\\' => 8,
            _ => 0,
        };
        let digits = after.get(1..=length).filter(|_| length > 0);
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let Some(character) = escaped.and_then(char::from_u32) {
            out.push(character);
            rest = &after[1 + length..];
        } else {
            out.push(char::from(*first));
            rest = after;
        }
    }
    out
}

/// Returns a name as Python 3 has it; protocols before 3 wrote those of Python 2.
pub(super) fn named(module: &str, name: &str) -> Node {
    let module = match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        other => other,
    };
    Node::Name(Box::new((module.to_owned(), name.to_owned())))
}

pub(super) fn digits(line: &str) -> Fault {
    Fault::malformed(format!("`{}` is not a number", crate::base::shown(line)))
}

/// Reads a whole number in decimal digits.
pub(super) fn decimal(line: &str) -> Result<Node, Fault> {
    let trimmed = line.trim().trim_end_matches('L');
    if let Ok(value) = trimmed.parse::<i64>() {
        return Ok(Node::Int(value));
    }
    let unsigned = trimmed.strip_prefix('-').unwrap_or(trimmed);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(digits(line));
    }
    // As text it can still be set against another of its kind.
    Ok(Node::Text(trimmed.into()))
}

pub(super) fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::malformed("the pickle has a key without a value"));
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}
