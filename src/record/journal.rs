//! The records of a user's runs, in a directory of their own.
//!
//! ```text
//! $state/runs/
//! ├── <run id>.json      a run's record
//! └── tags/<name>        the id of the run that has this tag
//! ```
//!
//! Names of runs sort by time, so the newest are found without reading any.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use envbox_lockfiles::base::fs::{create_dir_all, read, write_unsynced};
use envbox_lockfiles::base::{Explain, FsError, Kind};
use memchr::memmem;
use serde_json::Value;

use crate::record::{RunId, RunRecord, RunRecordError};

/// How many hex digits of a run's id name it at least: fewer could be a tag.
const SHORTEST: usize = 4;

/// The records of a user's runs.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
}

/// How a user names a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunName {
    /// `@1` is the newest, `@2` the one before.
    Recent(usize),
    /// The first or last digits of its id, or a tag.
    Word(String),
    /// A file that has the record.
    File(PathBuf),
}

/// No run has this name, or several have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is no directory for records.
    #[error("there is no directory for run records")]
    Nowhere,
    /// No run has the name.
    #[error("no run is named `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// There are not so many runs.
    #[error("there is no run `{name}`: {count} are on record{}", match project { true => " for this project", false => "" })]
    Few {
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
        /// Whether only those of a project count.
        project: bool,
    },
    /// Several runs have the name.
    #[error("`{name}` names {} runs: {}", found.len(), shown(found))]
    Several {
        /// The name.
        name: String,
        /// Those that it names.
        found: Vec<RunId>,
    },
    /// The tag would name something else.
    #[error("`{tag}` cannot be a tag")]
    Tag {
        /// The tag.
        tag: String,
    },
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RunRecordError),
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
}

fn shown(found: &[RunId]) -> String {
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Explain for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Nowhere => Kind::Host,
            Self::Record(error) => error.kind(),
            Self::Fs(error) => error.kind(),
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Nowhere => "set `XDG_STATE_HOME` or `HOME` to a directory",
            Self::Unknown { .. } | Self::Few { .. } => {
                "run `envbox runs --all` to see those on record"
            }
            Self::Several { .. } => "give more digits",
            Self::Tag { .. } => {
                "use letters, digits, `.`, `_` and `-`, begin with a letter, and do not look like a run's id"
            }
            Self::Record(error) => return error.hints(),
            Self::Fs(error) => return error.hints(),
        };
        vec![hint.to_owned()]
    }
}

