//! Why a mirror could not be written.

use std::io;
use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};

use crate::image::ImageError;
use crate::layers::LayerError;

/// A mirror could not be written; what was there is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The directory holds something else.
    #[error("`{}` is not empty and no mirror", directory.display())]
    NotAMirror {
        /// The directory.
        directory: PathBuf,
    },
    /// The mirror was made by a later envbox.
    #[error("the mirror `{}` has version `{found}`, this envbox writes `1`", directory.display())]
    Version {
        /// The directory.
        directory: PathBuf,
        /// What its `version` says.
        found: String,
    },
    /// A file that is to be copied has not the bytes of its digest.
    #[error("`{}` is damaged: expected {expected}, found {found}", file.display())]
    Damaged {
        /// The file, in the store.
        file: PathBuf,
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        found: Digest,
    },
    /// A lock names a file by a path that leaves its registry.
    #[error("`{file}` is no path below the registry `{registry}`")]
    Path {
        /// The registry.
        registry: String,
        /// The path.
        file: String,
    },
    /// A wheel cannot be read, so nothing can be said about it.
    #[error("failed to read what the wheel `{file}` says about itself")]
    Wheel {
        /// Its file name.
        file: String,
        /// Why not.
        #[source]
        source: Box<LayerError>,
    },
    /// A conda package cannot be read, so it cannot be listed.
    #[error("failed to read what the package `{file}` says about itself")]
    Conda {
        /// Its file.
        file: String,
        /// Why not.
        #[source]
        source: Box<LayerError>,
    },
    /// A list of conda packages in the mirror is none.
    #[error("failed to read `{}`, in which the mirror lists conda packages", file.display())]
    Repodata {
        /// The list.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The registry of images in the mirror is no OCI layout.
    #[error("failed to list an image")]
    Layout {
        /// Why not.
        #[source]
        source: Box<ImageError>,
    },
    /// The directory could not be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Explain for MirrorError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotAMirror { .. } | Self::Version { .. } => Kind::User,
            Self::Damaged { .. } | Self::Path { .. } | Self::Repodata { .. } => Kind::Integrity,
            Self::Wheel { source, .. } | Self::Conda { source, .. } => source.kind(),
            Self::Layout { source } => source.kind(),
            Self::Fs(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotAMirror { .. } => "name a mirror, or a directory that is empty or not there",
            Self::Version { .. } => "use the envbox that made it, or another directory",
            Self::Damaged { .. } => {
                "run `envbox store verify --discard` and then `envbox mirror` again"
            }
            Self::Path { .. } => "run `envbox lock` to write the lock again",
            Self::Wheel { source, .. } | Self::Conda { source, .. } => return source.hints(),
            Self::Repodata { .. } => "remove it and run `envbox mirror` again for each lockfile",
            Self::Layout { source } => return source.hints(),
            Self::Fs(error) => match error.source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space and run the command again: it goes on where it ended"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "make the directory writable, or name another"
                }
                _ => return Vec::new(),
            },
        };
        vec![hint.to_owned()]
    }
}
