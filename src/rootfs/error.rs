//! What can go wrong between a closure and a rootfs.

use envbox_lockfiles::base::{Explain, FsError, Kind, Platform};
use envbox_sandbox::SandboxError;

use crate::layers::LayerError;
use crate::store::StoreError;

/// A rootfs cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootfsError {
    /// A package cannot be unpacked.
    #[error("failed to unpack `{artifact}`")]
    Unpack {
        /// The artifact as the lock names it.
        artifact: String,
        /// Why.
        #[source]
        source: LayerError,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a tree cannot be read, or the rootfs cannot be written.
    #[error(transparent)]
    File(#[from] FsError),
    /// The merged tree cannot be written.
    #[error("failed to merge the packages")]
    Merge(#[source] LayerError),
    /// Two packages have different files at one path.
    #[error("`{first}` and `{second}` have different files at `/{path}`")]
    Conflict {
        /// The path in the rootfs.
        path: String,
        /// The package that comes first.
        first: String,
        /// The other.
        second: String,
    },
    /// Conda packages have scripts that the manifest does not allow.
    #[error(
        "these packages run a script when they are installed, which the manifest does not allow: {}",
        packages.join(", ")
    )]
    LinkScripts {
        /// The packages.
        packages: Vec<String>,
    },
    /// A conda package has a script of a kind that is never run.
    #[error(
        "`{package}` has a `pre-link` script, and envbox installs packages without such a step"
    )]
    PreLink {
        /// The package.
        package: String,
    },
    /// There is nothing to run a script with.
    #[error("the script of `{package}` needs a shell, and the environment has none")]
    NoShell {
        /// The package.
        package: String,
    },
    /// The sandbox for a script does not start.
    #[error("failed to run the script of `{package}`")]
    Script {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: SandboxError,
    },
    /// A script says that it failed.
    #[error("the script of `{package}` failed: {message}")]
    ScriptFailed {
        /// The package.
        package: String,
        /// What it said.
        message: String,
    },
    /// The sandbox that compiles modules does not start.
    #[error("failed to compile the modules of `{package}`")]
    Compile {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: SandboxError,
    },
    /// The environment's interpreter does not work.
    #[error("`{interpreter}` failed to compile the modules of `{package}`: {message}")]
    Interpreter {
        /// The interpreter's path inside.
        interpreter: String,
        /// The package.
        package: String,
        /// What it said.
        message: String,
    },
    /// The interpreter is not the one that was asked for.
    #[error(
        "the `{interpreter}` for {} is {found}, and the environment has {expected}",
        Platform::host()
    )]
    OtherInterpreter {
        /// The interpreter's path inside.
        interpreter: String,
        /// The version that the environment has.
        expected: String,
        /// The version of what was found for this host, or what it said.
        found: String,
    },
    /// Nobody can compile modules.
    #[error("the interpreter for {platform} does not run here, and no other was given")]
    NoCompiler {
        /// The platform.
        platform: Platform,
    },
    /// The lock's interpreter is in none of its packages.
    #[error("the packages have no `{path}`, the interpreter of the lock")]
    NoInterpreter {
        /// Where it should be.
        path: String,
    },
    /// The lock has no interpreter's archive for the platform.
    #[error("the lock has no interpreter for {platform}")]
    NoArchive {
        /// The platform.
        platform: Platform,
    },
    /// The lock has no image for the platform.
    #[error("the lock has no image for {platform}")]
    NoImage {
        /// The platform.
        platform: Platform,
    },
    /// The store does not have a layer of an image.
    #[error("the store does not have `{file}`")]
    NoLayer {
        /// The layer: `repository@digest`.
        file: String,
    },
    /// Wheels need an interpreter.
    #[error("the lock has wheels but no interpreter")]
    NoPython,
    /// The interpreter's version is no version.
    #[error("`{found}` is not the version of an interpreter")]
    Version {
        /// The text in the lock.
        found: String,
    },
}

impl Explain for RootfsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unpack { source, .. } | Self::Merge(source) => source.kind(),
            Self::Store(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Conflict { .. }
            | Self::LinkScripts { .. }
            | Self::PreLink { .. }
            | Self::NoShell { .. }
            | Self::ScriptFailed { .. } => Kind::User,
            Self::Compile { .. } | Self::Script { .. } => Kind::Host,
            Self::Interpreter { .. } | Self::NoCompiler { .. } => Kind::Internal,
            Self::NoLayer { .. } => Kind::Host,
            Self::NoInterpreter { .. }
            | Self::NoArchive { .. }
            | Self::NoImage { .. }
            | Self::NoPython
            | Self::OtherInterpreter { .. }
            | Self::Version { .. } => Kind::Stale,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unpack { source, .. } => match (source.hints(), source.kind()) {
                (hints, Kind::Integrity) if hints.is_empty() => vec![
                    "the package is at fault: ask for another version or build of it, and tell who \
                     publishes it"
                        .to_owned(),
                ],
                (hints, _) => hints,
            },
            Self::Merge(source) => source.hints(),
            Self::Store(error) => error.hints(),
            Self::File(error) => error.hints(),
            Self::Conflict { first, second, .. } => {
                vec![format!("ask for `{first}` or `{second}`, not for both")]
            }
            Self::LinkScripts { packages } => {
                let names: Vec<String> =
                    packages.iter().map(|name| format!("\"{name}\"")).collect();
                vec![format!(
                    "read them, then allow them with `link-scripts = [{}]` in `[conda]`",
                    names.join(", ")
                )]
            }
            Self::PreLink { package } => vec![format!("ask for another build of `{package}`")],
            Self::NoShell { .. } => {
                vec!["add `bash` to `[conda] dependencies`, or choose the base `debian`".to_owned()]
            }
            Self::ScriptFailed { package, .. } => vec![format!(
                "report this to those who package `{package}`, or ask for another build"
            )],
            Self::Compile { source, .. } | Self::Script { source, .. } => {
                source.hint().map(str::to_owned).into_iter().collect()
            }
            Self::Interpreter { .. } => {
                vec!["report this, with the lockfile and the lines above".to_owned()]
            }
            Self::NoLayer { .. } => vec!["run `envbox fetch` first".to_owned()],
            Self::NoCompiler { .. } => Vec::new(),
            Self::OtherInterpreter { .. } => vec![format!(
                "add `{}` to `platforms` in the manifest and run `envbox lock`: then the lock has \
                 the same interpreter for this host",
                Platform::host()
            )],
            Self::NoInterpreter { .. }
            | Self::NoArchive { .. }
            | Self::NoImage { .. }
            | Self::NoPython
            | Self::Version { .. } => vec!["run `envbox lock` to write the lock anew".to_owned()],
        }
    }
}
