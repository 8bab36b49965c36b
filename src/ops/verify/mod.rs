//! `verify`: a step that is run several times while its host is varied, and a verdict.
//!
//! Comes in: what `run` takes, and what may be varied. Goes out: a [`VerifyReport`]: whether all
//! runs left the same bytes, and if not, which variation makes them differ, where in which output,
//! and what the step drew, on which line.
//!
//! Each run is a process of envbox's own program in a fresh copy of the project. The first is as on
//! any day, the others have everything varied that the table in `variation.rs` has and this host
//! allows. The last one is audited.
//!
//! **Invariant:** the project is not written to (`verify_leaves_the_project_alone`).
//! **Invariant:** what was made for a verification goes with it, also when it is interrupted
//! (`an_interrupted_verify_leaves_nothing`).

mod against;
mod arguments;
mod capture;
mod compare;
mod copy;
mod diagnose;
mod drawn;
mod error;
pub mod formats;
mod keep;
mod load;
mod options;
mod outcome;
mod places;
mod report;
mod runner;
mod surroundings;
mod variation;
mod verb;
mod verifying;
mod workplace;

pub use against::Against;
pub use compare::{Difference, Ignored};
pub use drawn::{Drawn, Line};
pub use error::VerifyError;
pub use options::{Diagnosis, VerifyOptions};
pub use outcome::{Output, State};
pub use report::{Cause, OutputReport, RunSummary, VariationReport, Verdict, VerifyReport};
pub use surroundings::{Surroundings, SurroundingsError};
pub use variation::{ALWAYS, Variation};
pub use verb::verify;
