//! The key of a step: a digest that is the same when the step would do the same.
//!
//! Comes in: a project and [`RunOptions`], as for a run. Goes out: a [`StepKey`]. Nothing is run,
//! downloaded or built. What decides is all that a step could see: the SHA-256 of [`KeyParts`] as
//! canonical JSON. Where the project lies, who asks and on which machine is not in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, FsError, Platform};
use envbox_lockfiles::manifest::{FrameworkKnobs, SandboxPolicy, StepNetwork};
use serde::Serialize;

use crate::data::Input;
use crate::ops::run::binds::{Around, Bound};
use crate::ops::run::environment::is_ours;
use crate::ops::run::guest_paths::{Guest, PROJECT, normal};
use crate::ops::run::tower::{apart, clock_doubt, declared, lossy, word};
use crate::ops::run::verb::up_to_date;
use crate::ops::run::{Access, Locking, RunError, RunOptions, Variable};
use crate::ops::{Error, Project};
use crate::record::canonical;
use crate::snapshot::{Choices, Limits, take, walk};
use crate::store::Store;

/// The schema of the parts. It changes when the same parts would give another key.
const SCHEMA: &str = "envbox.key/1";

/// Whether the project's files are a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyCode {
    /// All of them, as in the record of a run.
    #[default]
    Project,
    /// They are not: whoever asks follows them itself.
    None,
}

/// The key of a step.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StepKey {
    /// The digest of the parts.
    pub key: Digest,
    /// What it is the digest of.
    pub parts: KeyParts,
    /// What the step would see besides, and the key does not know: with any of these, the same key
    /// does not mean the same result.
    pub not_held: Vec<String>,
}

/// All that decides what a step does.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeyParts {
    /// [`SCHEMA`].
    schema: &'static str,
    /// The command and its arguments. Bytes that are no UTF-8 are replaced.
    pub argv: Vec<String>,
    /// What the command sees as its own name, if not `argv[0]`.
    pub argv0: Option<String>,
    /// The directory it begins in.
    pub directory: PathBuf,
    /// The digest of the list of the project's files; nothing if they are no part.
    pub code: Option<Digest>,
    /// The digest of the lockfile, with what was chosen of it.
    pub lock: Digest,
    /// The platform.
    pub platform: String,
    /// What the manifest declares as data, by the path in the project.
    pub data: BTreeMap<String, Digest>,
    /// What of the host is bound, by the guest path.
    pub binds: BTreeMap<String, BindPart>,
    /// The digests of variables that the manifest or the caller sets, or passes on.
    pub environment: BTreeMap<String, Digest>,
    /// What the sandbox shows.
    pub policy: PolicyPart,
}

/// What is bound.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BindPart {
    /// Where on the host, unless the digest says what it is.
    pub source: Option<PathBuf>,
    /// Whether the step can write to it.
    pub writable: bool,
    /// The digest, when it is data that the manifest declares.
    pub sha256: Option<Digest>,
}

/// What a sandbox shows a step.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PolicyPart {
    access: String,
    clock: String,
    cpu_baseline: String,
    cpuid: String,
    cpus: u32,
    epoch: String,
    file_status: String,
    framework_knobs: Option<Vec<String>>,
    hostname: String,
    network: String,
    outputs: Vec<PathBuf>,
    seed: u64,
}

/// Returns the key of a step, whose lockfile must answer the manifest.
///
/// # Errors
/// Returns [`Error`] when it does not, or for what a run would refuse.
pub fn step_key(
    context: &Context,
    project: &Project,
    options: &RunOptions,
    code: KeyCode,
) -> Result<StepKey, Error> {
    let lock = up_to_date(&project.context(context), project, Locking::Frozen)?;
    let directory = project.directory();
    let directory = fs::canonicalize(directory).map_err(FsError::at("open", directory))?;
    let policy = options.policy(&project.manifest().sandbox);
    let inputs = inputs(project, &directory);
    let around = Around {
        // The environment need not be there.
        rootfs: Path::new(""),
        project: &directory,
        store: &context.store,
        access: options.access,
        inputs: &inputs,
    };
    let binds = around.check(&options.binds).map_err(RunError::from)?;
    let apart = apart(&directory, &inputs, &binds);
    let parts = KeyParts {
        schema: SCHEMA,
        argv: options
            .argv
            .iter()
            .map(|argument| lossy(argument))
            .collect(),
        argv0: options.argv0.as_deref().map(lossy),
        directory: begins_in(&directory, options, &binds)?,
        code: match code {
            KeyCode::Project => Some(code_digest(context, &directory, &apart, &policy)?),
            KeyCode::None => None,
        },
        lock: lock.digest(),
        platform: Platform::host().to_string(),
        data: inputs
            .iter()
            .map(|input| (input.path.display().to_string(), input.digest))
            .collect(),
        binds: binds.iter().map(|bind| bind_part(bind, &inputs)).collect(),
        environment: variables(&policy, options)?,
        policy: policy_part(&policy, options.access),
    };
    let value = serde_json::to_value(&parts).expect("all keys are text");
    Ok(StepKey {
        key: Digest::of(canonical(&value).as_bytes()),
        parts,
        not_held: not_held(&policy, options.access, &binds, &inputs),
    })
}

