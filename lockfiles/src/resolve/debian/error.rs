//! What can go wrong between a list of packages and their closure.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::base::{DebianName, Digest, Explain, FsError, Kind, Platform};
use crate::net::NetError;
use crate::resolve::debian::keyring::KeyProblem;
use crate::resolve::debian::release::MalformedRelease;

/// The Debian part of a manifest could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebianError {
    /// A registry did not answer.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The cache in the store, or the user's file of keys, cannot be used.
    #[error(transparent)]
    Cache(#[from] FsError),
    /// The text cannot be a suite.
    #[error("`{found}` is not the name of a suite")]
    InvalidSuite {
        /// The text as found.
        found: String,
    },
    /// The text is no time of the snapshot archive.
    #[error("`{found}` is not a time of the form `20261101T000000Z`")]
    InvalidSnapshot {
        /// The text as found.
        found: String,
    },
    /// The registry has no such suite.
    #[error("registry `{registry}` has no suite `{suite}`")]
    UnknownSuite {
        /// The suite.
        suite: String,
        /// The registry's name.
        registry: String,
        /// What was asked for.
        #[source]
        source: NetError,
    },
    /// No registry has the suite as it was at that time.
    #[error("no registry has suite `{suite}` as of {snapshot}; asked: {}", asked.join(", "))]
    NoSnapshot {
        /// The suite.
        suite: String,
        /// The time.
        snapshot: Timestamp,
        /// Every place that was asked, with its registry.
        asked: Vec<String>,
        /// What the snapshot archive answered.
        #[source]
        source: Box<DebianError>,
    },
    /// The user's file of keys has none.
    #[error("`{}` holds no public keys", file.display())]
    NoKeys {
        /// The file.
        file: PathBuf,
        /// Why not, when it looks like keys.
        #[source]
        source: Option<Box<pgp::errors::Error>>,
    },
    /// What came is not a clear-signed text.
    #[error("`{file}` is not a signed text")]
    NotSigned {
        /// The file.
        file: String,
        /// Why not.
        #[source]
        source: Box<pgp::errors::Error>,
    },
    /// A trusted key signed another text than this one.
    #[error("`{file}` is not what the key {fingerprint} signed")]
    BadSignature {
        /// The file.
        file: String,
        /// The key.
        fingerprint: String,
    },
    /// No trusted key signed it.
    #[error("`{file}` is signed by no trusted key, only by {}", listed(signers))]
    UnknownSigner {
        /// The file.
        file: String,
        /// The fingerprints of those who did.
        signers: Vec<String>,
    },
    /// A trusted key signed it, but may not.
    #[error("the signature of the key {fingerprint} under `{file}` does not count: {problem}")]
    UnusableKey {
        /// The file.
        file: String,
        /// The key.
        fingerprint: String,
        /// Why not.
        problem: KeyProblem,
    },
    /// A signed file cannot be understood.
    #[error("failed to read `{file}`")]
    Malformed {
        /// The file.
        file: String,
        /// Why not.
        #[source]
        source: MalformedRelease,
    },
    /// The file is of another suite: somebody swapped it.
    #[error("`{file}` is of suite `{found}`, not of `{suite}`")]
    WrongSuite {
        /// The file.
        file: String,
        /// The suite asked for.
        suite: String,
        /// The suite it says it is.
        found: String,
    },
    /// The file said for how long it may be used, and that is over.
    #[error("`{file}` was valid until {valid_until}, and it is {now}")]
    Outdated {
        /// The file.
        file: String,
        /// Its `Valid-Until`.
        valid_until: Timestamp,
        /// The time by which that was judged.
        now: Timestamp,
    },
    /// The file says that it was made after now.
    #[error("`{file}` was made at {date}, and it is {now}")]
    NotYetMade {
        /// The file.
        file: String,
        /// Its `Date`.
        date: Timestamp,
        /// The time by which that was judged.
        now: Timestamp,
    },
    /// The suite is not there for the platform.
    #[error(
        "suite `{suite}` has no packages for {platform}, only for {}",
        listed(architectures)
    )]
    NoPlatform {
        /// The suite.
        suite: String,
        /// The platform asked for.
        platform: Platform,
        /// The architectures that are there, in Debian's words.
        architectures: Vec<String>,
    },
    /// An index has another size than the signed text says.
    #[error("`{file}` has {found} bytes where {expected} were promised")]
    WrongSize {
        /// The file.
        file: String,
        /// The size in the signed text.
        expected: u64,
        /// The size as received; where there is more than promised, the first size too large.
        found: u64,
    },
    /// An index has another digest than the signed text says.
    #[error("`{file}` has digest `{found}` where `{expected}` was promised")]
    WrongDigest {
        /// The file.
        file: String,
        /// The digest in the signed text.
        expected: Digest,
        /// The digest of what was received.
        found: Digest,
    },
    /// An index is not compressed as its name says.
    #[error("failed to decompress `{file}`")]
    Decompress {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An index is no list of packages.
    #[error("`{file}` is not a list of packages")]
    NotPackages {
        /// The file.
        file: String,
    },
    /// An index describes a package badly.
    #[error("the archive's entry of package `{package}` {}", describe(field, found.as_deref()))]
    BadPackage {
        /// The package.
        package: String,
        /// The field that is missing or makes no sense.
        field: &'static str,
        /// Its value; none when it is missing.
        found: Option<String>,
    },
    /// There is no such package.
    #[error("package `{name}`, asked for by {required_by}, does not exist for {platform}")]
    UnknownPackage {
        /// The name.
        name: DebianName,
        /// Who asked for it.
        required_by: String,
        /// The platform.
        platform: Platform,
        /// Names that look like it.
        nearest: Vec<String>,
    },
    /// The name stands for several packages.
    #[error("`{name}` is a virtual package that several packages provide")]
    VirtualPackage {
        /// The name.
        name: DebianName,
        /// Those.
        providers: Vec<DebianName>,
    },
    /// The packages asked for cannot be together.
    #[error("no set of packages for {platform} has all that was asked for:\n{explanation}")]
    Unsatisfiable {
        /// The platform.
        platform: Platform,
        /// Why, as a tree of dependencies.
        explanation: String,
    },
    /// envbox is wrong.
    #[error("the work on package lists was given up")]
    Aborted,
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        _ => names.join(", "),
    }
}

