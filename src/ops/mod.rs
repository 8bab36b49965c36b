//! The verbs: one file each, `verb(&Context, …, &VerbOptions) -> Result<VerbReport, Error>`.
//!
//! A report is what `--json` prints. Nothing here prints, reads the environment, or exits.

pub mod audit;
pub mod doctor;
mod error;
pub mod fetch;
pub mod init;
pub mod inside;
pub mod lock;
mod project;
pub mod run;
pub mod store;

pub use error::Error;
pub use project::{LOCKFILE, Project};
