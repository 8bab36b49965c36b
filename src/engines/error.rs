//! Why a step cannot be written for an engine.

use std::ffi::OsString;

use envbox_lockfiles::base::{Explain, Kind};

use crate::engines::{Claim, EngineStep, StepName, Supervision};
use crate::registry::ImageName;

/// A step cannot be written for an engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No command is given.
    #[error("there is no command to run")]
    NoCommand,
    /// A word is no text.
    #[error("`{}` is not UTF-8, or has a zero byte", word.display())]
    NoText {
        /// The word.
        word: OsString,
    },
    /// A variable has no value: whoever reads the template has another environment.
    #[error("`--env` needs NAME=VALUE here: a template cannot pass on the caller's variables")]
    NoValue,
    /// No image is given.
    #[error("there is no image to run the command in")]
    NoImage,
    /// A tag may lead elsewhere tomorrow.
    #[error("`{image}` names no digest, and a tag may lead to another image tomorrow")]
    NoDigest {
        /// The image.
        image: Box<ImageName>,
        /// Whether envbox is to be in it.
        supervision: Supervision,
    },
    /// A name is no label of DNS.
    #[error(
        "`{found}` cannot be the name: it must be of 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit"
    )]
    Name {
        /// The name.
        found: String,
        /// One that can be.
        alike: Option<StepName>,
    },
    /// Kubernetes does not take the host name.
    #[error(
        "`[sandbox] hostname` is `{found}`, which no pod can have: it is no label of a DNS name"
    )]
    Hostname {
        /// The host name.
        found: String,
    },
    /// The working directory is malformed.
    #[error("`{found}` is no absolute path of a directory without `.`, `..` and `:`")]
    Directory {
        /// The directory.
        found: String,
    },
    /// An amount of memory is malformed.
    #[error("`{found}` is no amount of memory")]
    Memory {
        /// As found.
        found: String,
    },
    /// A claim is malformed.
    #[error("`{found}` is not CLAIM:PATH or CLAIM:PATH:ro")]
    Claim {
        /// As found.
        found: String,
    },
    /// A claim would hide something.
    #[error("no volume can be at `{path}`: it would hide `{taken}`")]
    ClaimPlace {
        /// Where the claim was to be.
        path: String,
        /// What is there.
        taken: &'static str,
    },
    /// Two claims are at one place.
    #[error("two volumes are at `{path}`")]
    TwoClaims {
        /// The place.
        path: String,
    },
    /// A claim would hide the code.
    #[error("`{claim}` would hide the project that the image has")]
    HidesCode {
        /// The claim.
        claim: Claim,
    },
    /// The engine would put something else in the place of a text.
    #[error("`{text}` has `{{{{`, which {engine} takes for an expression of its own")]
    Expression {
        /// The engine.
        engine: &'static str,
        /// The text.
        text: String,
    },
    /// The engine has no words for something that was asked for.
    #[error("{engine} has no words for {what}")]
    NoWords {
        /// The engine.
        engine: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// The engine needs a program that the environment does not have.
    #[error("{engine} starts every task with `{program}`, which the lockfile does not have")]
    NoProgram {
        /// The engine.
        engine: &'static str,
        /// The program, and the Debian package that has it.
        program: &'static str,
    },
    /// The lock requires a part of a GPU.
    #[error("the lockfile requires a MIG instance, and clusters name each profile otherwise")]
    Mig,
}

impl Explain for EngineError {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoText { .. } | Self::NoValue => Vec::new(),
            Self::NoCommand => vec!["write it behind `--`: `-- python train.py`".to_owned()],
            Self::NoImage => vec![
                "push it with `envbox build --supervised --push REPOSITORY:TAG`, and give what that \
                 prints: `--image REPOSITORY@sha256:…`"
                    .to_owned(),
            ],
            Self::NoDigest { image, supervision } => {
                let repository = format!("{}/{}", image.registry(), image.repository());
                let prints = format!("give what that prints: `--image {repository}@sha256:…`");
                match supervision {
                    Supervision::Supervised => vec![format!(
                        "push it with `envbox build --supervised --push {image}`, and {prints}"
                    )],
                    Supervision::Plain => vec![
                        format!("push it with `envbox build --push {image}`, and {prints}"),
                        "or write the image to the lockfile as well, with `--record`: then it is \
                         found in the repository by that"
                            .to_owned(),
                    ],
                }
            }
            Self::Name { alike, .. } => {
                let alike = alike.iter();
                alike.map(|name| format!("use `--name {name}`")).collect()
            }
            Self::Hostname { .. } => vec!["change it, and build the image again".to_owned()],
            Self::Directory { .. } => vec!["write it as `/project/src`".to_owned()],
            Self::Memory { .. } => vec!["write it as `512Mi`, `8Gi` or `1Ti`".to_owned()],
            Self::Claim { .. } => vec!["write it as `--volume data:/data:ro`".to_owned()],
            Self::ClaimPlace { .. } => {
                vec!["choose `/project`, a directory below it, or one of your own: `/data`".to_owned()]
            }
            Self::TwoClaims { .. } => vec!["give each a place of its own".to_owned()],
            Self::HidesCode { .. } => vec![
                "leave `--code image` out, or choose a directory below `/project`".to_owned(),
            ],
            Self::Expression { .. } => {
                vec!["put it into a file of the project, and run that".to_owned()]
            }
            Self::NoWords { .. } => vec!["leave it out, or choose another engine".to_owned()],
            Self::NoProgram { program, .. } => vec![format!(
                "add `{program}` to `[debian] packages`, and build the image again"
            )],
            Self::Mig => vec![
                "set `[gpu] device = \"record\"`, and name the profile in the template".to_owned(),
            ],
        }
    }
}

/// Refuses texts that an engine would evaluate.
///
/// # Errors
/// Returns [`EngineError::Expression`].
pub(super) fn no_expressions(engine: &'static str, step: &EngineStep) -> Result<(), EngineError> {
    let claims = step.claims.iter().map(|claim| &claim.path);
    let own = [&step.directory].into_iter().chain(&step.outputs);
    let words = step.command.iter().chain(step.variables.values());
    let mut all = words.chain(own).chain(claims);
    match all.find(|text| text.contains("{{")) {
        Some(text) => Err(EngineError::Expression {
            engine,
            text: text.clone(),
        }),
        None => Ok(()),
    }
}