fn describe(field: &str, found: Option<&str>) -> String {
    match found {
        None => format!("has no field `{field}`"),
        Some(found) => format!("has a field `{field}` with `{found}` in it"),
    }
}

impl Explain for DebianError {
    fn kind(&self) -> Kind {
        match self {
            Self::Net(error) => error.kind(),
            Self::Cache(error) => error.kind(),
            Self::NoSnapshot { source, .. } => source.kind(),
            Self::InvalidSuite { .. }
            | Self::InvalidSnapshot { .. }
            | Self::NoKeys { .. }
            | Self::UnknownSuite { .. }
            | Self::NoPlatform { .. }
            | Self::UnknownPackage { .. }
            | Self::VirtualPackage { .. }
            | Self::Unsatisfiable { .. } => Kind::User,
            Self::NotYetMade { .. } => Kind::Host,
            Self::NotSigned { .. }
            | Self::BadSignature { .. }
            | Self::UnknownSigner { .. }
            | Self::UnusableKey { .. }
            | Self::Malformed { .. }
            | Self::WrongSuite { .. }
            | Self::Outdated { .. }
            | Self::WrongSize { .. }
            | Self::WrongDigest { .. }
            | Self::Decompress { .. }
            | Self::NotPackages { .. }
            | Self::BadPackage { .. } => Kind::Integrity,
            Self::Aborted => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Net(error) => return error.hints(),
            Self::Cache(error) => return error.hints(),
            Self::InvalidSuite { .. } => format!("use one of {}", suites()),
            Self::UnknownSuite { suite, .. } if suite.ends_with(SECURITY) => {
                "set `security = false` in `[debian]` if the suite has no security updates"
                    .to_owned()
            }
            Self::UnknownSuite { suite, .. } => match nearest_suite(suite) {
                Some(nearest) if nearest == *suite => {
                    "check that the registry's URL is that of an archive, which has a `dists`"
                        .to_owned()
                }
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("use one of {}", suites()),
            },
            Self::NoSnapshot { .. } => {
                "name an archive that keeps history as registry `debian-snapshot`, or choose \
                 another `snapshot`"
                    .to_owned()
            }
            Self::NotSigned { .. } => {
                "check that nothing between here and the registry answers in its place".to_owned()
            }
            Self::NoKeys { .. } => "export the keys with `gpg --export --armor`".to_owned(),
            Self::UnknownSigner { .. } | Self::UnusableKey { .. } => {
                return vec![
                    "use a newer envbox, which knows newer keys of the archive, or another mirror"
                        .to_owned(),
                    "for an archive of your own, set `keyring` of its registry in envbox's \
                     `config.toml`"
                        .to_owned(),
                ];
            }
            Self::BadSignature { .. } | Self::WrongSuite { .. } => "use another mirror".to_owned(),
            Self::Outdated { .. } => "check this machine's clock, or use another mirror".to_owned(),
            Self::NotYetMade { .. } => "check this machine's clock".to_owned(),
            Self::WrongSize { .. } | Self::WrongDigest { .. } => {
                "try again later, as the mirror may be in the middle of an update".to_owned()
            }
            Self::UnknownPackage { nearest, .. } if !nearest.is_empty() => {
                format!("did you mean {}?", quoted(nearest))
            }
            Self::VirtualPackage { providers, .. } => {
                format!("choose one of {}", quoted(providers))
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

/// What the suite of a suite's security updates is called in addition.
pub(super) const SECURITY: &str = "-security";

/// The suites whose keys are shipped.
const SUITES: [&str; 3] = ["bullseye", "bookworm", "trixie"];

fn suites() -> String {
    quoted(&SUITES)
}

fn nearest_suite(suite: &str) -> Option<&'static str> {
    SUITES
        .into_iter()
        .find(|known| strsim::damerau_levenshtein(known, suite) <= 2)
}

fn quoted(names: &[impl std::fmt::Display]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
