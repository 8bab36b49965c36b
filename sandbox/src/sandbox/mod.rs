//! Policy → [`Sandbox`] → [`Running`] → [`Outcome`].
//!
//! Comes in: a [`Policy`] (what a step may see), host facts, a [`Step`] (one command). Goes out: an
//! [`Outcome`] or a [`SandboxError`]. A `Sandbox` proves that the policy is well-formed and that
//! the kernel has what it needs; a `Running` is alive and killed on drop.
//!
//! **Invariant:** root and other callers get the same sandbox (`a_step_sees_the_same_whoever_starts_it`).
//!
//! **Invariant:** no sandbox outlives its supervisor (`the_tree_dies_with_the_supervisor`).

mod bare;
mod error;
mod identity;
mod left;
mod mounts;
mod points;
mod policy;
mod running;
mod seccomp;
mod spawn;
mod started;
mod terminal;

pub use crate::init::Stage;
pub use error::SandboxError;
pub use policy::{
    Bind, Clock, Cover, CoverContent, Device, FileStatus, Isolation, Limits, Link, Network,
    NewFile, Orphans, Policy, Project, Signals, Step, Terminal,
};
pub use running::{Ended, Exit, Outcome, Running, Usage};
pub use spawn::Sandbox;
pub use started::HeadStart;
