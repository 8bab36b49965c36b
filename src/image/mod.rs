//! A rootfs to an OCI image (image-spec 1.1), and what an image is written as.
//!
//! Comes in: a [`Rootfs`](crate::rootfs::Rootfs) and the lock that it was made from. Goes out: an
//! image whose config digest depends on the lock and the rules alone. The same types read images of
//! others.

mod build;
mod bundle;
mod bundle_gpu;
mod codec;
mod document_error;
mod documents;
mod error;
mod layer;
mod layout;
mod plan;
mod pool;
mod spec;
mod supervisor;
mod tar;

pub use build::{
    Image, ImageSettings, LOCK_LABEL, Layer, LayerOptions, POLICY_LABEL, build, image_id,
};
pub use bundle::{BundleSettings, write_bundle};
pub use bundle_gpu::BundleGpus;
pub use codec::Codec;
pub use document_error::DocumentError;
pub use documents::{
    DescribedLayer, Documents, LayoutDocuments, documents, image_documents, layers, lock_image,
    locked,
};
pub use error::ImageError;
pub use layout::{ArchiveKind, ImageSet, add_to_layout};
pub use plan::{DEFAULT_LAYERS, MAX_LAYERS};
pub use spec::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, InvalidDocument, MediaType, OciPlatform,
    RootFs, RuntimeConfig,
};
pub use supervisor::{ENTRYPOINT, Supervisor};

/// The largest manifest, index or config that is read: registries refuse more than 4 MiB.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;
