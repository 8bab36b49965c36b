//! `audit`: a step that is run, and the sources of nondeterminism that it drew from.
//!
//! Comes in: what `run` takes. Goes out: an [`AuditReport`]: every source, what drew from it, and
//! whether the sandbox held it.
//!
//! **Invariant:** every source has a verdict, and one that is not held a remedy
//! (`held::tests::every_source_is_judged`).

mod held;
mod report;

pub use held::Held;
pub use report::{AuditReport, Draw, Line, SourceReport, UNSEEN};
pub(in crate::ops) use report::{sources, sources_in_container};

use envbox_lockfiles::base::Context;

use crate::ops::run::{RunOptions, run};
use crate::ops::{Error, Project};

/// Runs a command as [`run`] does, and counts what it draws.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran and failed is a report.
pub fn audit(
    context: &Context,
    project: &Project,
    options: RunOptions,
) -> Result<AuditReport, Error> {
    let options = RunOptions {
        audit: true,
        ..options
    };
    let report = run(context, project, &options)?;
    Ok(AuditReport::new(report))
}
