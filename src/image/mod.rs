//! A rootfs to an OCI image (image-spec 1.1), and what an image is written as.
//!
//! Comes in: a [`Rootfs`](crate::rootfs::Rootfs) and the lock that it was made from. Goes out: an
//! image whose config digest depends on the lock and the rules alone. The same types read images of
//! others.

mod documents;
mod spec;

pub use documents::{DocumentError, Documents, LayoutDocuments, documents, lock_image, locked};
pub use spec::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, InvalidDocument, MediaType, OciPlatform,
    RootFs, RuntimeConfig,
};

/// The largest manifest, index or config that is read: registries refuse more than 4 MiB.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;
