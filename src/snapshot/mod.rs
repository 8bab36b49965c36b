//! Code snapshots: the project's files as a run sees them, by digest.
//!
//! Comes in: a project's directory. Goes out: a [`Snapshot`]: the list of its files, whose digest
//! names the code, and, in the store, their content, so that [`restore`] can bring them back.
//!
//! What steps made is listed apart: the code is the same before the first run and after it. That is
//! what lies below the manifest's `outputs`, and files that a step created and nobody changed since.
//!
//! Left out of the lists: what `.gitignore` and `.envboxignore` name, what version control keeps for
//! itself, and bytecode. Left out of the store, though their digests are in the list: files that are
//! too large, and those that look like keys or passwords.
//!
//! A file that was read once is not read again while device, inode, size and the times of its last
//! modification and status change are the same, which are noted in `index/snapshots/` of the store.
//! One that changed so shortly before it was read that the file system's clock could miss a later
//! change is not noted.
//!
//! **Invariant:** a changed file is read again, whatever its time says
//! (`tests::a_change_is_never_missed`).
//! **Invariant:** keys and passwords are not kept (`tests::secrets_are_not_kept`).
//! **Invariant:** outputs are no code (`tests::what_steps_made_is_listed_apart`).
//! **Invariant:** what is restored has the same list (`tests::what_was_taken_is_restored`).

mod digests;
mod git;
mod known;
mod made;
mod restore;
mod rules;
mod secret;
mod side_by_side;
mod take;
#[cfg(test)]
mod tests;
mod walk;

pub use digests::Digests;
pub use git::{GitState, git_state};
pub use made::Made;
pub use restore::{RestoreError, restore};
pub use take::{Choices, LeftOut, LeftOutReason, Limits, Snapshot, take};
pub use walk::{Found, SnapshotError, changed_since, is_in_repository, walk};
