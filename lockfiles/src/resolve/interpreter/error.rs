//! Why there is no interpreter.

use std::fmt;

use crate::base::{Digest, Explain, Kind, Platform};
use crate::manifest::{InterpreterSource, PythonVersion};
use crate::net::NetError;

/// No interpreter could be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// Nobody has the version.
    #[error("nobody offers Python {version} for {}; {offers}", listed(platforms))]
    NotOffered {
        /// The version asked for.
        version: PythonVersion,
        /// For these platforms.
        platforms: Vec<Platform>,
        /// What there is.
        offers: Offers,
    },
    /// The one source that may be used does not have the version.
    #[error("{} does not offer Python {version} for {}; {offers}", source_name(*from), listed(platforms))]
    NotOfferedBy {
        /// The version asked for.
        version: PythonVersion,
        /// The source asked for.
        from: InterpreterSource,
        /// For these platforms.
        platforms: Vec<Platform>,
        /// What there is.
        offers: Offers,
    },
    /// The suite has another patch release.
    #[error("the Debian suite `{suite}` has Python {found}, not {version}; {offers}")]
    OtherPatch {
        /// The version asked for.
        version: PythonVersion,
        /// The suite.
        suite: String,
        /// What the suite has.
        found: String,
        /// What there is elsewhere.
        offers: Offers,
    },
    /// Platforms would get different interpreters.
    #[error(
        "the Debian suite `{suite}` has Python {first} on one platform and {second} on another"
    )]
    Differs {
        /// The suite.
        suite: String,
        /// One version.
        first: String,
        /// Another.
        second: String,
    },
    /// The suite's package has a version that is no Python version.
    #[error("`{found}` of the package `{package}` holds no version of Python")]
    DebianVersion {
        /// The package.
        package: String,
        /// Its version.
        found: String,
    },
    /// The list of standalone interpreters that is compiled in cannot be read.
    #[error("the list of standalone interpreters is unreadable at `{entry}`")]
    List {
        /// Where.
        entry: String,
    },
    /// An archive could not be downloaded.
    #[error("failed to download `{file}`")]
    Download {
        /// The archive.
        file: String,
        /// Why.
        #[source]
        source: NetError,
    },
    /// An archive is not what the list says.
    #[error("`{file}` has the digest {found}, not {expected}")]
    DigestMismatch {
        /// The archive.
        file: String,
        /// As listed.
        expected: Digest,
        /// As downloaded.
        found: Digest,
    },
}

/// The interpreters there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    /// Suites and the Python of each.
    pub debian: Vec<(String, String)>,
    /// Standalone versions: of the minor version asked for if there are any, else the newest of
    /// each.
    pub standalone: Vec<String>,
}

impl fmt::Display for Offers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is, from debian: ")?;
        for (index, (suite, version)) in self.debian.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{version} (`{suite}`)")?;
        }
        write!(f, "; from standalone: {}", self.standalone.join(", "))
    }
}

impl Explain for InterpreterError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotOffered { .. } | Self::NotOfferedBy { .. } | Self::OtherPatch { .. } => {
                Kind::User
            }
            Self::Differs { .. } | Self::DebianVersion { .. } => Kind::Network,
            Self::List { .. } => Kind::Internal,
            Self::Download { source, .. } => source.kind(),
            Self::DigestMismatch { .. } => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotOffered { .. } => vec!["change `python` to one of those".to_owned()],
            Self::NotOfferedBy {
                version, offers, ..
            }
            | Self::OtherPatch {
                version, offers, ..
            } if offers.standalone.contains(&version.to_string()) => {
                vec![format!(
                    "set `python = {{ version = \"{version}\", from = \"standalone\" }}`"
                )]
            }
            Self::NotOfferedBy { .. } | Self::OtherPatch { .. } => {
                vec!["change `python` to one of those".to_owned()]
            }
            Self::Differs { .. } => {
                vec!["lock again later, when the suite is the same on all platforms".to_owned()]
            }
            Self::Download { source, .. } => {
                let mut hints = source.hints();
                hints
                    .push("or name a mirror for the registry `python-build-standalone`".to_owned());
                hints
            }
            Self::DigestMismatch { .. } => vec![
                "the registry `python-build-standalone` serves another file: use another mirror"
                    .to_owned(),
            ],
            Self::DebianVersion { .. } | Self::List { .. } => Vec::new(),
        }
    }
}

fn source_name(source: InterpreterSource) -> &'static str {
    match source {
        InterpreterSource::Debian => "debian",
        InterpreterSource::Standalone => "standalone",
        InterpreterSource::Conda => "conda",
    }
}

fn listed(platforms: &[Platform]) -> String {
    let platforms: Vec<_> = platforms.iter().map(ToString::to_string).collect();
    platforms.join(" and ")
}