/// Returns declared data by its word: whether it is so is a run's to say.
fn inputs(project: &Project, directory: &Path) -> Vec<Input> {
    let input = |datum: &envbox_lockfiles::manifest::Datum| {
        let place = directory.join(&datum.path);
        Input {
            path: datum.path.clone(),
            digest: datum.sha256,
            source: fs::canonicalize(&place).unwrap_or(place),
        }
    };
    project.manifest().data.iter().map(input).collect()
}

fn begins_in(project: &Path, options: &RunOptions, binds: &[Bound]) -> Result<PathBuf, RunError> {
    if let Some(asked) = &options.working_directory {
        return Ok(normal(&Path::new(PROJECT).join(asked)));
    }
    let guest = Guest {
        rootfs: Path::new(""),
        project,
        binds,
    };
    guest.working_directory(&options.current_directory, None)
}

fn code_digest(
    context: &Context,
    project: &Path,
    apart: &[PathBuf],
    policy: &SandboxPolicy,
) -> Result<Digest, Error> {
    let store = Store::open(&context.store)?;
    let jobs = context.jobs.min(2);
    let found = walk(project, apart, jobs).map_err(RunError::from)?;
    let choices = Choices {
        outputs: &policy.outputs,
        limits: Limits::default(),
        now: context.now,
        jobs,
    };
    let taken = take(&store, project, found, choices);
    Ok(taken.map_err(RunError::from)?.digest)
}

fn bind_part(bind: &Bound, inputs: &[Input]) -> (String, BindPart) {
    let sha256 = declared(bind, inputs).map(|input| input.digest);
    let part = BindPart {
        source: sha256.is_none().then(|| bind.source.clone()),
        writable: bind.writable,
        sha256,
    };
    (bind.target.display().to_string(), part)
}

/// A value may be a secret, so only digests are told.
fn variables(
    policy: &SandboxPolicy,
    options: &RunOptions,
) -> Result<BTreeMap<String, Digest>, RunError> {
    let mut all = BTreeMap::new();
    let mut set = |name: &OsStr, value: Option<&OsStr>| {
        if name.to_str().is_some_and(is_ours) {
            let name = name.to_owned();
            return Err(RunError::Reserved { name });
        }
        if let Some(value) = value {
            all.insert(lossy(name), Digest::of(value.as_bytes()));
        }
        Ok(())
    };
    let callers = |name: &OsStr| options.host_env.get(name).map(AsRef::as_ref);
    for (name, value) in &policy.env {
        set(OsStr::new(name), Some(OsStr::new(value)))?;
    }
    for name in &policy.pass_env {
        set(OsStr::new(name), callers(OsStr::new(name)))?;
    }
    for variable in &options.env {
        match variable {
            Variable::Set(name, value) => set(name, Some(value))?,
            Variable::Pass(name) => set(name, callers(name))?,
        }
    }
    Ok(all)
}

fn policy_part(policy: &SandboxPolicy, access: Access) -> PolicyPart {
    PolicyPart {
        access: word(&access),
        clock: word(&policy.clock),
        cpu_baseline: policy.cpu_baseline.name().to_owned(),
        cpuid: word(&policy.cpuid),
        cpus: policy.cpus,
        epoch: policy.epoch.to_string(),
        file_status: word(&policy.file_status),
        framework_knobs: match &policy.framework_knobs {
            FrameworkKnobs::All => None,
            FrameworkKnobs::Only(all) => {
                Some(all.iter().map(|one| one.module().to_owned()).collect())
            }
        },
        hostname: policy.hostname.clone(),
        network: word(&policy.network),
        outputs: policy.outputs.clone(),
        seed: policy.seed,
    }
}

fn not_held(
    policy: &SandboxPolicy,
    access: Access,
    binds: &[Bound],
    inputs: &[Input],
) -> Vec<String> {
    let mut all: Vec<String> = clock_doubt(&policy.clock).into_iter().collect();
    let mut doubt = |is: bool, why: &str| all.extend(is.then(|| why.to_owned()));
    doubt(
        policy.network == StepNetwork::Host,
        "what comes over the network is not known",
    );
    doubt(
        access == Access::Direct,
        "the step writes to the project itself",
    );
    let undeclared = binds.iter().filter(|bind| declared(bind, inputs).is_none());
    all.extend(undeclared.map(|bind| {
        let (target, source) = (bind.target.display(), bind.source.display());
        format!("`{target}` is `{source}` of the host, by its path alone")
    }));
    all
}
