//! What can go wrong while a package is unpacked.

use std::io;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};

use crate::layers::limits::Exceeded;
use crate::layers::path::PathFault;

/// A package cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The tree or the archive file cannot be written or read.
    #[error(transparent)]
    File(#[from] FsError),
    /// The bytes are no archive of their kind, or damaged.
    #[error("the archive is damaged")]
    Archive(#[source] io::Error),
    /// The archive breaks a rule of its format.
    #[error("the archive is malformed: {reason}")]
    Malformed {
        /// Which, as a clause.
        reason: &'static str,
    },
    /// A member's name could lead out of the tree, or cannot be written.
    #[error("the member `{member}` has a name that is refused")]
    Name {
        /// The name as found.
        member: String,
        /// Why.
        #[source]
        fault: PathFault,
    },
    /// Two members have the same name.
    #[error("the archive has two members `{member}`")]
    Duplicate {
        /// The path in the tree.
        member: String,
    },
    /// A member lies below something that is no directory: a link would lead its bytes elsewhere.
    #[error("the member `{member}` lies below `{parent}`, which is not a directory")]
    Through {
        /// The member.
        member: String,
        /// What was unpacked there before.
        parent: String,
    },
    /// A symbolic link leads out of the tree.
    #[error("the link `{member}` leads out of the tree to `{target}`")]
    LinkLeaves {
        /// The link.
        member: String,
        /// Its target as found.
        target: String,
    },
    /// A hard link names nothing that was unpacked before it.
    #[error("the hard link `{member}` names `{target}`, which is no earlier file of the archive")]
    LinkUnknown {
        /// The link.
        member: String,
        /// Its target as found.
        target: String,
    },
    /// A device, a pipe, or something no tree can hold.
    #[error(
        "the member `{member}` is of type `{kind}`; only files, directories and links are unpacked"
    )]
    Special {
        /// The member.
        member: String,
        /// tar's letter for it.
        kind: char,
    },
    /// There are too many entries.
    #[error("the archive has more than {limit} entries")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
    /// There is too much in it for its size.
    #[error(transparent)]
    Exceeded(Exceeded),
    /// A member that the format asks for is not there.
    #[error("the archive has no `{member}`")]
    Missing {
        /// The member.
        member: String,
    },
    /// The archive is compressed in a way that envbox does not know.
    #[error("`{member}` is compressed in a way that is not supported")]
    Compression {
        /// The member, or the file's name.
        member: String,
    },
    /// A file inside says that the archive is another package.
    #[error("the archive is of `{found}`, not of `{expected}`")]
    WrongPackage {
        /// What was expected.
        expected: String,
        /// What it says.
        found: String,
    },
    /// A `.deb` has maintainer scripts that do more than envbox knows to do without.
    #[error("its maintainer scripts do work that envbox does not know: {}", scripts.join(", "))]
    MaintainerScript {
        /// The package.
        package: String,
        /// The scripts with the first statement that is not known: ``postinst (`statement`)``.
        scripts: Vec<String>,
    },
    /// A wheel is of a format version that is not known.
    #[error("the wheel has format version {found}; envbox knows version 1")]
    WheelVersion {
        /// The version.
        found: String,
    },
    /// A file of a wheel is not in its `RECORD`.
    #[error("`RECORD` does not list `{member}`")]
    RecordUnlisted {
        /// The file.
        member: String,
    },
    /// A file of a wheel is listed without a digest, or with a weak one.
    #[error("`RECORD` has no SHA-256, SHA-384 or SHA-512 for `{member}`")]
    RecordWeak {
        /// The file.
        member: String,
    },
    /// A file of a wheel is not what its `RECORD` says.
    #[error("`{member}` is not the file that `RECORD` lists")]
    RecordMismatch {
        /// The file.
        member: String,
    },
    /// A file of a conda package is not what the package's list says.
    #[error("`{member}` is not what `info/paths.json` lists")]
    PathsMismatch {
        /// The file.
        member: String,
    },
    /// A program has no room for the prefix.
    #[error(
        "`{member}` has `{placeholder}` in its strings, which is shorter than the prefix `{prefix}`"
    )]
    Placeholder {
        /// The file.
        member: String,
        /// What stands for the prefix.
        placeholder: String,
        /// The prefix.
        prefix: &'static str,
    },
    /// A conda package brings what only installing may write.
    #[error("the member `{member}` is refused: records of packages are not brought by packages")]
    CondaMeta {
        /// The file.
        member: String,
    },
    /// A package of Python's is in an environment without.
    #[error("it is for Python, and the environment has none")]
    NeedsPython,
    /// A name that layers keep for whiteouts is used for something else.
    #[error("the member `{member}` is refused: {reason}")]
    Whiteout {
        /// The member.
        member: String,
        /// Why, as a clause.
        reason: &'static str,
    },
    /// The bytes of a layer are not those that the image names.
    #[error("{what} is {found}, not {expected}")]
    LayerDigest {
        /// Which of its digests.
        what: &'static str,
        /// What the image says.
        expected: Digest,
        /// What the layer is.
        found: Digest,
    },
    /// There are too many layers.
    #[error("the image has {found} layers; envbox unpacks {limit}")]
    TooManyLayers {
        /// How many it has.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A layer of an image cannot be unpacked.
    #[error("failed to unpack layer {number} ({digest})")]
    Layer {
        /// Its number, the lowest is 1.
        number: usize,
        /// Its digest.
        digest: Digest,
        /// Why.
        #[source]
        source: Box<LayerError>,
    },
    /// An entry point cannot become a script.
    #[error("the entry point `{text}` is not `name = module:attribute`")]
    EntryPoint {
        /// The line.
        text: String,
    },
}

impl From<io::Error> for LayerError {
    /// Takes an error of reading an archive.
    fn from(error: io::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(exceeded) = inner.downcast_ref() {
                return Self::Exceeded(*exceeded);
            }
            // An `io::Error` leaves itself out of its chain of sources when it wraps another.
            cause = match inner
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
            {
                Some(wrapped) => Some(wrapped),
                None => inner.source(),
            };
        }
        Self::Archive(error)
    }
}

impl Explain for LayerError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::MaintainerScript { .. } | Self::NeedsPython => Kind::User,
            Self::Layer { source, .. } => source.kind(),
            _ => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::File(error) => error.hints(),
            Self::Layer { source, .. } => source.hints(),
            Self::MaintainerScript { package, .. } => vec![format!(
                "remove what needs `{package}` from `[debian] packages`"
            )],
            Self::NeedsPython => vec!["add `python` to `[conda] dependencies`".to_owned()],
            _ => Vec::new(),
        }
    }
}