impl Journal {
    /// Returns the journal in `directory`, which need not exist.
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
        }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory. Only the user can look into it: command lines may be private.
    ///
    /// # Errors
    /// Returns [`FsError`] when it cannot be made.
    pub fn create(&self) -> Result<(), FsError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let made = builder.create(&self.directory);
        made.map_err(FsError::at("create", &self.directory))
    }

    /// Returns the file of a run's record.
    pub fn file(&self, run: RunId) -> PathBuf {
        self.directory.join(format!("{run}.json"))
    }

    /// Writes the record of a run that has begun.
    ///
    /// # Errors
    /// Returns [`FsError`] when it cannot be written.
    pub fn begin(&self, record: &RunRecord) -> Result<(), FsError> {
        let file = self.file(record.run);
        fs::write(&file, record.to_bytes()).map_err(|error| {
            // Half of it, on a full disk, would stand for a run that nobody can read.
            drop(fs::remove_file(&file));
            FsError::at("write", &file)(error)
        })
    }

    /// Writes the record of a run that has ended, as one step. Not synced, as the run's outputs are not:
    /// what a crash of the machine takes, it takes together.
    ///
    /// # Errors
    /// Returns [`FsError`] when it cannot be written.
    pub fn end(&self, record: &RunRecord) -> Result<(), FsError> {
        write_unsynced(&self.file(record.run), &record.to_bytes())
    }

    /// Returns the names of all runs, the newest first.
    ///
    /// # Errors
    /// Returns [`FsError`] when the directory cannot be read.
    pub fn runs(&self) -> Result<Vec<RunId>, FsError> {
        let mut runs: Vec<RunId> = names(&self.directory)?
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .collect();
        runs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(runs)
    }

    /// Returns the records of a project's runs, or of all, the newest first. What cannot be read is
    /// an error of its own.
    ///
    /// # Errors
    /// Returns [`FsError`] when the directory cannot be read.
    pub fn records<'a>(
        &'a self,
        project: Option<&'a Path>,
    ) -> Result<impl Iterator<Item = Result<RunRecord, RunRecordError>> + 'a, FsError> {
        // Most are those of other projects: reading them for more than a path would take seconds.
        let needle = project.map(|project| Value::from(project.to_string_lossy()).to_string());
        let read = move |run| {
            let file = self.file(run);
            let bytes = match read(&file) {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error.into())),
            };
            if let Some(needle) = &needle
                && memmem::find(&bytes, needle.as_bytes()).is_none()
            {
                return None;
            }
            Some(RunRecord::parse(&bytes, &file))
        };
        let of_project = move |record: &Result<RunRecord, RunRecordError>| match (project, record) {
            (Some(project), Ok(record)) => record.project.as_deref() == Some(project),
            _ => true,
        };
        Ok(self.runs()?.into_iter().filter_map(read).filter(of_project))
    }

    /// Finds the record of a run; `@1` counts those of `project`, if there is one.
    ///
    /// # Errors
    /// Returns [`JournalError`] when not exactly one run has the name, or its record is not whole.
    pub fn find(&self, name: &RunName, project: Option<&Path>) -> Result<RunRecord, JournalError> {
        match name {
            RunName::File(file) => Ok(RunRecord::read(file)?),
            RunName::Recent(number) => self.recent(*number, project),
            RunName::Word(word) => Ok(RunRecord::read(&self.file(self.named(word)?))?),
        }
    }

    fn recent(&self, number: usize, project: Option<&Path>) -> Result<RunRecord, JournalError> {
        let mut count = 0;
        for record in self.records(project)? {
            count += 1;
            if count == number {
                return Ok(record?);
            }
        }
        Err(JournalError::Few {
            name: format!("@{number}"),
            count,
            project: project.is_some(),
        })
    }

    /// Returns the run that has a tag, or an id with these digits first or last.
    ///
    /// # Errors
    /// Returns [`JournalError`] when not exactly one run has the name.
    pub fn named(&self, word: &str) -> Result<RunId, JournalError> {
        let tag = self.directory.join("tags").join(word);
        if is_tag(word)
            && let Ok(text) = fs::read_to_string(&tag)
            && let Ok(run) = text.trim_end().parse()
        {
            return Ok(run);
        }
        let matches = |run: &RunId| {
            let id = run.to_string();
            word.len() >= SHORTEST && (id.starts_with(word) || id.ends_with(word))
        };
        let mut found: Vec<RunId> = self.runs()?.into_iter().filter(matches).collect();
        let name = word.to_owned();
        match found.len() {
            0 => Err(JournalError::Unknown { name }),
            1 => Ok(found.remove(0)),
            _ => Err(JournalError::Several { name, found }),
        }
    }

    /// Gives a run a tag, which another run may have had.
    ///
    /// # Errors
    /// Returns [`JournalError`] when the text is no tag or cannot be written.
    pub fn tag(&self, run: RunId, tag: &str) -> Result<(), JournalError> {
        check_tag(tag)?;
        let tags = self.directory.join("tags");
        create_dir_all(&tags)?;
        Ok(write_unsynced(
            &tags.join(tag),
            format!("{run}\n").as_bytes(),
        )?)
    }

    /// Returns all tags, with the runs that have them.
    ///
    /// # Errors
    /// Returns [`FsError`] when they cannot be read.
    pub fn tags(&self) -> Result<BTreeMap<String, RunId>, FsError> {
        let tags = self.directory.join("tags");
        let run = |name: String| {
            let text = fs::read_to_string(tags.join(&name)).ok()?;
            Some((name, text.trim_end().parse().ok()?))
        };
        Ok(names(&tags)?.into_iter().filter_map(run).collect())
    }

    /// Removes the record of a run, and its tags.
    ///
    /// # Errors
    /// Returns [`FsError`] when they cannot be removed.
    pub fn remove(&self, run: RunId) -> Result<(), FsError> {
        let tags = self
            .tags()?
            .into_iter()
            .filter(|(_, tagged)| *tagged == run);
        let tags = tags.map(|(tag, _)| self.directory.join("tags").join(tag));
        for file in tags.chain([self.file(run)]) {
            fs::remove_file(&file).map_err(FsError::at("remove", &file))?;
        }
        Ok(())
    }
}

/// Returns the names in a directory that may not exist.
fn names(directory: &Path) -> Result<Vec<String>, FsError> {
    let list = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    };
    list().map_err(FsError::at("read", directory))
}

/// Checks what a run is to be called.
///
/// # Errors
/// Returns [`JournalError::Tag`] when it would name something else.
pub fn check_tag(tag: &str) -> Result<(), JournalError> {
    match is_tag(tag) {
        true => Ok(()),
        false => Err(JournalError::Tag {
            tag: tag.to_owned(),
        }),
    }
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let digits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(word)
        && !text.bytes().all(digits)
}

impl FromStr for RunName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let recent = text
            .strip_prefix('@')
            .and_then(|digits| digits.parse().ok());
        Ok(match recent {
            Some(number) if number > 0 => Self::Recent(number),
            _ if text.contains('/') || text.ends_with(".json") => Self::File(text.into()),
            _ => Self::Word(text.to_owned()),
        })
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recent(number) => write!(f, "@{number}"),
            Self::Word(word) => f.write_str(word),
            Self::File(file) => write!(f, "{}", file.display()),
        }
    }
}
