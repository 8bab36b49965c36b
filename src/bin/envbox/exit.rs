//! Exit codes.
//!
//! `run` and `shell` pass the step's own status through, and mirror its death by a signal. Of
//! themselves they use three codes only, the ones that `env`, `nohup` and container runtimes use;
//! `--result-file` says beyond doubt who failed.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for `lock --check`: up to date |
//! | 1 | `store verify` or `doctor` found something wrong |
//! | 2 | the command line is wrong |
//! | 10 | the manifest, a requirement or another input is wrong |
//! | 11 | the lockfile does not answer the manifest, or is not there |
//! | 12 | this host cannot do it |
//! | 13 | a registry could not be reached |
//! | 14 | bytes are not those that were promised |
//! | 70 | envbox is wrong |
//! | 125 | `run`, `shell`: envbox failed before or around the step |
//! | 126 | `run`, `shell`: the command cannot be executed |
//! | 127 | `run`, `shell`: there is no such command in the sandbox |

use std::process::ExitCode;

use envbox::base::{Explain as _, Kind};
use envbox::ops;

/// A check found something wrong.
pub(crate) const FOUND_WRONG: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// A panic: envbox is wrong.
pub(crate) const INTERNAL: u8 = 70;

/// Returns the code for a failure of any verb but `run` and `shell`.
pub(crate) fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::User => 10,
        Kind::Stale => 11,
        Kind::Host => 12,
        Kind::Network => 13,
        Kind::Integrity => 14,
        Kind::Internal => INTERNAL,
    }
}

/// Returns the code for a failure of `error`'s kind.
pub(crate) fn of_error(error: &ops::Error) -> u8 {
    of_kind(error.kind())
}

/// Prints what clap says, which is help or a complaint, and returns its code.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no failure of ours.
    let _closed = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
