//! What can go wrong while activation is recorded.

use envbox_lockfiles::base::{Explain, Kind};
use envbox_sandbox::SandboxError;

/// What activation sets cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// A file of a package is not what it should be.
    #[error("`{path}` of `{package}` cannot be used for activation: {reason}")]
    Unusable {
        /// The file, as it is inside.
        path: String,
        /// The package.
        package: String,
        /// Why, as a clause.
        reason: &'static str,
    },
    /// There is nothing to run a script with.
    #[error("activating `{package}` needs a shell, and the environment has none")]
    NoShell {
        /// The package.
        package: String,
    },
    /// The sandbox does not start.
    #[error("failed to run the scripts of the environment's activation")]
    Sandbox {
        /// Why.
        #[source]
        source: SandboxError,
    },
    /// A script fails.
    #[error("the environment's activation ({}) failed: {message}", scripts.join(", "))]
    Script {
        /// The scripts.
        scripts: Vec<String>,
        /// What they said.
        message: String,
    },
}

impl Explain for ActivationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unusable { .. } => Kind::Integrity,
            Self::NoShell { .. } | Self::Script { .. } => Kind::User,
            Self::Sandbox { .. } => Kind::Host,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoShell { .. } => {
                vec!["add `bash` to `[conda] dependencies`, or choose the base `debian`".to_owned()]
            }
            Self::Sandbox { source } => source.hint().map(str::to_owned).into_iter().collect(),
            Self::Unusable { package, .. } => vec![format!("ask for another build of `{package}`")],
            Self::Script { .. } => {
                vec![
                    "ask for other builds of these packages, or report it to who makes them".into(),
                ]
            }
        }
    }
}
