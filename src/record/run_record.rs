//! What a run leaves: the tower it stood on, how it ended, and what came out.
//!
//! The document is JSON. Its `digest` is that of all other members in canonical form: keys sorted,
//! no white space (as RFC 8785 has it; there are no fractions in it). Layout therefore does not
//! matter, and a record that was changed by hand is noticed. A later envbox may add members under
//! the same schema; readers keep to those they know.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::read;
use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};
use envbox_sandbox::{Exit, Usage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{ChangeKind, Entry, EntryType, Fate, ProjectPath, RunId, Tower, WrittenChange};

/// The schema of the document. A field never changes its meaning under the same number.
pub const SCHEMA: &str = "envbox.run/1";

/// The part of the schema's name before its number.
const FAMILY: &str = "envbox.run/";

/// What a run leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run's name.
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The version of envbox.
    pub envbox: String,
    /// The environment's name.
    pub environment: String,
    /// The project's directory on the host; not in records that were asked for as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<PathBuf>,
    /// What it stood on.
    pub tower: Tower,
    /// How it ended; nothing while it runs, and after envbox was killed.
    pub ended: Option<EndedRecord>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRecord {
    /// How the step ended.
    pub exit: Ending,
    /// What it wrote to standard output, if that was looked at.
    pub stdout: Option<Stream>,
    /// What it wrote to standard error, if that was looked at.
    pub stderr: Option<Stream>,
    /// What it changed in the project, sorted by path; not known with direct access.
    pub outputs: Option<Vec<Output>>,
    /// What it used.
    pub usage: UsageRecord,
    /// What people should know although it ran.
    pub warnings: Vec<String>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// With a status.
    Code(u8),
    /// By a signal.
    Signal(i32),
}

/// What a step wrote to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The digest.
    pub sha256: Digest,
    /// How many bytes.
    pub size: u64,
}

/// Something that a step changed in the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The path.
    #[serde(flatten)]
    pub path: ProjectPath,
    /// What became of it.
    pub kind: ChangeKind,
    /// What it is, or was.
    pub r#type: EntryType,
    /// The size of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The permissions, in octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether the host's project has it under this path.
    pub written: bool,
    /// Whether the content is kept in the store.
    pub kept: bool,
}

/// What a step used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Real time in microseconds.
    pub wall_us: u64,
    /// Processor time outside of the kernel in microseconds.
    pub user_us: u64,
    /// Processor time in the kernel in microseconds.
    pub system_us: u64,
    /// The most memory at one time, of the largest process, in bytes.
    pub max_rss: u64,
}

/// A record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunRecordError {
    /// The file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// It is something else.
    #[error("`{}` is not a run record", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// It is a document of another kind.
    #[error("`{}` is not a run record but `{found}`", file.display())]
    Schema {
        /// The file.
        file: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// A later envbox wrote it.
    #[error("`{}` was written by a later envbox (`{found}`)", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: String,
    },
    /// It was changed after it was written.
    #[error("`{}` was changed after it was written: its digest is {found}, not {expected}", file.display())]
    Tampered {
        /// The file.
        file: PathBuf,
        /// The digest that it names.
        expected: String,
        /// The digest that it has.
        found: Digest,
    },
}

impl Explain for RunRecordError {
    fn kind(&self) -> Kind {
        match self {
            Self::Fs(error) => error.kind(),
            Self::Tampered { .. } => Kind::Integrity,
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Fs(error) => return error.hints(),
            Self::Malformed { .. } | Self::Schema { .. } => {
                "name a file that `envbox run --record FILE` wrote"
            }
            Self::Newer { .. } => "update envbox",
            Self::Tampered { .. } => {
                "take the file as it was written, or make it anew with `envbox run --record FILE`"
            }
        };
        vec![hint.to_owned()]
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    digest: Digest,
    #[serde(flatten)]
    record: &'a RunRecord,
}

#[derive(Serialize)]
struct Unsigned<'a> {
    schema: &'static str,
    #[serde(flatten)]
    record: &'a RunRecord,
}

