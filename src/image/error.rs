//! What can go wrong between a rootfs and an image somewhere.

use std::io;
use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};

use crate::image::{InvalidDocument, MAX_LAYERS};
use crate::rootfs::RootfsError;
use crate::store::StoreError;

/// An image cannot be made, or not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The rootfs failed.
    #[error(transparent)]
    Rootfs(#[from] Box<RootfsError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// A layer's stream cannot be written.
    #[error("failed to write a layer")]
    Write(#[from] io::Error),
    /// A file of the store is not what it was when it was unpacked.
    #[error("`{}` has been changed since it was unpacked", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A tree of the store has something that packages never bring.
    #[error("`{}` is neither a file, a directory nor a link", path.display())]
    Special {
        /// The place.
        path: PathBuf,
    },
    /// No image can have so many, or so few, layers.
    #[error("an image cannot have {asked} layers")]
    Layers {
        /// How many were asked for.
        asked: usize,
    },
    /// The place to write to has something else.
    #[error("`{}` exists and is no OCI layout", path.display())]
    NotALayout {
        /// The place.
        path: PathBuf,
    },
    /// The program that is to be in the image does not run there.
    #[error("`{}` does not run in the image: {reason}", program.display())]
    Supervisor {
        /// The program.
        program: PathBuf,
        /// What was seen.
        reason: String,
    },
    /// A bundle is written to an empty directory.
    #[error("`{}` is not empty", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// The layout at the place has a document that cannot be read.
    #[error("failed to read `{}`", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: InvalidDocument,
    },
    /// The lockfile says that the image is another.
    #[error("the lockfile has image {recorded}, and building gave {found}")]
    NotRecorded {
        /// The image id in the lockfile.
        recorded: Digest,
        /// That of what was built.
        found: Digest,
    },
    /// Building twice gave two images.
    #[error("building twice gave {first} and {second}")]
    Differs {
        /// The digest of the first image manifest.
        first: Digest,
        /// The digest of the second.
        second: Digest,
        /// The packages of the first layer that differs.
        layer: String,
    },
}

impl From<RootfsError> for ImageError {
    fn from(error: RootfsError) -> Self {
        Self::Rootfs(Box::new(error))
    }
}

impl Explain for ImageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Rootfs(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Write(_) => Kind::Host,
            Self::Damaged { .. } | Self::Special { .. } => Kind::Integrity,
            Self::Layers { .. }
            | Self::NotALayout { .. }
            | Self::Occupied { .. }
            | Self::Layout { .. } => Kind::User,
            Self::Supervisor { .. } => Kind::Host,
            Self::NotRecorded { .. } => Kind::Stale,
            Self::Differs { .. } => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Rootfs(error) => return error.hints(),
            Self::Store(error) => return error.hints(),
            Self::File(error) => return error.hints(),
            Self::Write(_) => return Vec::new(),
            Self::Damaged { .. } | Self::Special { .. } => {
                "run `envbox store verify --discard`, then build again".to_owned()
            }
            Self::Layers { .. } => {
                format!("ask for 1, or for 3 to {MAX_LAYERS}: runtimes refuse more than 125")
            }
            Self::NotALayout { .. } | Self::Occupied { .. } => {
                "name another place, or remove what is there".to_owned()
            }
            Self::Layout { .. } => "remove the layout, or write to another place".to_owned(),
            Self::Supervisor { .. } => {
                "build envbox on a system as old as the image, or without shared libraries: `cargo \
                 rustc --release --bin envbox -- -C target-feature=+crt-static`"
                    .to_owned()
            }
            Self::NotRecorded { .. } => {
                "if `[sandbox]` of the manifest was changed, or envbox was updated, run `envbox build \
                 --record`"
                    .to_owned()
            }
            Self::Differs { layer, .. } => {
                format!("report this, with the lockfile; the first layer that differs has {layer}")
            }
        };
        vec![hint]
    }
}
