//! What can go wrong between here and a registry.

use std::path::PathBuf;

use url::Url;

use crate::base::{Explain, FsError, Kind, RegistryName};

/// A request did not give its bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The network may not be used.
    #[error("`{url}` is needed, but the network is off")]
    Offline {
        /// What was asked for.
        url: String,
    },
    /// The registry has no such file (404, 410, or no such file on disk).
    #[error("`{url}` does not exist")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The registry answered with another status than success.
    #[error("`{url}` answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// How many seconds the registry asks to wait before the next try.
        retry_after: Option<u64>,
    },
    /// Nothing came for too long.
    #[error("no answer from `{url}` for too long")]
    Timeout {
        /// What was asked for.
        url: String,
    },
    /// The connection could not be made.
    #[error("failed to connect to `{url}`")]
    Connect {
        /// What was asked for.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The exchange failed after the connection was made.
    #[error("failed to request `{url}`")]
    Exchange {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// There is more than the caller takes.
    #[error("`{url}` is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The most that would have been taken.
        limit: u64,
    },
    /// The body ended early.
    #[error("`{url}` broke off after {found} bytes{}", of(.expected))]
    Truncated {
        /// What was asked for.
        url: String,
        /// The size that was announced, when one was.
        expected: Option<u64>,
        /// How many bytes came.
        found: u64,
    },
    /// The answer to a request for the rest of a file was for another part of it.
    #[error("`{url}` does not have the part from byte {offset} on")]
    Range {
        /// What was asked for.
        url: String,
        /// The first byte asked for.
        offset: u64,
    },
    /// Nobody said where the registry lies.
    #[error("no registry `{name}` is configured")]
    UnknownRegistry {
        /// The name that the lock or the manifest uses.
        name: RegistryName,
    },
    /// The configured place of a registry is no URL.
    #[error("`{url}`, the place of registry `{name}`, is not a URL")]
    BadRegistry {
        /// The registry.
        name: RegistryName,
        /// The text as configured.
        url: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// Neither `http`, `https` nor `file`.
    #[error("`{url}` has a scheme that cannot be fetched")]
    Scheme {
        /// What was asked for.
        url: String,
    },
    /// A `file` URL could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// The file of certificate authorities holds none that can be used.
    #[error("failed to read certificates from `{}`", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The file of certificate authorities is not PEM, or empty.
    #[error("`{}` holds no certificates", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// A file of credentials cannot be read.
    #[error("failed to read credentials from `{}`", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS could not be set up at all.
    #[error("failed to set up TLS")]
    Setup {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

fn of(expected: &Option<u64>) -> String {
    expected.map_or_else(String::new, |size| format!(" of {size}"))
}

impl NetError {
    /// Says whether another try can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Exchange { .. }
            | Self::Truncated { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            _ => false,
        }
    }

    /// Sorts an error of the HTTP library.
    pub(super) fn of_request(url: &Url, error: reqwest::Error) -> Self {
        // The library's text repeats the URL, with a password if there is one.
        let source = error.without_url();
        let url = shown(url);
        if source.is_timeout() {
            Self::Timeout { url }
        } else if source.is_connect() {
            Self::Connect { url, source }
        } else {
            Self::Exchange { url, source }
        }
    }
}

impl Explain for NetError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownRegistry { .. } | Self::BadRegistry { .. } | Self::Scheme { .. } => {
                Kind::User
            }
            Self::File(error) => error.kind(),
            Self::Certificates { .. }
            | Self::NoCertificates { .. }
            | Self::Credentials { .. }
            | Self::Setup { .. } => Kind::Host,
            _ => Kind::Network,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Offline { .. } => "run once without `--offline`",
            Self::Connect { url, .. } if url.starts_with("https:") => {
                "check the network and the proxy settings; behind a proxy that opens TLS, name its \
                 certificate authority with `SSL_CERT_FILE`"
            }
            Self::Connect { .. } | Self::Timeout { .. } => {
                "check the network and the proxy settings"
            }
            Self::Status { status: 401, .. } | Self::Status { status: 403, .. } => {
                "check the credentials in the registry's URL or, of a conda channel, in `~/.netrc`"
            }
            Self::Status { status: 429, .. } => "wait a while, or use a mirror",
            Self::Status {
                status: 500..=599, ..
            }
            | Self::Truncated { .. }
            | Self::Exchange { .. } => {
                "the server is at fault: try again later, or use another mirror"
            }
            Self::Certificates { .. } | Self::NoCertificates { .. } => {
                "name a file of PEM certificates with `SSL_CERT_FILE`, or none"
            }
            Self::UnknownRegistry { .. } => "say where it lies in the user's configuration",
            Self::File(error) => return error.hints(),
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// Returns `url` as text that may be printed: without user name and password.
pub fn shown(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url.to_string();
    }
    let mut url = url.clone();
    // Fails only for URLs that cannot have a user name, and those have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let url = Url::parse("https://name:secret@host.test/a?b").unwrap();
        assert_eq!(shown(&url), "https://host.test/a?b");
    }
}
