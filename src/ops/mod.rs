//! The verbs: one file each, `verb(&Context, …, &VerbOptions) -> Result<VerbReport, Error>`.
//!
//! A report is what `--json` prints. Nothing here prints, reads the environment, or exits.

mod activation;
pub mod audit;
mod base_image;
pub mod build;
mod closure;
mod compiler;
mod conda_images;
pub mod data;
pub mod diff;
pub mod diff_runs;
pub mod doctor;
pub mod edit;
mod error;
pub mod export;
pub mod export_run;
pub mod export_step;
pub mod fetch;
pub mod gpu;
pub mod host_gpu;
pub mod import;
pub mod init;
pub mod inside;
pub mod key;
pub mod lock;
pub mod mirror;
mod project;
pub mod provenance;
pub mod publish;
pub mod pull;
pub mod replay;
pub mod report;
pub mod run;
pub mod runs;
pub mod sbom;
mod sources;
pub mod store;
pub mod tree;
pub mod verify;
pub mod verify_attestation;
pub mod why;

pub use activation::ActivationError;
pub use error::Error;
pub use project::{LOCKFILE, Project};
