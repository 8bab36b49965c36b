//! Results to text and JSON. The only place that prints.

pub(crate) mod error;
pub(crate) mod progress;

use std::io::{self, Write};

use envbox::ops;
use serde::Serialize;

use crate::ambient::AmbientError;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Before the library was called.
    Ambient(AmbientError),
    /// In the library.
    Verb(Box<ops::Error>),
}

impl From<AmbientError> for Failure {
    fn from(error: AmbientError) -> Self {
        Self::Ambient(error)
    }
}

impl From<ops::Error> for Failure {
    fn from(error: ops::Error) -> Self {
        Self::Verb(Box::new(error))
    }
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    report: &'a T,
}

/// Prints one JSON document.
pub(crate) fn document<T: Serialize>(schema: &str, report: &T) {
    json(&Document { schema, report });
}

/// Prints a document that names its schema itself.
pub(crate) fn json(document: &impl Serialize) {
    line(&serde_json::to_string_pretty(document).expect("reports have string keys only"));
}

/// Prints a line of results.
pub(crate) fn line(text: &str) {
    write(io::stdout().lock(), text);
}

/// Prints a line that is no result.
pub(crate) fn note(text: &str) {
    write(io::stderr().lock(), text);
}

fn write(mut stream: impl Write, text: &str) {
    // A reader that went away has seen enough: that is no failure of ours.
    let _closed = writeln!(stream, "{text}");
}

/// Returns a size for people.
pub(crate) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}
