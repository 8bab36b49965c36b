//! The error of every verb: which stage failed, whose turn it is, what to do.

use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind, Platform};
use envbox_lockfiles::foreign::{ExportError, ForeignError};
use envbox_lockfiles::lock::{GpuPinError, LockError, Stale, UnknownGroup};
use envbox_lockfiles::manifest::{EditError, ManifestError};
use envbox_lockfiles::net::NetError;
use envbox_lockfiles::resolve::ResolveError;
use envbox_lockfiles::resolve::python::BuildFailure;

use crate::attest::AttestError;
use crate::data::DataError;
use crate::engines::EngineError;
use crate::fetch::FetchError;
use crate::image::{DocumentError, ImageError};
use crate::mirror::MirrorError;
use crate::ops::activation::ActivationError;
use crate::ops::host_gpu::HostGpuError;
use crate::ops::inside::InsideError;
use crate::ops::replay::ReplayError;
use crate::ops::run::{BareError, RunError};
use crate::ops::verify::VerifyError;
use crate::record::JournalError;
use crate::registry::{ImageName, InvalidImageName, RegistryError};
use crate::rootfs::RootfsError;
use crate::store::StoreError;

/// A verb could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manifest is not usable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A wheel could not be built.
    #[error("failed to build a wheel of `{source_file}`")]
    Build {
        /// The source.
        source_file: String,
        /// Why.
        #[source]
        source: Box<BuildFailure>,
    },
    /// A source says in a malformed way how it is built.
    #[error("`pyproject.toml` of `{source_file}` is malformed")]
    Backend {
        /// The source.
        source_file: String,
        /// What is wrong with it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The same source gave another wheel.
    #[error(
        "`{source_file}` does not build the same again: `{wheel}` has the digest {found}, and the \
         lockfile has {expected}"
    )]
    OtherWheel {
        /// The source.
        source_file: String,
        /// The wheel.
        wheel: String,
        /// The digest in the lockfile.
        expected: Digest,
        /// That of what was built.
        found: Digest,
    },
    /// A commit has other files than when it was locked.
    #[error("`{source_file}` has the digest {found}, and the lockfile has {expected}")]
    OtherSource {
        /// The source.
        source_file: String,
        /// The digest in the lockfile.
        expected: Digest,
        /// That of what the repository has.
        found: Digest,
    },
    /// The manifest cannot be changed as asked.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody else changed the manifest at the same time.
    #[error("`{}` was changed meanwhile; nothing was written", file.display())]
    ManifestChanged {
        /// The manifest.
        file: PathBuf,
    },
    /// `init` found a manifest.
    #[error("`{}` exists already", file.display())]
    ManifestExists {
        /// The manifest.
        file: PathBuf,
    },
    /// Another tool's file is not usable.
    #[error(transparent)]
    Foreign(#[from] Box<ForeignError>),
    /// The lock cannot be written as another tool's file.
    #[error(transparent)]
    Export(#[from] Box<ExportError>),
    /// The step cannot be written for an engine.
    #[error(transparent)]
    Engine(#[from] Box<EngineError>),
    /// The lockfile is not usable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The lockfile does not answer the manifest.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The driver cannot be pinned.
    #[error(transparent)]
    GpuPin(#[from] Box<GpuPinError>),
    /// There is no driver or GPU to pin.
    #[error(transparent)]
    HostGpu(#[from] Box<HostGpuError>),
    /// A group was chosen that the manifest does not have.
    #[error(transparent)]
    Group(#[from] UnknownGroup),
    /// The lockfile is for other platforms.
    #[error("the lockfile is not for {platform}")]
    OtherPlatform {
        /// The platform asked for.
        platform: Platform,
        /// Those it is for.
        locked: Vec<Platform>,
    },
    /// The lockfile has no such package.
    #[error("the lockfile has no package `{package}` for {platform}")]
    NotLocked {
        /// The name.
        package: String,
        /// The platform.
        platform: Platform,
        /// The platforms that it has one for.
        elsewhere: Vec<Platform>,
        /// The name in the lockfile that is most like it.
        alike: Option<String>,
    },
    /// Git has no such object.
    #[error("`{object}` is no file and no run, and Git does not have it: {reason}")]
    Revision {
        /// As Git names it.
        object: String,
        /// What Git says.
        reason: String,
    },
    /// Resolving failed.
    #[error(transparent)]
    Resolve(#[from] Box<ResolveError>),
    /// The image of the manifest could not be looked up.
    #[error(transparent)]
    Document(#[from] Box<DocumentError>),
    /// Downloading failed.
    #[error(transparent)]
    Fetch(#[from] Box<FetchError>),
    /// Unpacking or merging failed.
    #[error(transparent)]
    Rootfs(#[from] Box<RootfsError>),
    /// What activation sets cannot be recorded.
    #[error(transparent)]
    Activation(#[from] Box<ActivationError>),
    /// The image cannot be made, or not be written.
    #[error(transparent)]
    Image(#[from] Box<ImageError>),
    /// A registry of images failed.
    #[error(transparent)]
    Registry(#[from] Box<RegistryError>),
    /// The mirror failed.
    #[error(transparent)]
    Mirror(#[from] Box<MirrorError>),
    /// What is behind a server is not written to.
    #[error("`{mirror}` is behind a server, and is written to where its files are")]
    MirrorPlace {
        /// The URL.
        mirror: String,
    },
    /// The name of an image is malformed.
    #[error(transparent)]
    Reference(#[from] InvalidImageName),
    /// The registry has another image under a name that holds its identity.
    #[error("`{reference}` is the image {found}, and the lockfile has {expected}")]
    WrongImage {
        /// The name.
        reference: Box<ImageName>,
        /// The image id in the lockfile.
        expected: Digest,
        /// That of what the registry has.
        found: Digest,
    },
    /// A tag may lead elsewhere tomorrow.
    #[error("`{reference}` names no digest")]
    NoDigest {
        /// The image.
        reference: Box<ImageName>,
    },
    /// Nobody with the key has signed the image.
    #[error("`{reference}` is not signed with the key {key}")]
    NotSigned {
        /// The image.
        reference: Box<ImageName>,
        /// The digest of the public key.
        key: Digest,
        /// How many signatures it has.
        signatures: usize,
    },
    /// A statement, a signature or a key is wrong.
    #[error(transparent)]
    Attest(#[from] Box<AttestError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The policy of an image is not usable.
    #[error(transparent)]
    Inside(#[from] InsideError),
    /// A step cannot run without namespaces here.
    #[error(transparent)]
    Bare(#[from] Box<BareError>),
    /// Declared data cannot be used.
    #[error(transparent)]
    Data(Box<DataError>),
    /// Data lies outside of the project.
    #[error("`{}` is no path below the project", path.display())]
    DataPath {
        /// The path.
        path: PathBuf,
    },
    /// A download failed.
    #[error(transparent)]
    Net(Box<NetError>),
    /// No run has the name, or its record is not whole.
    #[error(transparent)]
    Journal(#[from] Box<JournalError>),
    /// A run cannot be replayed.
    #[error(transparent)]
    Replay(#[from] Box<ReplayError>),
    /// The step did not run.
    #[error(transparent)]
    Run(#[from] Box<RunError>),
    /// Nothing could be verified.
    #[error(transparent)]
    Verify(#[from] Box<VerifyError>),
}

macro_rules! boxed {
    ($($variant:ident($error:ty)),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        })*
    };
}

boxed!(
    Bare(BareError),
    Foreign(ForeignError),
    GpuPin(GpuPinError),
    HostGpu(HostGpuError),
    Export(ExportError),
    Engine(EngineError),
    Resolve(ResolveError),
    Document(DocumentError),
    Fetch(FetchError),
    Rootfs(RootfsError),
    Activation(ActivationError),
    Image(ImageError),
    Registry(RegistryError),
    Mirror(MirrorError),
    Attest(AttestError),
    Journal(JournalError),
    Replay(ReplayError),
    Run(RunError),
    Verify(VerifyError)
);

impl Error {
    /// Returns the exit status that says so where a step's own status is passed through.
    pub fn run_exit_status(&self) -> u8 {
        match self {
            Self::Run(error) => error.exit_status(),
            _ => 125,
        }
    }

    /// Returns the lines of the file in question, for an error that has a place in one.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.excerpt(),
            Self::Foreign(error) => match error.as_ref() {
                ForeignError::Manifest(error) => error.excerpt(),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Manifest(error) => error.kind(),
            Self::Edit(error) => error.kind(),
            Self::ManifestExists { .. }
            | Self::ManifestChanged { .. }
            | Self::Reference(_)
            | Self::NoDigest { .. }
            | Self::MirrorPlace { .. }
            | Self::OtherPlatform { .. }
            | Self::NotLocked { .. }
            | Self::Revision { .. } => Kind::User,
            Self::Build { source, .. } => source.kind(),
            Self::Backend { .. } => Kind::User,
            Self::OtherWheel { .. }
            | Self::OtherSource { .. }
            | Self::WrongImage { .. }
            | Self::NotSigned { .. } => Kind::Integrity,
            Self::Foreign(error) => error.kind(),
            Self::Export(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Stale(error) => error.kind(),
            Self::GpuPin(error) => error.kind(),
            Self::HostGpu(error) => error.kind(),
            Self::Group(error) => error.kind(),
            Self::Resolve(error) => error.kind(),
            Self::Document(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Rootfs(error) => error.kind(),
            Self::Activation(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Mirror(error) => error.kind(),
            Self::Attest(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Fs(error) => error.kind(),
            Self::Inside(error) => error.kind(),
            Self::Bare(error) => error.kind(),
            Self::Data(error) => error.kind(),
            Self::DataPath { .. } => Kind::User,
            Self::Net(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Replay(error) => error.kind(),
            Self::Run(error) => error.kind(),
            Self::Verify(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Manifest(error) => error.hints(),
            Self::Reference(_) => vec!["write it as `registry.example/team/iris`".to_owned()],
            Self::NoDigest { .. } => {
                vec!["add the digest, `@sha256:…`: `envbox pull` with the tag tells it".to_owned()]
            }
            Self::NotSigned { signatures: 0, .. } => vec![
                "it has no signature at all: sign it with `envbox build --push … --key` or `cosign \
                 sign --key`"
                    .to_owned(),
            ],
            Self::NotSigned { .. } => {
                vec!["others have signed it: use the public key of one whom you trust".to_owned()]
            }
            Self::WrongImage { .. } => vec![
                "remove that tag from the registry, and push again with `envbox build --push`"
                    .to_owned(),
            ],
            Self::Build { source, .. } => source.hints(),
            Self::OtherWheel { .. } => vec![
                "take the wheel from a store or mirror that has it, or lock again with `envbox lock \
                 --upgrade`"
                    .to_owned(),
            ],
            Self::Backend { .. } | Self::OtherSource { .. } => Vec::new(),
            Self::Edit(error) => error.hints(),
            Self::ManifestChanged { .. } => vec!["run the command again".to_owned()],
            Self::ManifestExists { .. } => vec!["edit it, or remove it first".to_owned()],
            Self::OtherPlatform { locked, .. } => {
                let locked: Vec<_> = locked.iter().map(ToString::to_string).collect();
                vec![format!("choose one of {}", locked.join(", "))]
            }
            Self::NotLocked {
                elsewhere, alike, ..
            } => match (elsewhere.first(), alike) {
                (Some(platform), _) => {
                    vec![format!("it has one with `--platform {platform}`")]
                }
                (None, Some(name)) => vec![format!("did you mean `{name}`?")],
                (None, None) => vec!["`envbox tree` lists all that it has".to_owned()],
            },
            Self::Revision { .. } => vec![
                "name a lockfile, a directory that has one, a revision as `HEAD~1:envbox.lock`, or two runs"
                    .to_owned(),
            ],
            Self::Foreign(error) => error.hints(),
            Self::Export(error) => error.hints(),
            Self::Engine(error) => error.hints(),
            Self::Lock(error) => error.hints(),
            Self::Stale(error) => error.hints(),
            Self::GpuPin(error) => error.hints(),
            Self::HostGpu(error) => error.hints(),
            Self::Group(error) => error.hints(),
            Self::Resolve(error) => error.hints(),
            Self::Document(error) => error.hints(),
            Self::Fetch(error) => error.hints(),
            Self::Rootfs(error) => error.hints(),
            Self::Activation(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::Registry(error) => error.hints(),
            Self::Mirror(error) => error.hints(),
            Self::MirrorPlace { .. } => vec![
                "run `envbox mirror --to dir:PATH` on the server, or copy the directory there"
                    .to_owned(),
            ],
            Self::Attest(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Fs(error) => error.hints(),
            Self::Inside(error) => error.hints(),
            Self::Bare(error) => error.hints(),
            Self::Data(error) => error.hints(),
            Self::DataPath { .. } => vec![
                "make a link to it in the project, and declare that: `ln -s …`".to_owned(),
            ],
            Self::Net(error) => error.hints(),
            Self::Journal(error) => error.hints(),
            Self::Replay(error) => error.hints(),
            Self::Run(error) => error.hints(),
            Self::Verify(error) => error.hints(),
        }
    }
}
