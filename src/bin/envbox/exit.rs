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
//! | 0, 1, 2 | `verify`: the runs are identical; they diverged; nothing can be said |
//! | 10 | the manifest, a requirement or another input is wrong |
//! | 11 | the lockfile does not answer the manifest, or is not there |
//! | 12 | this host cannot do it |
//! | 13 | a registry could not be reached |
//! | 14 | bytes are not those that were promised |
//! | 70 | envbox is wrong |
//! | 125 | `run`, `shell`, `inside`: envbox failed before or around the step |
//! | 126 | `run`, `shell`, `inside`: the command cannot be executed |
//! | 127 | `run`, `shell`, `inside`: there is no such command in the sandbox |
//! | 128 + n | `inside` as pid 1: the step died of signal n, of which pid 1 cannot die |

use envbox::base::Kind;

/// A check found something wrong.
pub(crate) const FOUND_WRONG: u8 = 1;
/// `verify` cannot say anything: envbox failed around the runs.
pub(crate) const NOT_VERIFIED: u8 = 2;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// The manifest, a requirement or another input is wrong.
pub(crate) const USER: u8 = 10;
/// The lockfile does not answer the manifest, or is not there.
pub(crate) const STALE: u8 = 11;
/// This host cannot do it.
pub(crate) const HOST: u8 = 12;
/// A registry could not be reached.
pub(crate) const NETWORK: u8 = 13;
/// Bytes are not those that were promised.
pub(crate) const INTEGRITY: u8 = 14;
/// envbox is wrong: `EX_SOFTWARE` of sysexits.
pub(crate) const INTERNAL: u8 = 70;
/// `run` or `shell` failed before or around the step. Two more codes, 126 and 127, come from
/// [`run_exit_status`](envbox::ops::Error::run_exit_status).
pub(crate) const RUN_FAILED: u8 = 125;

/// Returns the code for a failure of any verb but `run` and `shell`.
pub(crate) fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::User => USER,
        Kind::Stale => STALE,
        Kind::Host => HOST,
        Kind::Network => NETWORK,
        Kind::Integrity => INTEGRITY,
        Kind::Internal => INTERNAL,
    }
}
