//! `run`: a command in the project's environment, its outputs brought home.
//!
//! Comes in: a project directory and [`RunOptions`]. Goes out: a [`RunReport`], also for a step
//! that failed; a [`RunError`] says that envbox did.
//!
//! **Invariant:** the step's environment and paths are the same on every host
//! (`environment::tests`, `guest_paths::tests`).
//! **Invariant:** outputs come home also when the step fails (`tests::outputs_come_home_after_a_failure`).

mod bare;
mod binds;
mod environment;
mod error;
mod execute;
mod gpu;
mod guest_paths;
mod held;
mod image;
mod inputs;
mod key;
mod mlflow;
mod options;
mod pins;
mod recorder;
mod report;
#[cfg(test)]
mod tests;
mod tower;
mod verb;

pub use bare::{BareError, Surroundings, run_bare};
pub use binds::{BindError, HostBind};
pub use environment::Rest;
pub use error::RunError;
pub use execute::{Prepared, execute, head_start};
pub use gpu::{GpuError, GpuHost, GpuNeeds, GpuOptions, RequiredDevice};
pub use held::{Held, HeldState};
pub use image::run_image;
pub use key::{BindPart, KeyCode, KeyParts, PolicyPart, StepKey, step_key};
pub use mlflow::MlflowRun;
pub use options::{Access, InvalidVariable, Locking, RunOptions, Variable};
pub use recorder::Recording;
pub use report::{
    FailedBy, Isolation, Mounted, Refused, RunReport, failure_document, write_document,
};
pub use verb::{run, write_failure};

#[cfg(test)]
pub(in crate::ops) use tests::fake_host;

pub(in crate::ops) use environment::{Callers, HOME, environment, image_environment, is_ours};
pub(in crate::ops) use execute::{announce_end, announce_start, answered, libraries};
pub(in crate::ops) use gpu::{gpu_determinism, grant};
pub(in crate::ops) use held::{GUEST as HELD_FILE, PYTHON as PYTHON_MARK};
pub(in crate::ops) use options::overridden;
pub(in crate::ops) use report::{exit, lossy, usage};
pub(in crate::ops) use verb::{environment_of, up_to_date};
