//! Why conda dependencies could not be locked.

use std::path::PathBuf;

use rattler_conda_types::ParseMatchSpecError;

use crate::base::{Digest, Explain, Kind, Platform, RegistryName};
use crate::net::NetError;

/// Any error of one of rattler's crates.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Conda dependencies could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CondaError {
    /// No set of packages fulfils everything.
    #[error("no set of packages fulfils the conda dependencies on {platform}")]
    NoSolution {
        /// The platform.
        platform: Platform,
        /// The solver's words.
        #[source]
        explanation: Unfulfilled,
        /// What could be done.
        hints: Vec<String>,
    },
    /// A text is no MatchSpec.
    #[error("`{text}` is no MatchSpec")]
    Spec {
        /// The text.
        text: String,
        /// Where it breaks the rules.
        #[source]
        source: Box<ParseMatchSpecError>,
    },
    /// A declaration of a virtual package cannot be read.
    #[error("`{found}` is no virtual package and its version")]
    VirtualPackage {
        /// The text.
        found: String,
    },
    /// A channel on this machine is missing.
    #[error("the channel `{channel}` is at `{}`, which is no directory", path.display())]
    NoDirectory {
        /// The channel.
        channel: RegistryName,
        /// Where it should be.
        path: PathBuf,
    },
    /// A channel is not there, or no channel is.
    #[error("the channel `{channel}` does not exist: it has no `{subdir}/repodata.json`")]
    NoChannel {
        /// The channel.
        channel: RegistryName,
        /// The subdir that every channel has.
        subdir: String,
        /// What it answered.
        #[source]
        source: Source,
    },
    /// The network is disabled, and the cache does not have what a channel lists.
    #[error(
        "what the channel `{channel}` lists for {subdir} is not in the cache, and the network is disabled"
    )]
    Offline {
        /// The channel.
        channel: RegistryName,
        /// The subdir.
        subdir: String,
    },
    /// A channel could not be asked.
    #[error("the channel `{channel}` {}", failure_text(*status))]
    Channel {
        /// The channel.
        channel: RegistryName,
        /// The status it answered with, if it answered.
        status: Option<u16>,
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// What a channel lists makes no sense.
    #[error("what the channel `{channel}` lists for {subdir} cannot be read")]
    Repodata {
        /// The channel.
        channel: RegistryName,
        /// The subdir.
        subdir: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// A channel lists a package under a name that is not its own.
    #[error("the channel lists `{file}` as a file of {package}")]
    FileName {
        /// The file.
        file: String,
        /// `name version build`.
        package: String,
    },
    /// A package lies where a lock cannot say.
    #[error("`{url}` is neither of a channel nor an `http` or `https` URL")]
    Place {
        /// Where it lies.
        url: String,
    },
    /// A package could not be read.
    #[error("failed to read the package `{file}`")]
    Package {
        /// Its file.
        file: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// A package is not what its channel says.
    #[error("`{file}` has the size {found_size} and digest {found}, not {} as its channel says", promised(*size, *digest))]
    Mismatch {
        /// Its file.
        file: String,
        /// The size that the channel gives.
        size: Option<u64>,
        /// The digest that the channel gives.
        digest: Option<Digest>,
        /// The size that it has.
        found_size: u64,
        /// The digest that it has.
        found: Digest,
    },
    /// The packages have no interpreter, which something needs.
    #[error("there is no `python` among the conda packages")]
    NoPython,
    /// Two interpreters are in one environment.
    #[error(
        "the conda packages bring their own Python {version}, and the manifest asks for one from `{from}`"
    )]
    TwoPythons {
        /// The version of conda's.
        version: String,
        /// Where the other one comes from.
        from: &'static str,
    },
    /// Platforms have different Pythons.
    #[error("the channels have Python {first} for one platform and {second} for another")]
    Differs {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// The cache cannot be used.
    #[error("failed to write the index cache `{}`", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// No request can be made.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The solver failed in a way that has no words here.
    #[error("failed to solve the conda dependencies on {platform}")]
    Solver {
        /// The platform.
        platform: Platform,
        /// Why.
        #[source]
        source: Source,
    },
}

/// Why no set of packages fulfils everything: resolvo's words, with names of channels in place of
/// where they lie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Unfulfilled {
    /// Several lines.
    pub text: String,
}

fn failure_text(status: Option<u16>) -> String {
    match status {
        Some(status) => format!("answered {status}"),
        None => "could not be reached".to_owned(),
    }
}

fn promised(size: Option<u64>, digest: Option<Digest>) -> String {
    let size = size.map(|size| size.to_string());
    let digest = digest.map(|digest| digest.to_string());
    let words: Vec<_> = size.into_iter().chain(digest).collect();
    words.join(" and ")
}

impl Explain for CondaError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSolution { .. }
            | Self::Spec { .. }
            | Self::VirtualPackage { .. }
            | Self::NoDirectory { .. }
            | Self::Place { .. }
            | Self::NoPython
            | Self::TwoPythons { .. }
            | Self::Differs { .. } => Kind::User,
            Self::NoChannel { .. }
            | Self::Offline { .. }
            | Self::Channel { .. }
            | Self::Repodata { .. } => Kind::Network,
            Self::FileName { .. } | Self::Package { .. } | Self::Mismatch { .. } => Kind::Integrity,
            Self::Cache { .. } => Kind::Host,
            Self::Net(error) => error.kind(),
            Self::Solver { .. } => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSolution { hints, .. } => return hints.clone(),
            Self::Net(error) => return error.hints(),
            Self::Spec { .. } => "write it like `numpy >=1.26,<2`",
            Self::NoDirectory { .. } | Self::NoChannel { .. } => {
                "check the spelling, and say where it lies with `{ name = \"…\", url = \"…\" }` or \
                 in the user's configuration"
            }
            Self::Offline { .. } => "run once without `--offline`",
            Self::Channel {
                status: Some(401 | 403),
                ..
            } => "add its host and your credentials to `~/.netrc`",
            Self::Channel { .. } => "check the network and the proxy settings, or use a mirror",
            Self::Repodata { .. } | Self::FileName { .. } => {
                "the channel is at fault: try again later, or use a mirror"
            }
            Self::Package { .. } | Self::Mismatch { .. } => {
                "the channel serves another file than it lists: use a mirror"
            }
            Self::Place { .. } => "make its directory a channel with a name",
            Self::NoPython => "add `python` to the `dependencies` of [conda]",
            Self::TwoPythons { .. } => {
                "write `from = \"conda\"`, or leave out what depends on conda's Python"
            }
            Self::Differs { .. } => "name the whole version in [environment] python",
            Self::VirtualPackage { .. } | Self::Cache { .. } | Self::Solver { .. } => {
                return Vec::new();
            }
        };
        vec![hint.to_owned()]
    }
}
