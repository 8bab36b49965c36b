//! Why an image cannot be looked up.

use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind, Platform, RegistryName};
use envbox_lockfiles::net::NetError;

use crate::image::{DOCUMENT_LIMIT, InvalidDocument, MediaType};

/// An image cannot be looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// A document cannot be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// Nobody says where the registry lies.
    #[error(transparent)]
    Net(NetError),
    /// The registry is no directory.
    #[error("the registry `{registry}` is no OCI layout; images are read from layouts alone")]
    Registry {
        /// The registry.
        registry: RegistryName,
    },
    /// There is no such document.
    #[error("`{}` has no {digest}", place.display())]
    Absent {
        /// Its digest.
        digest: Digest,
        /// Where it was looked for.
        place: PathBuf,
    },
    /// It is another document.
    #[error("a document has the digest {found}, not {expected}")]
    WrongDigest {
        /// The digest that it was asked for by.
        expected: Digest,
        /// Its own.
        found: Digest,
    },
    /// It is longer than any.
    #[error("{digest} has more than {DOCUMENT_LIMIT} bytes, which no manifest or config has")]
    TooLarge {
        /// Its digest.
        digest: Digest,
    },
    /// It is no document of its kind.
    #[error("{digest} cannot be used")]
    Invalid {
        /// Its digest.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: InvalidDocument,
    },
    /// It could be read as two things.
    #[error("{digest} is an image manifest and an index in one")]
    Ambiguous {
        /// Its digest.
        digest: Digest,
    },
    /// An index in an index.
    #[error("{digest} is an index inside an index, where an image should be")]
    NestedIndex {
        /// Its digest.
        digest: Digest,
    },
    /// The image is for others.
    #[error("`{reference}` has no image for {platform}, only for {}", offered.join(", "))]
    NoPlatform {
        /// The image.
        reference: String,
        /// What was asked for.
        platform: Platform,
        /// What there is.
        offered: Vec<String>,
    },
    /// Manifest and config disagree.
    #[error("the image {digest} has {layers} layers, and its config knows of {diff_ids}")]
    LayerCount {
        /// The image manifest.
        digest: Digest,
        /// How many the manifest has.
        layers: usize,
        /// How many the config has.
        diff_ids: usize,
    },
    /// A layer is no tar stream that envbox knows to unpack.
    #[error("the layer {digest} is of type `{media_type}`, which is not supported")]
    LayerType {
        /// The layer.
        digest: Digest,
        /// Its type.
        media_type: MediaType,
    },
}

impl Explain for DocumentError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Net(error) => error.kind(),
            Self::Registry { .. } | Self::Absent { .. } | Self::NoPlatform { .. } => Kind::User,
            _ => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::File(error) => error.hints(),
            Self::Net(error) => error.hints(),
            Self::Registry { registry } => vec![format!(
                "copy the image into a directory (`skopeo copy --all docker://IMAGE \
                 oci:DIRECTORY`) and name that with `--registry {registry}=file:///DIRECTORY`"
            )],
            Self::Absent { .. } => {
                vec!["correct the digest, or copy the image there with `skopeo copy --all`".into()]
            }
            Self::NoPlatform { .. } => {
                vec!["choose another image, or change `platforms`".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
