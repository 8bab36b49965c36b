//! `replay`: a run once more, from what its record kept.
//!
//! Comes in: a [`RunRecord`]. Goes out: a [`ReplayReport`]: the new run, and how it differs.
//!
//! The project's files come from the code snapshot, with what earlier steps had made; the lockfile
//! from the record; command, variables and choices too. The directory is a new one, so the project
//! is not touched.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, read};
use envbox_lockfiles::base::{Context, Digest, Explain, FsError, Kind};
use envbox_lockfiles::lock::Groups;
use envbox_sandbox::gpu::DriverPolicy;
use serde::de::DeserializeOwned;

use crate::ops::diff_runs::{RunsDiff, diff_runs};
use crate::ops::run::{
    GpuOptions, HostBind, Locking, Recording, RunOptions, RunReport, Variable, run,
};
use crate::ops::{Error, Project};
use crate::record::{ParametersNoted, RunId, RunRecord};
use crate::snapshot::{RestoreError, restore};
use crate::store::Store;

/// How to run it once more.
#[derive(Debug, Default)]
pub struct ReplayOptions {
    /// The directory that gets the project's files and the outputs, empty or not there yet; without
    /// one they are removed afterwards.
    pub to: Option<PathBuf>,
    /// The caller's whole environment: only what the run was passed is taken from it.
    pub host_env: BTreeMap<OsString, OsString>,
    /// Where the new run is recorded.
    pub record: Recording,
}

/// A run, once more.
#[derive(Debug)]
pub struct ReplayReport {
    /// The new run.
    pub run: RunReport,
    /// How it differs from the old one.
    pub diff: RunsDiff,
}

/// A run cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The step ran in an image, without a manifest.
    #[error("the run {run} was in an image and not in a project's environment")]
    Image {
        /// The run.
        run: RunId,
    },
    /// Arguments or a lockfile were not kept.
    #[error("the record of the run {run} does not say {what}")]
    Incomplete {
        /// The run.
        run: RunId,
        /// What is missing.
        what: &'static str,
    },
    /// The step wrote to the host itself, which happens once.
    #[error("the run {run} could write to `{path}` of the host, and a replay must not")]
    Writable {
        /// The run.
        run: RunId,
        /// The host path.
        path: String,
    },
    /// The lockfile is not in the store.
    #[error("the lockfile {digest} of the run is not in the store")]
    Lockfile {
        /// Its digest.
        digest: Digest,
    },
    /// The manifest is not in the store.
    #[error("the manifest {digest} of the run is not in the store")]
    Manifest {
        /// Its digest.
        digest: Digest,
    },
    /// The directory has something in it.
    #[error("`{}` is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The project's files cannot be brought back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Explain for ReplayError {
    fn kind(&self) -> Kind {
        match self {
            Self::Restore(error) => error.kind(),
            Self::Lockfile { .. } | Self::Manifest { .. } => Kind::Host,
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Image { .. } => "run the command again with `envbox run --image`",
            Self::Incomplete { .. } => "check its commit out and run the command again",
            Self::Writable { .. } => "run the command again with `envbox run`",
            Self::Lockfile { .. } | Self::Manifest { .. } => "use the store that the run used",
            Self::NotEmpty { .. } => "name a directory that is empty or not there yet",
            Self::Restore(error) => return error.hints(),
        };
        vec![hint.to_owned()]
    }
}

/// Runs a recorded step once more.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran otherwise than before is a report.
pub fn replay(
    context: &Context,
    record: &RunRecord,
    options: ReplayOptions,
) -> Result<ReplayReport, Error> {
    let data = &record.tower.data;
    let mut writable = data.seen.binds.iter().filter(|(_, bind)| bind.writable);
    if let Some(path) = writable.find_map(|(target, _)| data.noted.binds.get(target)) {
        let (run, path) = (record.run, path.clone());
        return Err(ReplayError::Writable { run, path }.into());
    }
    let store = Store::open(&context.store)?;
    let scratch = store.scratch()?;
    let target = match &options.to {
        Some(path) => {
            require_empty(path)?;
            path.clone()
        }
        None => scratch.path().join("project"),
    };
    create_dir_all(&target)?;
    bring_back(&store, record, &target)?;
    let project = open(context, &store, record, &target, scratch.path())?;
    let recording = Recording {
        // The comparison needs a record, wherever else it goes.
        file: Some(scratch.path().join("record.json")),
        project: record.project.clone(),
        ..options.record
    };
    let run_options = run_options(record, &target, options.host_env, recording)?;
    let report = run(context, &project, &run_options)?;
    let file = scratch.path().join("record.json");
    let new = RunRecord::read(&file).map_err(crate::record::JournalError::from)?;
    Ok(ReplayReport {
        run: report,
        diff: diff_runs(context, record, &new)?,
    })
}

/// Checks that a directory that is to be filled is empty or not there yet.
pub(in crate::ops) fn require_empty(path: &Path) -> Result<(), ReplayError> {
    let some = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    match some || path.is_file() {
        true => Err(ReplayError::NotEmpty {
            path: path.to_path_buf(),
        }),
        false => Ok(()),
    }
}

