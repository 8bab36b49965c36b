//! Results to text and JSON. The only place that prints.

pub(crate) mod audit;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod progress;
pub(crate) mod records;
pub(crate) mod tree;
pub(crate) mod verify;

use std::error::Error;
use std::io::{self, Write};

use envbox::base::{Explain, Kind};
use envbox::ops;
use envbox_sandbox::mirror_signal;
use serde::Serialize;

use crate::ambient::AmbientError;
use crate::exit;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Before the library was called.
    Ambient(AmbientError),
    /// In the library.
    Verb(Box<ops::Error>),
    /// The result cannot be written to standard output.
    Output(io::Error),
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

impl Failure {
    /// Returns the error.
    pub(crate) fn error(&self) -> &dyn Error {
        match self {
            Self::Ambient(error) => error,
            Self::Verb(error) => error.as_ref(),
            Self::Output(error) => error,
        }
    }

    /// Returns whose turn it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Ambient(error) => error.kind(),
            Self::Verb(error) => error.kind(),
            Self::Output(_) => Kind::Host,
        }
    }

    /// Returns the remedies.
    pub(crate) fn hints(&self) -> Vec<String> {
        match self {
            Self::Ambient(error) => error.hints(),
            Self::Verb(error) => error.hints(),
            Self::Output(_) => Vec::new(),
        }
    }

    /// Returns the lines of the file in question.
    pub(crate) fn excerpt(&self) -> Option<String> {
        match self {
            Self::Verb(error) => error.excerpt(),
            _ => None,
        }
    }

    /// Returns the code to exit with where a step's status is passed through.
    pub(crate) fn run_code(&self) -> u8 {
        match self {
            Self::Verb(error) => error.run_exit_status(),
            _ => exit::RUN_FAILED,
        }
    }
}

/// What a command did, by the name of its schema.
#[derive(Serialize)]
pub(crate) struct Document<'a, T> {
    pub(crate) schema: &'a str,
    #[serde(flatten)]
    pub(crate) report: &'a T,
}

/// Prints one JSON document.
pub(crate) fn document<T: Serialize>(schema: &str, report: &T) -> Result<(), Failure> {
    json(&Document { schema, report })
}

/// Prints a document that names its schema itself.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(document).expect("reports have string keys only");
    text.push('\n');
    result(&text)
}

/// Dies of the signal that a step died of. Who waits for us sees that as if there had been nothing
/// between.
pub(crate) fn mirror(signal: i32) {
    events::finish();
    mirror_signal(signal);
}

/// Prints results.
pub(crate) fn result(text: &str) -> Result<(), Failure> {
    let mut stream = anstream::stdout().lock();
    match stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush())
    {
        // A reader that went away has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a line that is no result.
pub(crate) fn note(text: &str) {
    // Where nobody can be told, nobody can be told that either.
    let _unheard = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints a question, and leaves the cursor where the answer goes.
pub(crate) fn prompt(text: &str) {
    let mut stream = anstream::stderr().lock();
    let _unheard = write!(stream, "{text}").and_then(|()| stream.flush());
}

/// Prints a warning.
pub(crate) fn warning(text: &str) {
    note(&format!("\x1b[1;33mwarning:\x1b[0m {text}"));
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