impl RunRecord {
    /// Returns the document.
    pub fn to_bytes(&self) -> Vec<u8> {
        let schema = SCHEMA;
        let unsigned = Unsigned {
            schema,
            record: self,
        };
        let value = serde_json::to_value(&unsigned).expect("all keys are text");
        let document = Document {
            schema,
            digest: Digest::of(canonical(&value).as_bytes()),
            record: self,
        };
        let mut bytes = serde_json::to_vec_pretty(&document).expect("all keys are text");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the record in `file`.
    ///
    /// # Errors
    /// Returns [`RunRecordError`] when there is none that is whole.
    pub fn read(file: &Path) -> Result<Self, RunRecordError> {
        Self::parse(&read(file)?, file)
    }

    /// Reads a record; `file` is for errors.
    ///
    /// # Errors
    /// Returns [`RunRecordError`] when it is none that is whole.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, RunRecordError> {
        let malformed = |source| RunRecordError::Malformed {
            file: file.to_path_buf(),
            source,
        };
        let mut value: Value = serde_json::from_slice(bytes).map_err(malformed)?;
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let schema = text(value.get("schema").cloned());
        if schema != SCHEMA {
            return Err(another(file, schema));
        }
        let expected = text(value.as_object_mut().and_then(|all| all.remove("digest")));
        let found = Digest::of(canonical(&value).as_bytes());
        if found.to_string() != expected {
            return Err(RunRecordError::Tampered {
                file: file.to_path_buf(),
                expected,
                found,
            });
        }
        Self::deserialize(value).map_err(malformed)
    }

    /// Returns the outputs whose bytes matter: what is there after the run, by path.
    pub fn results(&self) -> impl Iterator<Item = &Output> {
        let outputs = self.ended.iter().filter_map(|ended| ended.outputs.as_ref());
        outputs
            .flatten()
            .filter(|output| output.r#type != EntryType::Directory)
    }
}

fn another(file: &Path, found: String) -> RunRecordError {
    let file = file.to_path_buf();
    let number: Option<u32> = found.strip_prefix(FAMILY).and_then(|n| n.parse().ok());
    match number {
        Some(number) if number > 1 => RunRecordError::Newer { file, found },
        _ => RunRecordError::Schema { file, found },
    }
}

/// Returns a value as text that depends on nothing else.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            // Whether a map keeps its keys sorted is up to a feature that any crate may switch.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

impl From<Exit> for Ending {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl From<&Usage> for UsageRecord {
    fn from(usage: &Usage) -> Self {
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            wall_us: micros(usage.wall),
            user_us: micros(usage.user),
            system_us: micros(usage.system),
            max_rss: usage.max_rss,
        }
    }
}

impl Output {
    /// Returns what became of a path.
    pub fn new(path: &ProjectPath, kind: ChangeKind, entry: &Entry, written: bool) -> Self {
        let mut output = Self {
            path: path.clone(),
            kind,
            r#type: EntryType::File,
            size: None,
            sha256: None,
            mode: None,
            target: None,
            written,
            kept: false,
        };
        let octal = |mode: u32| Some(format!("{mode:04o}"));
        match entry {
            Entry::File { size, sha256, mode } => {
                output.size = Some(*size);
                output.sha256 = Some(*sha256);
                output.mode = octal(*mode);
            }
            Entry::Directory { mode } => {
                output.r#type = EntryType::Directory;
                output.mode = octal(*mode);
            }
            Entry::Symlink { target } => {
                output.r#type = EntryType::Symlink;
                output.target = Some(target.to_string_lossy().into_owned());
            }
            Entry::Gone { r#type } => output.r#type = *r#type,
        }
        output
    }
}

impl From<&WrittenChange> for Output {
    fn from(written: &WrittenChange) -> Self {
        let change = &written.change;
        let home = matches!(written.fate, Fate::Written);
        Self::new(&change.path, change.kind, &change.entry, home)
    }
}
