//! What a run left, read from its result file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use envbox_lockfiles::base::{Digest, fs::read};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ops::verify::VerifyError;
use crate::ops::verify::capture::Captured;

/// Something that a step leaves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "output", content = "path", rename_all = "kebab-case")]
pub enum Output {
    /// How it ended.
    Exit,
    /// What it printed to standard output.
    Stdout,
    /// What it printed to standard error.
    Stderr,
    /// What it did to a path of the project.
    File(String),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit => f.write_str("exit status"),
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => write!(f, "`{path}`"),
        }
    }
}

/// What an output is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum State {
    /// A number, or a signal.
    Exit {
        /// In words: `0`, `signal 9`.
        status: String,
    },
    /// Bytes that were printed.
    Stream {
        /// Their digest.
        digest: Digest,
        /// How many.
        size: u64,
    },
    /// A regular file.
    File {
        /// The digest of its bytes.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Its permissions, octal.
        mode: String,
    },
    /// A directory.
    Directory {
        /// Its permissions, octal.
        mode: String,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to.
        target: String,
    },
    /// The step removed it.
    Deleted,
    /// It is no output: a pipe, a socket, a device.
    Refused {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &Digest| digest.hex()[..12].to_owned();
        match self {
            Self::Exit { status } => f.write_str(status),
            Self::Stream { digest, size } => write!(f, "{size} bytes, {}", short(digest)),
            Self::File { digest, size, mode } => {
                write!(f, "{size} bytes, {}, mode {mode}", short(digest))
            }
            Self::Directory { mode } => write!(f, "a directory, mode {mode}"),
            Self::Symlink { target } => write!(f, "a link to `{target}`"),
            Self::Deleted => f.write_str("removed"),
            Self::Refused { reason } => write!(f, "no output: {reason}"),
        }
    }
}

/// All that a run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) outputs: BTreeMap<Output, State>,
}

impl Outcome {
    /// Says whether the step ended well.
    pub(super) fn succeeded(&self) -> bool {
        let exit = self.outputs.get(&Output::Exit);
        matches!(exit, Some(State::Exit { status }) if status == "0")
    }

    /// Adds what was printed.
    pub(super) fn printed(&mut self, output: Output, captured: &Captured) {
        let state = State::Stream {
            digest: captured.digest,
            size: captured.size,
        };
        self.outputs.insert(output, state);
    }
}

/// Reads the result file of a run.
///
/// # Errors
/// Returns [`VerifyError::Run`] when it says that envbox failed, [`VerifyError::Result`] when it is
/// none.
pub(super) fn read_result(file: &Path) -> Result<Outcome, VerifyError> {
    let bytes = read(file)?;
    let malformed = |reason: String| VerifyError::Result {
        file: file.to_path_buf(),
        reason,
    };
    let wire: Wire =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if let Some(error) = wire.error {
        return Err(VerifyError::Run {
            message: error.message,
            causes: error.causes,
            hints: error.hints,
        });
    }
    if let Some(reason) = wire.not_written {
        return Err(VerifyError::Run {
            message: "the outputs were not written".to_owned(),
            causes: vec![reason],
            hints: Vec::new(),
        });
    }
    outcome(wire).map_err(malformed)
}

/// The result file, as far as it is wanted here.
#[derive(Deserialize)]
struct Wire {
    error: Option<ErrorWire>,
    exit: Option<ExitWire>,
    #[serde(default)]
    changes: Vec<ChangeWire>,
    #[serde(default)]
    refused: Vec<RefusedWire>,
    not_written: Option<String>,
}

#[derive(Deserialize)]
struct ErrorWire {
    message: String,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default)]
    hints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ExitWire {
    Code(u8),
    Signal(i32),
}

#[derive(Deserialize)]
struct ChangeWire {
    path: String,
    path_hex: Option<String>,
    kind: String,
    #[serde(flatten)]
    rest: Value,
}

#[derive(Deserialize)]
struct RefusedWire {
    path: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum EntryWire {
    File {
        size: u64,
        sha256: String,
        mode: String,
    },
    Directory {
        mode: String,
    },
    Symlink {
        target: String,
    },
}

fn outcome(wire: Wire) -> Result<Outcome, String> {
    let mut outputs = BTreeMap::new();
    let status = match wire.exit.ok_or("it has no exit status")? {
        ExitWire::Code(code) => code.to_string(),
        ExitWire::Signal(signal) => format!("signal {signal}"),
    };
    outputs.insert(Output::Exit, State::Exit { status });
    for change in wire.changes {
        // Two names that are not UTF-8 may look the same.
        let name = match &change.path_hex {
            Some(hex) => format!("{} ({hex})", change.path),
            None => change.path.clone(),
        };
        outputs.insert(Output::File(name), state(&change)?);
    }
    for RefusedWire { path, reason } in wire.refused {
        outputs.insert(Output::File(path), State::Refused { reason });
    }
    Ok(Outcome { outputs })
}

fn state(change: &ChangeWire) -> Result<State, String> {
    if change.kind == "deleted" {
        return Ok(State::Deleted);
    }
    let entry = EntryWire::deserialize(&change.rest).map_err(|error| error.to_string())?;
    Ok(match entry {
        EntryWire::File { size, sha256, mode } => State::File {
            digest: Digest::from_hex(&sha256).map_err(|error| error.to_string())?,
            size,
            mode,
        },
        EntryWire::Directory { mode } => State::Directory { mode },
        EntryWire::Symlink { target } => State::Symlink { target },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("result.json");
        let hex = Digest::of(b"").hex();
        let text = format!(
            r#"{{"exit":{{"signal":9}},"changes":[
                {{"path":"a","kind":"created","type":"file","size":0,"sha256":"{hex}","mode":"0644","fate":"written"}},
                {{"path":"b","kind":"deleted","type":"file","fate":"written"}},
                {{"path":"c","kind":"modified","type":"symlink","target":"a","fate":"written"}}],
                "refused":[{{"path":"d","reason":"a pipe"}}],"new field":1}}"#
        );
        std::fs::write(&file, text).unwrap();
        let outcome = read_result(&file).unwrap();
        let shown = outcome.outputs.iter();
        let shown: Vec<String> = shown
            .map(|(one, state)| format!("{one}: {state}"))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        exit status: signal 9
        `a`: 0 bytes, e3b0c44298fc, mode 0644
        `b`: removed
        `c`: a link to `a`
        `d`: no output: a pipe
        ");
        assert!(!outcome.succeeded());
        for (text, error) in [
            ("{", "EOF"),
            ("{}", "it has no exit status"),
            (r#"{"error":{"message":"no such host"}}"#, "no such host"),
        ] {
            std::fs::write(&file, text).unwrap();
            let found = format!("{:?}", read_result(&file).unwrap_err());
            assert!(found.contains(error), "{found}");
        }
    }
}
