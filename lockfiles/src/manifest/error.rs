//! What can be wrong with a manifest.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::{Explain, FsError, InvalidName, Kind};
use crate::manifest::keys::table_of;
use crate::manifest::place::Place;
use crate::manifest::schema::PythonVersion;

/// A manifest, or a file that it refers to, cannot be used.
#[derive(Debug)]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, when it is a place.
    pub place: Option<Box<Place>>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Neither manifest is there.
    #[error("there is no `envbox.toml`, and no `pyproject.toml` with a `[tool.envbox]` table")]
    Missing,
    /// Both are there.
    #[error("the directory has both `envbox.toml` and `[tool.envbox]` in `pyproject.toml`")]
    Both,
    /// One is there where none should be.
    #[error("there is a `[tool.envbox]` table already")]
    AlreadyThere,
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
    /// A key that no table has, or not this one.
    #[error("unknown key `{found}` in {table}")]
    UnknownKey {
        /// The key.
        found: String,
        /// The table.
        table: &'static str,
        /// The known keys.
        known: &'static [&'static str],
    },
    /// A known word whose feature is not there yet.
    #[error("{what} is not supported yet")]
    NotYet {
        /// The key or value.
        what: String,
    },
    /// A key that must be there.
    #[error("{table} needs the key `{key}`")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The table.
        table: &'static str,
    },
    /// The one table that must be there.
    #[error("the manifest has no table `[environment]`")]
    NoEnvironment,
    /// There are requirements, and nothing that could import them.
    #[error("there are Python requirements, but [environment] has no `python`")]
    NoPython,
    /// The interpreter is to come from conda, and there are no channels.
    #[error("the Python is to come from `conda`, but there is no table `[conda]`")]
    NoChannels,
    /// A conda environment file has dependencies, and there are no channels.
    #[error("the file has dependencies of conda, and the manifest has no table `[conda]`")]
    CondaFile,
    /// A text that is no MatchSpec (CEP 29).
    #[error("`{found}` is not a package and its version like `numpy >=1.26,<2`")]
    MatchSpec {
        /// The text.
        found: String,
        /// How it should be written, when that can be guessed.
        instead: Option<String>,
        /// The grammar's words.
        #[source]
        source: Box<rattler_conda_types::ParseMatchSpecError>,
    },
    /// A package is to come from a channel that is none of the environment's.
    #[error("`{found}` names the channel `{channel}`, which is not among `channels`")]
    OtherChannel {
        /// The MatchSpec.
        found: String,
        /// The channel.
        channel: String,
    },
    /// A value of the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What is expected.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
        /// The value as it should be written, if that can be guessed.
        instead: Option<String>,
    },
    /// A word that is none of those allowed.
    #[error("`{found}` is not one of {}", Words(known))]
    UnknownWord {
        /// The word.
        found: String,
        /// The words allowed.
        known: &'static [&'static str],
    },
    /// An extra or a dependency group that a `pyproject.toml` does not have.
    #[error("`{}` has no {kind} `{found}`", file.display())]
    UnknownName {
        /// The `pyproject.toml`.
        file: PathBuf,
        /// `extra` or `dependency group`.
        kind: &'static str,
        /// The name.
        found: String,
        /// The names that it has.
        known: Vec<String>,
    },
    /// A dependency group that includes itself.
    #[error("the dependency group `{name}` includes itself")]
    GroupCycle {
        /// The group.
        name: String,
    },
    /// A name that its kind does not allow.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A value that its own grammar refuses.
    #[error("`{found}` is not {expected}")]
    Invalid {
        /// The value.
        found: String,
        /// What is expected.
        expected: &'static str,
        /// The grammar's words, when it has some.
        source: Option<Box<dyn Error + Send + Sync>>,
        /// What to do, when it can be said.
        remedy: Option<&'static str>,
    },
    /// A requirement with a password in its URL.
    #[error("`{found}` has a password")]
    Password {
        /// The requirement, its password masked.
        found: String,
    },
    /// A file of requirements that includes itself.
    #[error("`{}` includes itself", found.display())]
    FileCycle {
        /// The file.
        found: PathBuf,
    },
    /// A line of a requirements file that an environment cannot take.
    #[error("`{found}` cannot be taken from a requirements file")]
    RequirementsOption {
        /// The option.
        found: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A `pyproject.toml` without what was asked of it.
    #[error("`{}` has no `[project]` table to take requirements from", file.display())]
    NoProject {
        /// The `pyproject.toml`.
        file: PathBuf,
    },
    /// A script without inline metadata.
    #[error("`{}` has no header (`# /// script`) that says what it requires", file.display())]
    NoHeader {
        /// The script.
        file: PathBuf,
    },
    /// A header that does not end.
    #[error("the header of the script is not closed")]
    OpenHeader,
    /// A script with two headers.
    #[error("the script has a second header")]
    SecondHeader,
    /// Requirements that only a build backend knows.
    #[error("`{field}` are dynamic: only the build backend of the project knows them")]
    Dynamic {
        /// `dependencies` or `optional-dependencies`.
        field: &'static str,
    },
    /// An image without the one thing that tells it from others.
    #[error("`{found}` names an image by a tag, which may be another image tomorrow")]
    NoDigest {
        /// The reference.
        found: String,
    },
    /// There are two bases.
    #[error("the environment cannot stand on an image and on [debian] packages")]
    TwoBases,
    /// The image's own package manager would have to install it.
    #[error("an environment that stands on an image cannot have its Python from `debian`")]
    ImagePython,
    /// Something of NVIDIA's is said of a GPU that is another's.
    #[error("CUDA is NVIDIA's, and `vendor` is `{vendor}`")]
    CudaElsewhere {
        /// The vendor.
        vendor: String,
    },
    /// The machines that are declared have less than what is needed.
    #[error(
        "the machines that conda packages are chosen for have CUDA `{declared}`, but `cuda` of [gpu] \
         (line {line}) needs `{needed}`"
    )]
    TwoCudas {
        /// `__cuda` of `[conda] virtual-packages`.
        declared: String,
        /// `[gpu] cuda`.
        needed: String,
        /// Where that stands, from 1.
        line: usize,
    },
    /// The project does not run on the Python chosen.
    #[error("Python {python} does not meet `requires-python = \"{requires}\"` of `{}`", file.display())]
    RequiresPython {
        /// The Python of the manifest.
        python: PythonVersion,
        /// What the project needs.
        requires: String,
        /// The project's file.
        file: PathBuf,
    },
}