fn bring_back(store: &Store, record: &RunRecord, target: &Path) -> Result<(), ReplayError> {
    let tower = &record.tower;
    let project = record.project.as_deref();
    restore(store, tower.code.seen.tree, target, project)?;
    if let Some(products) = tower.data.noted.products {
        restore(store, products, target, project)?;
    }
    for path in tower.data.seen.inputs.keys().map(Path::new) {
        if let Some(project) = project {
            lead_to_data(project, path, target)?;
        }
    }
    Ok(())
}

/// Makes a link to data that the project has: it may be large, and is verified before the step.
fn lead_to_data(project: &Path, path: &Path, target: &Path) -> Result<(), ReplayError> {
    let (from, to) = (project.join(path), target.join(path));
    if !from.exists() || fs::symlink_metadata(&to).is_ok() {
        return Ok(());
    }
    let made = || {
        fs::create_dir_all(to.parent().unwrap_or(target))?;
        std::os::unix::fs::symlink(&from, &to)
    };
    Ok(made()
        .map_err(FsError::at("create", &to))
        .map_err(RestoreError::from)?)
}

/// Opens what was brought back, with the lockfile of the run.
fn open(
    context: &Context,
    store: &Store,
    record: &RunRecord,
    target: &Path,
    scratch: &Path,
) -> Result<Project, Error> {
    let incomplete = |what| ReplayError::Incomplete {
        run: record.run,
        what,
    };
    let noted = &record.tower.parameters.noted;
    let manifest = noted.manifest.as_deref();
    let manifest = manifest.ok_or(ReplayError::Image { run: record.run })?;
    let project = match noted.manifest_blob {
        Some(digest) => {
            let blob = store
                .blob(&digest)
                .ok_or(ReplayError::Manifest { digest })?;
            let file = scratch.join(manifest);
            fs::write(&file, read(&blob)?).map_err(FsError::at("write", &file))?;
            Project::open_manifest(target, &file)?
        }
        None if manifest.ends_with(".py") => {
            Project::open_script(context, target, &target.join(manifest))?
        }
        None => Project::open(target)?,
    };
    let digest = record.tower.libraries.noted.lockfile;
    let digest = digest.ok_or_else(|| incomplete("which lockfile it used"))?;
    let blob = store
        .blob(&digest)
        .ok_or(ReplayError::Lockfile { digest })?;
    let lockfile = project.lockfile();
    fs::write(&lockfile, read(&blob)?).map_err(FsError::at("write", &lockfile))?;
    if noted.groups.is_empty() {
        return Ok(project);
    }
    let names = noted.groups.iter().map(|name| name.parse());
    let names = names.collect::<Result<_, _>>();
    project.with_groups(Groups::Named(
        names.map_err(|_| incomplete("which groups it had"))?,
    ))
}

/// Reads the word that a record has for a choice.
fn word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(word.into()).ok()
}

/// Returns what of the host the run saw: what is there now need not be what was there then.
fn binds(record: &RunRecord) -> Vec<HostBind> {
    let all = record.tower.data.noted.binds.iter();
    all.map(|(target, source)| HostBind {
        source: source.into(),
        target: Some(target.into()),
        writable: false,
    })
    .collect()
}

fn run_options(
    record: &RunRecord,
    target: &Path,
    host_env: BTreeMap<OsString, OsString>,
    recording: Recording,
) -> Result<RunOptions, ReplayError> {
    let seen = &record.tower.parameters.seen;
    let noted = &record.tower.parameters.noted;
    let lossy = seen
        .argv
        .iter()
        .any(|argument| argument.contains('\u{fffd}'));
    if lossy {
        return Err(ReplayError::Incomplete {
            run: record.run,
            what: "which bytes its arguments had that are no UTF-8",
        });
    }
    let set = noted.env.iter();
    let set = set.map(|(name, value)| Variable::Set(name.into(), value.into()));
    let pass = noted.pass.iter().map(|name| Variable::Pass(name.into()));
    Ok(RunOptions {
        argv: seen.argv.iter().map(OsString::from).collect(),
        argv0: seen.argv0.as_ref().map(OsString::from),
        env: set.chain(pass).collect(),
        host_env,
        seed: noted.seed,
        clock: noted.clock.as_deref().and_then(word),
        cpus: noted.cpus,
        network: noted.network.as_deref().and_then(word),
        binds: binds(record),
        current_directory: target.to_path_buf(),
        working_directory: Some(seen.directory.clone()),
        locking: Locking::Frozen,
        record: recording,
        gpu: gpus(noted),
        ..RunOptions::default()
    })
}

/// Returns the GPUs that a run asked for. Which there are is for this host to say.
fn gpus(noted: &ParametersNoted) -> Option<GpuOptions> {
    Some(GpuOptions {
        selection: noted.gpu.as_ref()?.parse().ok()?,
        driver: match noted.any_driver {
            true => DriverPolicy::Compatible,
            false => DriverPolicy::Locked,
        },
        ..GpuOptions::default()
    })
}
