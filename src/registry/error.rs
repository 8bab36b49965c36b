//! What can go wrong between here and a registry of images.

use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind, Platform};
use envbox_lockfiles::net::NetError;

use crate::image::InvalidDocument;
use crate::registry::CredentialsError;
use crate::store::StoreError;

/// What to do where a registry has no TLS.
const PLAIN_HTTP: &str = "if the registry speaks plain HTTP, write `\"HOST:PORT\" = { transport = \
                          \"http\" }` below `[image-registries]` in the user's `config.toml`";

/// An image could not be pushed or pulled. `what` names a blob, a manifest or a tag with its
/// repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry wants to know who asks, and nothing is known to tell it.
    #[error("`{registry}` wants credentials to {access} `{repository}`, and there are none")]
    NoCredentials {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// What was to be done.
        access: Access,
    },
    /// The registry does not take the credentials.
    #[error("`{registry}` refuses the credentials from `{}`", file.display())]
    WrongCredentials {
        /// The registry.
        registry: String,
        /// The file that holds or leads to them.
        file: PathBuf,
    },
    /// The registry knows who asks and says no.
    #[error("`{registry}` does not allow to {access} `{repository}`{}", told(.detail))]
    Denied {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// What was to be done.
        access: Access,
        /// What the registry says about it.
        detail: Option<String>,
    },
    /// The credentials cannot be read.
    #[error("failed to find the credentials for `{registry}`")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// The registry wants passwords to be sent in plain text to another host.
    #[error("`{registry}` gives tokens at `{realm}`, where passwords would be read by others")]
    InsecureRealm {
        /// The registry.
        registry: String,
        /// Where it gives tokens.
        realm: String,
    },
    /// The registry has no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The registry answered with a status that is not a success.
    #[error("failed to {action} {what}: status {status}{}", told(.detail))]
    Refused {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        what: String,
        /// The status.
        status: u16,
        /// What the registry says about it.
        detail: Option<String>,
    },
    /// There was no answer, or only ones that ask to come again.
    #[error("failed to {action} {what}")]
    Exchange {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        what: String,
        /// Why not.
        #[source]
        source: NetError,
    },
    /// The registry does not keep to the distribution-spec.
    #[error("failed to {action} {what}: the registry's answer has {fault}")]
    Protocol {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        what: String,
        /// What is wrong with the answer.
        fault: &'static str,
    },
    /// Other bytes came, or are to be sent, than their descriptor promises.
    #[error("the bytes of {what} are not those that were promised")]
    Integrity {
        /// What they should be.
        what: String,
        /// What was expected, and what came.
        #[source]
        source: StoreError,
    },
    /// A manifest is of a kind that envbox does not know.
    #[error("{what} is of media type `{found}`, neither an image manifest nor an index")]
    MediaType {
        /// The manifest.
        what: String,
        /// Its media type.
        found: String,
    },
    /// A manifest or a config is larger than registries allow.
    #[error("{what} has {size} bytes, more than the {limit} that are allowed")]
    TooLarge {
        /// The manifest or config.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A manifest is not what it is said to be.
    #[error("failed to read {what}")]
    Document {
        /// The manifest.
        what: String,
        /// What is wrong.
        #[source]
        source: InvalidDocument,
    },
    /// The index has no image for the platform.
    #[error("{what} has no image for {platform}, only for {}", list(.available))]
    Platform {
        /// The index.
        what: String,
        /// The platform.
        platform: Platform,
        /// What there is.
        available: Vec<String>,
    },
    /// Somebody changes the list of referrers at the same time, again and again.
    #[error("failed to add {digest} to the referrers in {what}: others replace the list")]
    Contended {
        /// The tag that holds the list.
        what: String,
        /// What was to be added.
        digest: Digest,
    },
    /// What is to be pushed cannot be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network could not be set up.
    #[error(transparent)]
    Net(NetError),
}

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
        })
    }
}

fn told(detail: &Option<String>) -> String {
    match detail {
        Some(detail) => format!(" (it says: {detail})"),
        None => String::new(),
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.join(", ")
}

impl RegistryError {
    /// Says whether the registry has no such thing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

impl Explain for RegistryError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoCredentials { .. }
            | Self::WrongCredentials { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::MediaType { .. }
            | Self::Platform { .. } => Kind::User,
            Self::Credentials { source, .. } => source.kind(),
            Self::Exchange { source, .. } | Self::Net(source) => source.kind(),
            Self::InsecureRealm { .. }
            | Self::Refused { .. }
            | Self::Protocol { .. }
            | Self::TooLarge { .. }
            | Self::Document { .. }
            | Self::Contended { .. } => Kind::Network,
            Self::Integrity { .. } => Kind::Integrity,
            Self::File(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoCredentials { registry, .. } => format!(
                "log in with `docker login {registry}`, `podman login {registry}` or `skopeo login \
                 {registry}`"
            ),
            Self::WrongCredentials { registry, .. } => {
                format!("log in again with `docker login {registry}` or the like")
            }
            Self::Denied { .. } => {
                "ask the owner of the repository, or log in as another user".to_owned()
            }
            Self::NotFound { .. } => "check the name, the tag and the digest".to_owned(),
            Self::Refused { status: 413, .. } => {
                "raise the limit of the proxy in front of the registry".to_owned()
            }
            Self::Contended { .. } => "try again".to_owned(),
            Self::Credentials { source, .. } => return source.hints(),
            Self::Exchange { source, .. } | Self::Net(source) => {
                let mut hints = source.hints();
                if tls_failed(source) {
                    hints.push(PLAIN_HTTP.to_owned());
                }
                return hints;
            }
            Self::File(error) => return error.hints(),
            Self::Store(error) => return error.hints(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

/// Says whether there was no connection with TLS, as where the other side has none.
fn tls_failed(error: &NetError) -> bool {
    matches!(error, NetError::Connect { url, .. } if url.starts_with("https:"))
}
