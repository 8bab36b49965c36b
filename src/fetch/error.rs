//! Why artifacts could not be had.

use std::fmt;

use envbox_lockfiles::base::{Explain, Kind, Platform, RegistryName};
use envbox_lockfiles::lock::{Artifact, Origin};
use envbox_lockfiles::net::{NetError, shown};
use envbox_lockfiles::resolve::python::PythonError;
use url::Url;

use crate::store::StoreError;

/// A closure could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A wheel that is built is not there.
    #[error("`{file}` is in no registry: it has to be built")]
    NotBuilt {
        /// The wheel.
        file: String,
    },
    /// The lock was not made for the platform.
    #[error("the lock has nothing for {platform}, only for {}", list(.locked))]
    Platform {
        /// What was asked for.
        platform: Platform,
        /// What the lock is for.
        locked: Vec<Platform>,
    },
    /// The network is off, and not everything is there.
    #[error("the network is off, and {} not in the store: {}", count(.missing), list(.missing))]
    Offline {
        /// Everything that is missing.
        missing: Vec<MissingArtifact>,
    },
    /// The registry does not say where a wheel lies.
    #[error("failed to find {artifact}")]
    Locate {
        /// What was wanted.
        artifact: Box<MissingArtifact>,
        /// Why not.
        #[source]
        source: Box<PythonError>,
    },
    /// The bytes did not come.
    #[error("failed to download {artifact}{}", also(.tried))]
    Download {
        /// What was wanted.
        artifact: Box<MissingArtifact>,
        /// URLs that were tried before the one that `source` is about.
        tried: Vec<String>,
        /// Why not.
        #[source]
        source: NetError,
    },
    /// Other bytes came.
    #[error("{artifact} is not what the lock promises: `{url}` gave other bytes")]
    Integrity {
        /// What was wanted.
        artifact: Box<MissingArtifact>,
        /// Who gave the bytes.
        url: String,
        /// What was expected, and what came.
        #[source]
        source: StoreError,
    },
    /// The mirror has other bytes under the artifact's digest.
    #[error("`{url}`, the mirror's copy of {artifact}, is damaged")]
    Mirrored {
        /// What was wanted.
        artifact: Box<MissingArtifact>,
        /// The mirror's file.
        url: String,
        /// What was expected, and what came.
        #[source]
        source: StoreError,
    },
    /// The origin in the lock is no URL.
    #[error("`{url}`, where the lock says that `{file}` lies, is not a URL")]
    Url {
        /// The artifact's file name.
        file: String,
        /// The text.
        url: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// A layer of an image is not in the store, and lies in no directory.
    #[error("`{file}` is not in the store, and the registry `{registry}` is no OCI layout")]
    Image {
        /// The layer: `repository@digest`.
        file: String,
        /// The registry.
        registry: RegistryName,
    },
    /// A conda package is not in the store, and its channel, a registry of images, has not given it.
    #[error(
        "`{file}` is not in the store, and the registry of the channel `{channel}` does not have it"
    )]
    NotInChannel {
        /// The package's file.
        file: String,
        /// The channel.
        channel: RegistryName,
    },
    /// The network could not be set up.
    #[error(transparent)]
    Net(NetError),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Names an artifact in messages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MissingArtifact {
    /// The file name, or the path in the registry.
    pub file: String,
    /// The registry, or the URL without credentials.
    pub origin: String,
    /// The size in bytes.
    pub size: u64,
}

impl MissingArtifact {
    /// Says whether it is a conda package.
    fn is_conda(&self) -> bool {
        self.file.ends_with(".conda") || self.file.ends_with(".tar.bz2")
    }

    pub(super) fn of(artifact: &Artifact) -> Self {
        Self {
            file: artifact.file.clone(),
            origin: match &artifact.origin {
                Origin::Registry(name) => name.to_string(),
                Origin::Url(url) => Url::parse(url).map_or_else(|_| url.clone(), |url| shown(&url)),
                Origin::Built => "a build".to_owned(),
            },
            size: artifact.size,
        }
    }
}

impl fmt::Display for MissingArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` from `{}`", self.file, self.origin)
    }
}

impl FetchError {
    /// Says whether no registry has the file any more, as far as could be asked.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Download { source, .. } if matches!(source, NetError::NotFound { .. }))
    }

    /// Says whether the artifact may be there once the network is on.
    pub(super) fn is_offline(&self) -> bool {
        match self {
            // What a registry listed when it was last asked says nothing of now.
            Self::Locate { .. } => true,
            // Registries of images are asked before.
            Self::NotInChannel { .. } => true,
            Self::Download { source, .. } => matches!(source, NetError::Offline { .. }),
            _ => false,
        }
    }
}

impl Explain for FetchError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotBuilt { .. } => Kind::Internal,
            Self::Platform { .. } | Self::Url { .. } | Self::Image { .. } => Kind::User,
            Self::Offline { .. } | Self::NotInChannel { .. } => Kind::Network,
            Self::Locate { source, .. } => source.kind(),
            Self::Download { source, .. } | Self::Net(source) => source.kind(),
            Self::Integrity { source, .. } | Self::Mirrored { source, .. } => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotBuilt { .. } => return Vec::new(),
            Self::Platform { platform, .. } => {
                format!("add `{platform}` to `platforms` in the manifest and run `envbox lock`")
            }
            Self::Offline { .. } => "run the command once without `--offline`".to_owned(),
            Self::Integrity { artifact, .. } if artifact.is_conda() => {
                "use another mirror, or tell who keeps the channel: it does not give what it lists; if \
                 the file was replaced on purpose, run `envbox lock --upgrade`"
                    .to_owned()
            }
            Self::Integrity { .. } => "use another mirror; if the file was replaced on purpose, \
                                       run `envbox lock --upgrade`"
                .to_owned(),
            Self::Mirrored { .. } => {
                "run `envbox mirror` with this lockfile again, which repairs the \
                                      mirror, or do without it"
                    .to_owned()
            }
            Self::Image { registry, .. } => format!(
                "copy the image into a directory (`skopeo copy --all docker://IMAGE \
                 oci:DIRECTORY`) and name that with `--registry {registry}=file:///DIRECTORY`"
            ),
            Self::NotInChannel { channel, .. } => {
                format!("say where it lies with `--registry {channel}=URL`")
            }
            Self::Url { .. } => "run `envbox lock` to write the lock again".to_owned(),
            Self::Locate { source, .. } => return source.hints(),
            Self::Download {
                source: NetError::NotFound { .. },
                ..
            } => {
                return vec![
                    "use a registry that keeps old files".to_owned(),
                    "lock again with `envbox lock --upgrade`".to_owned(),
                ];
            }
            Self::Download { source, .. } | Self::Net(source) => return source.hints(),
            Self::Store(source) => return source.hints(),
        };
        vec![hint]
    }
}

fn list(items: &[impl fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

fn count(missing: &[MissingArtifact]) -> String {
    match missing.len() {
        1 => "1 artifact is".to_owned(),
        more => format!("{more} artifacts are"),
    }
}

fn also(tried: &[String]) -> String {
    if tried.is_empty() {
        return String::new();
    }
    format!(", also not from `{}`", tried.join("`, `"))
}
