//! JSON whose bytes depend on the value alone.
//!
//! Objects are structs, written in the order of their fields, or `BTreeMap`s. A `serde_json::Value`
//! of our own making is not written: the order of its keys depends on a feature that any crate of
//! the program may switch.

use serde::Serialize;

/// Returns a document for people and programs: indented, with a line break at its end.
pub(super) fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("documents have string keys only");
    bytes.push(b'\n');
    bytes
}

/// Returns a document for programs: without white space.
pub(super) fn compact(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("documents have string keys only")
}
