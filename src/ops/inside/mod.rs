//! `inside`: a command in a container that is there already, which others made of an image of ours.
//!
//! Comes in: an [`InsidePolicy`], which the image has at [`POLICY_FILE`], and [`InsideOptions`].
//! Goes out: an [`InsideReport`], also for a step that failed. Nothing is mounted and no namespace
//! is made: the step is told what a supervisor can tell without any privilege, and the report says
//! of every source whether it is held, recorded or not held.
//!
//! **Invariant:** the same policy gives the same bytes (`policy::tests::bytes_are_a_function`).
//! **Invariant:** nothing that is not held is passed over (`holds::tests::every_refusal_shows`).

mod error;
mod holds;
mod policy;
mod report;
mod verb;

pub use error::InsideError;
pub use holds::{Hold, State};
pub use policy::{InsidePolicy, POLICY_FILE};
pub use report::{InsideReport, Passed};
pub use verb::{InsideOptions, Refusals, inside};
