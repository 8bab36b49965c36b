//! What the caller asks for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use envbox_lockfiles::manifest::{StepClock, StepNetwork};

use crate::ops::run::{GpuOptions, HostBind, Variable};
use crate::ops::verify::{Ignored, Variation};
use crate::record::RunName;

/// What to verify, and how.
#[derive(Debug, Default)]
pub struct VerifyOptions {
    /// The command and its arguments, as `envbox run` takes them.
    pub argv: Vec<OsString>,
    /// How often it is run before anything differs; none is 2, or 1 with `against`.
    pub runs: Option<u32>,
    /// What may be varied; none is everything.
    pub vary: Option<Vec<Variation>>,
    /// A recorded run that these must be like.
    pub against: Option<RunName>,
    /// The file that gets the record of the first run, with what it printed, if all are alike.
    pub record: Option<PathBuf>,
    /// The journal that recorded runs are in.
    pub journal: Option<PathBuf>,
    /// What is not compared.
    pub ignored: Ignored,
    /// Whether the cause of a difference is looked for, by further runs.
    pub diagnosis: Diagnosis,
    /// Where outputs that differ are copied to: `first` and `then` below it.
    pub keep: Option<PathBuf>,
    /// `--env`.
    pub env: Vec<Variable>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--clock`.
    pub clock: Option<StepClock>,
    /// `--cpus`.
    pub cpus: Option<u32>,
    /// `--bind`: what of the host each run sees, and none writes to.
    pub binds: Vec<HostBind>,
    /// `--network`.
    pub network: Option<StepNetwork>,
    /// `--workdir`.
    pub working_directory: Option<PathBuf>,
    /// `--gpu`.
    pub gpu: Option<GpuOptions>,
    /// The caller's whole environment, which the runs get but for what is varied of it.
    pub host_env: BTreeMap<OsString, OsString>,
    /// The directory below the project that the caller is in.
    pub directory: PathBuf,
    /// A project that is a script: its path below the project. `argv` begins with its name then.
    pub script: Option<PathBuf>,
    /// The file of envbox's own program.
    pub program: PathBuf,
    /// The library that shows a program another date: `libfaketime.so.1`.
    pub faketime: Option<PathBuf>,
}

/// Whether the cause of a difference is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Diagnosis {
    /// By as many runs as it takes.
    #[default]
    Full,
    /// That there is a difference is enough.
    None,
}
