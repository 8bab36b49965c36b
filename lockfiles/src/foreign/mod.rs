//! Other tools' files: read to a manifest and to pins, written from a lock.
//!
//! Comes in: `uv.lock`, `pylock.toml` (PEP 751), `pixi.lock`, `conda-lock.yml`, requirements files;
//! `environment.yml` and `pixi.toml`, which pin nothing. Goes out: an [`Outline`], from which a first
//! manifest is written, and [`Pins`](crate::resolve::Pins), which a resolution must come to; or, the other way, the bytes of such a file from a [`Lockfile`](crate::lock::Lockfile).
//! What cannot be kept is told of item by item ([`LeftOut`]), never dropped in silence.
//!
//! **Invariant:** a lock that is exported and imported again has the same artifacts, also when there
//! are newer ones (`tests::round_trips::a_lock_of_wheels_comes_back_the_same`,
//! `tests::round_trips::a_lock_of_conda_packages_and_wheels_comes_back_the_same`).
//! **Invariant:** no password of a registry is written into a file for others
//! (`tests::round_trips::a_password_is_not_exported`).

mod channels;
mod conda_file;
mod conda_lock;
mod environment_yml;
mod error;
mod export;
mod lock;
mod outline;
mod pixi_lock;
mod pixi_toml;
mod pylock;
mod python_choice;
mod read;
mod reading;
mod requirements;
mod uv_lock;

#[cfg(test)]
mod tests;

pub use error::ForeignError;
pub use export::{ExportError, ExportFormat, export};
pub use lock::{Choice, ForeignLock, Format, LeftOut, LeftOutReason};
pub use outline::{Outline, OutlineChannel, OutlineConda, RequirementsFrom};
pub use read::{outline, read};
