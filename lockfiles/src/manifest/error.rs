//! What can be wrong with a manifest, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::{Explain, FsError, Kind};

/// A manifest cannot be used.
#[derive(Debug)]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, when it is a place.
    pub place: Option<Box<Place>>,
    /// What is wrong.
    pub problem: Problem,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters it covers on that line; at least 1.
    pub width: usize,
    /// The line's text.
    pub text: String,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Neither manifest is there.
    #[error("there is no `envbox.toml`, and no `pyproject.toml` with a `[tool.envbox]` table")]
    Missing,
    /// Both are there.
    #[error("the directory has both `envbox.toml` and `[tool.envbox]` in `pyproject.toml`")]
    Both,
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The file is not UTF-8.
    #[error("the file is not UTF-8")]
    Encoding,
    /// The text is no TOML.
    #[error("invalid TOML: {message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// A key that no table has.
    #[error("unknown key `{found}` in {table}")]
    UnknownKey {
        /// The key.
        found: String,
        /// The table.
        table: &'static str,
        /// The known keys.
        known: &'static [&'static str],
    },
    /// A key whose feature is not there yet.
    #[error("{table} `{key}` is not supported by this version of envbox")]
    NotYet {
        /// The key.
        key: String,
        /// The table.
        table: &'static str,
    },
    /// A key that must be there.
    #[error("{table} needs the key `{key}`")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The table.
        table: &'static str,
    },
    /// A value of the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What is expected.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A word that is none of those allowed.
    #[error("`{found}` is not one of {}", Words(known))]
    UnknownWord {
        /// The word.
        found: String,
        /// The words allowed.
        known: &'static [&'static str],
    },
    /// A value that its own grammar refuses.
    #[error("`{found}` is not {expected}")]
    Invalid {
        /// The value.
        found: String,
        /// What is expected.
        expected: &'static str,
        /// The grammar's words, when it has some.
        reason: Option<String>,
    },
    /// A line of a requirements file that an environment cannot take.
    #[error("`{found}` cannot be taken from a requirements file")]
    RequirementsOption {
        /// The line.
        found: String,
        /// What to do instead.
        remedy: &'static str,
    },
}

struct Words<'a>(&'a [&'a str]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self.0.iter().map(|word| format!("`{word}`")).collect();
        f.write_str(&quoted.join(", "))
    }
}

impl ManifestError {
    /// Returns an error without a place.
    pub(super) fn whole(file: &Path, problem: Problem) -> Self {
        Self {
            file: file.to_path_buf(),
            place: None,
            problem,
        }
    }

    /// Returns an error at `span` of `text`.
    pub(super) fn at(file: &Path, text: &str, span: Range<usize>, problem: Problem) -> Self {
        Self {
            file: file.to_path_buf(),
            place: Some(Box::new(Place::of(text, span))),
            problem,
        }
    }

    /// Returns the line in question with its neighbourhood marked, for a terminal.
    pub fn excerpt(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let indent: String = place
            .text
            .chars()
            .take(place.column - 1)
            // A tab keeps its width only as a tab.
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let mark = "^".repeat(place.width);
        Some(format!(
            "{margin} |\n{number} | {}\n{margin} | {indent}{mark}",
            place.text
        ))
    }
}

impl Place {
    fn of(text: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |newline| start + newline);
        let end = floor_boundary(text, span.end.clamp(start, line_end));
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, &self.problem) {
            (_, Problem::Fs(error)) => error.fmt(f),
            (Some(place), problem) => {
                write!(
                    f,
                    "{}:{}:{}: {problem}",
                    self.file.display(),
                    place.line,
                    place.column
                )
            }
            (None, problem) => write!(f, "{}: {problem}", self.file.display()),
        }
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Fs(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl Explain for ManifestError {
    fn kind(&self) -> Kind {
        match &self.problem {
            Problem::Fs(error) if error.source.kind() != std::io::ErrorKind::NotFound => {
                error.kind()
            }
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        match &self.problem {
            Problem::Missing => vec!["run `envbox init` to write an `envbox.toml`".to_owned()],
            Problem::Both => vec!["keep one of the two".to_owned()],
            Problem::UnknownKey { found, known, .. } | Problem::UnknownWord { found, known } => {
                nearest(found, known)
            }
            Problem::MissingKey { key, table } => vec![format!("add `{key} = …` to {table}")],
            Problem::NotYet { .. } => vec!["remove it, or update envbox".to_owned()],
            Problem::Invalid {
                reason: Some(reason),
                ..
            } => vec![reason.clone()],
            Problem::RequirementsOption { remedy, .. } => vec![(*remedy).to_owned()],
            Problem::Fs(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                vec!["create it, or correct the path".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// A word is taken for a slip of another from this similarity on (Jaro-Winkler).
const SIMILAR: f64 = 0.75;

fn nearest(found: &str, known: &[&str]) -> Vec<String> {
    let best = known
        .iter()
        .map(|word| (strsim::jaro_winkler(found, word), word))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((similarity, word)) if similarity >= SIMILAR => vec![format!("write `{word}`")],
        _ => vec![format!("use one of {}", Words(known))],
    }
}