struct Words<'a, T>(&'a [T]);

impl<T: AsRef<str>> fmt::Display for Words<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self
            .0
            .iter()
            .map(|word| format!("`{}`", word.as_ref()))
            .collect();
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

    /// Returns the line in question with its place underlined, for a terminal; none where the line
    /// holds a secret.
    pub fn excerpt(&self) -> Option<String> {
        if matches!(self.problem, Problem::Password { .. }) {
            return None;
        }
        self.place.as_ref().map(|place| place.excerpt())
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, problem) = (self.file.display(), &self.problem);
        match (&self.place, problem) {
            (Some(place), _) => write!(f, "{file}:{}:{}: {problem}", place.line, place.column),
            // It names the file itself.
            (None, Problem::Fs(error)) => error.fmt(f),
            (None, _) => write!(f, "{file}: {problem}"),
        }
    }
}

impl Error for ManifestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

impl ManifestError {
    /// Says whether there is no manifest at all.
    pub fn is_missing(&self) -> bool {
        matches!(self.problem, Problem::Missing)
    }
}

impl Explain for ManifestError {
    fn kind(&self) -> Kind {
        match &self.problem {
            Problem::Fs(error) if error.source.kind() != io::ErrorKind::NotFound => error.kind(),
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        self.problem.remedy().into_iter().collect()
    }
}

impl Problem {
    /// Returns one sentence on what to do, if there is something to say.
    pub(super) fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Missing => "run `envbox init` to write an `envbox.toml`",
            Self::Both => "keep one of the two",
            Self::AlreadyThere => "edit it, or remove it first",
            Self::Fs(error) => return file_remedy(error.source.kind()),
            Self::Encoding => "save the file as UTF-8",
            Self::UnknownKey { found, known, .. } => {
                return Some(match table_of(found) {
                    Some(table) => format!("move it to {table}"),
                    None => nearest(found, known),
                });
            }
            // The message lists the words.
            Self::UnknownWord { found, known } => {
                return similar(found, known).map(|word| format!("write `{word}`"));
            }
            Self::UnknownName { known, kind, .. } if known.is_empty() => {
                return Some(format!("remove it: the project has no {kind} at all"));
            }
            Self::UnknownName { found, known, .. } => return Some(nearest(found, known)),
            Self::NotYet { .. } => "remove it, or update envbox",
            Self::MissingKey { key, table } => return Some(format!("add `{key} = …` to {table}")),
            Self::NoEnvironment => "add `[environment]` and a `name` below it",
            Self::NoPython => "add a `python` version to [environment]",
            Self::NoChannels | Self::CondaFile => "add `[conda]` and its `channels`",
            Self::OtherChannel { channel, .. } => {
                return Some(format!("add `{channel}` to `channels`, or leave it out"));
            }
            Self::WrongType { instead, .. } | Self::MatchSpec { instead, .. } => {
                return instead.as_ref().map(|text| format!("write `{text}`"));
            }
            Self::Invalid { remedy, .. } => return remedy.map(str::to_owned),
            Self::RequirementsOption { remedy, .. } => remedy,
            Self::Password { .. } => "remove the password: the lockfile would hold it",
            Self::NoProject { .. } => "list the requirements in `[python] requirements`",
            Self::Dynamic { .. } => {
                "list them in `[python] requirements`, or name their file in `requirements-from`"
            }
            Self::RequiresPython { .. } => "choose another `python`, or change `requires-python`",
            Self::NoDigest { .. } => {
                "add the digest: `skopeo inspect --format '{{.Digest}}' docker://IMAGE` tells it"
            }
            Self::CudaElsewhere { .. } => "remove it, or write `vendor = \"nvidia\"`",
            Self::TwoCudas { needed, .. } => {
                return Some(format!(
                    "write `__cuda = \"{needed}\"`, or leave it out: it is then that of [gpu]"
                ));
            }
            Self::TwoBases => "remove one of the two tables",
            Self::ImagePython => "write `from = \"standalone\"`, or leave it out",
            Self::NoHeader { .. } => "write one, as PEP 723 has it",
            Self::OpenHeader => "write `# ///` below its last line; all its lines begin with `# `",
            Self::SecondHeader => "remove one of them",
            Self::FileCycle { .. } | Self::GroupCycle { .. } => "remove the line",
            Self::Syntax { .. } | Self::Name(_) => return None,
        };
        Some(remedy.to_owned())
    }
}

fn file_remedy(kind: io::ErrorKind) -> Option<String> {
    match kind {
        io::ErrorKind::NotFound => Some("create it, or correct the path".to_owned()),
        io::ErrorKind::PermissionDenied => Some("make it readable".to_owned()),
        _ => None,
    }
}

/// A word is taken for a slip of another from this similarity on (Jaro-Winkler).
const SIMILAR: f64 = 0.75;

fn nearest<T: AsRef<str>>(found: &str, known: &[T]) -> String {
    match similar(found, known) {
        Some(word) => format!("write `{word}`"),
        None => format!("use one of {}", Words(known)),
    }
}

fn similar<'a, T: AsRef<str>>(found: &str, known: &'a [T]) -> Option<&'a str> {
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(found, word.as_ref()), word.as_ref()))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .map(|(_, word)| word)
}
