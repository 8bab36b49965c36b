//! The interpreter of an environment: who offers which, and what is locked of it.
//!
//! Comes in: the Python asked for. Goes out: a plan (which Debian suite, which packages, or which
//! standalone release), and after the Debian packages are known a
//! [`LockedInterpreter`](crate::lock::LockedInterpreter).
//!
//! The list of standalone interpreters is compiled in: no network is needed to choose one.
//!
//! **Invariant:** a version that nobody offers is one error that lists what there is
//! (`plan::tests`).

mod error;
mod plan;
mod standalone;

pub use error::{InterpreterError, Offers};
pub use plan::{
    Plan, Planned, debian_version, is_from_conda, locked_debian, plan, plan_standalone,
};
pub use standalone::{Release, lock_standalone};
