//! The vocabulary: digests, names, platforms, times, errors and events.
//!
//! Comes in: text. Goes out: values that are valid by construction. Does no I/O but for `fs`.
//!
//! **Invariant:** a value of one of these types is valid; text is checked in `FromStr` alone
//! (`name::tests`, `digest::tests`, `version::tests`).

mod context;
mod digest;
mod event;
pub mod fs;
mod hint;
mod image;
mod mirror;
mod name;
mod package_url;
mod platform;
mod version;

pub use context::{Context, Network, Transport};
pub use digest::{Digest, Hasher, InvalidDigest};
pub use event::{Event, Reporter, Silent};
pub use fs::FsError;
pub use hint::{Explain, Kind};
pub use image::{Compression, ImageReference, InvalidReference, InvalidRepository, Repository};
pub use mirror::{InvalidMirror, Mirror};
pub use name::{
    CondaName, DebianName, EnvironmentName, GroupName, InvalidName, PythonName, RegistryName,
};
pub use package_url::package_url;
pub use platform::{Platform, UnknownPlatform};
pub use version::{DottedVersion, InvalidVersion};
