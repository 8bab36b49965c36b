//! What became of a run, for people and programs.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::write_atomic;
use envbox_lockfiles::base::{Digest, FsError, Kind};
use envbox_lockfiles::manifest::{
    CpuBaseline, SandboxPolicy, StepClock, StepFileStatus, StepNetwork,
};
use envbox_sandbox::{Cpuid, Exit, Finding, Usage};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::ops::inside::Hold;
use crate::ops::run::{Access, Held, HeldState};
use crate::record::{ChangeKind, Entry, Fate, GpuSeen, ProjectPath, RunId, WrittenChange};

/// The schema of the document. A field never changes its meaning under the same number; readers
/// pass fields by that they do not know.
const SCHEMA: &str = "envbox.result/1";

/// What became of a step that ran.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The run's name.
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The command.
    #[serde(serialize_with = "lossy")]
    pub argv: Vec<OsString>,
    /// How the step ended.
    #[serde(serialize_with = "exit")]
    pub exit: Exit,
    /// The digest of the lockfile.
    pub lock: Digest,
    /// What the sandbox held.
    pub isolation: Isolation,
    /// What of the host it saw besides, sorted by guest path.
    pub binds: Vec<Mounted>,
    /// What became of every source of nondeterminism where there were no namespaces; nothing where
    /// there were.
    pub holds: Vec<Hold>,
    /// The GPUs that the step was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSeen>,
    /// What of it was set and read back in the libraries that the step imported, sorted.
    pub libraries: Vec<Held>,
    /// What the step used.
    #[serde(serialize_with = "usage")]
    pub usage: Usage,
    /// What the step drew from sources of nondeterminism, if that was counted.
    #[serde(skip)]
    pub findings: Vec<Finding>,
    /// Whether that was counted.
    #[serde(skip)]
    pub audited: bool,
    /// What the step changed in the project, sorted by path; nothing is known with direct access.
    pub changes: Option<Vec<WrittenChange>>,
    /// What the step wrote as it was before, sorted by path.
    #[serde(skip)]
    pub rewritten: Vec<(ProjectPath, Entry)>,
    /// What the step left in the project that is no output, sorted by path.
    pub refused: Vec<Refused>,
    /// `outputs` of the manifest that are not in the project after the run. Nobody is warned: in a
    /// project of several steps each makes some of them.
    pub missing: Vec<PathBuf>,
    /// Why the project could not be written to at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_written: Option<String>,
    /// The directory where outputs are that could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

/// What a sandbox held.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Isolation {
    /// The namespaces, by the kernel's names.
    pub namespaces: Vec<&'static str>,
    /// What of the network the step saw.
    pub network: StepNetwork,
    /// How the step saw the project.
    pub project: Access,
    /// The host name inside.
    pub hostname: String,
    /// The seed.
    pub seed: u64,
    /// The epoch.
    pub epoch: Timestamp,
    /// How the clocks moved.
    pub clock: StepClock,
    /// How many processors the step saw.
    pub cpus: u32,
    /// The instructions that libraries could choose their code by.
    pub cpu_baseline: CpuBaseline,
    /// Whether the instruction CPUID told of no more than that.
    pub cpuid: Cpuid,
    /// What the step learned of files.
    pub file_status: StepFileStatus,
    /// The host's kernel.
    pub kernel: String,
}

impl Isolation {
    /// Returns what a policy asks for, of no namespaces and an unknown kernel.
    pub(in crate::ops) fn of(policy: &SandboxPolicy, access: Access, cpuid: Cpuid) -> Self {
        Self {
            namespaces: Vec::new(),
            network: policy.network,
            project: access,
            hostname: policy.hostname.clone(),
            seed: policy.seed,
            epoch: policy.epoch,
            clock: policy.clock,
            cpus: policy.cpus,
            cpu_baseline: policy.cpu_baseline,
            cpuid,
            file_status: policy.file_status,
            kernel: String::new(),
        }
    }
}

/// A path of the host that a step saw.
#[derive(Debug, Clone, Serialize)]
pub struct Mounted {
    /// The host path.
    pub source: PathBuf,
    /// The guest path.
    pub target: PathBuf,
    /// Whether the step could write to it.
    pub writable: bool,
}

/// An entry that is no output.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// The path.
    #[serde(flatten)]
    pub path: ProjectPath,
    /// Why not.
    pub reason: String,
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedBy {
    /// The step's command.
    Command,
    /// envbox.
    Envbox,
}

impl RunReport {
    /// Returns the report of a step that changed nothing and of which nothing else is known.
    pub(super) fn new(
        (run, started): (RunId, Timestamp),
        argv: Vec<OsString>,
        exit: Exit,
        lock: Digest,
        isolation: Isolation,
    ) -> Self {
        Self {
            run,
            started,
            argv,
            exit,
            lock,
            isolation,
            binds: Vec::new(),
            holds: Vec::new(),
            gpu: None,
            libraries: Vec::new(),
            usage: Usage::default(),
            findings: Vec::new(),
            audited: false,
            changes: None,
            rewritten: Vec::new(),
            refused: Vec::new(),
            missing: Vec::new(),
            not_written: None,
            kept: None,
        }
    }

    /// Returns who failed; nobody when the step succeeded and its outputs are where they belong. A
    /// conflict is no failure: both versions are there.
    pub fn failed_by(&self) -> Option<FailedBy> {
        if self.exit != Exit::Code(0) {
            return Some(FailedBy::Command);
        }
        (!self.is_written()).then_some(FailedBy::Envbox)
    }

    /// Says whether every output is in the project, under its own name or beside the host's.
    pub fn is_written(&self) -> bool {
        let failed = |change: &WrittenChange| matches!(change.fate, Fate::Failed { .. });
        let some_failed = self.changes.iter().flatten().any(failed);
        self.not_written.is_none() && !some_failed
    }

    /// Returns the status that the command should exit with: the step's, or, when that succeeded
    /// and its outputs could not be written, 125.
    pub fn exit_status(&self) -> Exit {
        match self.failed_by() {
            Some(FailedBy::Envbox) => Exit::Code(125),
            _ => self.exit,
        }
    }

    /// Returns what became of the outputs in one line, for people: `wrote 2 files: a, b`. Nothing
    /// when there is nothing to say.
    pub fn summary(&self) -> Option<String> {
        const SHOWN: usize = 5;
        let leaf = |written: &&WrittenChange| written.change.is_leaf();
        let reached = |written: &&WrittenChange| matches!(written.fate, Fate::Written);
        let all = self.changes.iter().flatten().filter(leaf).filter(reached);
        let (deleted, written): (Vec<_>, Vec<_>) =
            all.partition(|written| written.change.kind == ChangeKind::Deleted);
        let part = |verb: &str, changes: &[&WrittenChange]| {
            let names = changes.iter().take(SHOWN);
            let mut names: Vec<String> = names.map(|one| one.change.path.to_string()).collect();
            if changes.len() > SHOWN {
                names.push(format!("and {} more", changes.len() - SHOWN));
            }
            let noun = if changes.len() == 1 { "file" } else { "files" };
            let count = changes.len();
            (count > 0).then(|| format!("{verb} {count} {noun}: {}", names.join(", ")))
        };
        let parts = [part("wrote", &written), part("deleted", &deleted)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Returns what people should know although the step ran, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for WrittenChange { change, fate } in self.changes.iter().flatten() {
            let path = &change.path;
            match fate {
                Fate::Written => {}
                Fate::Conflict { beside: Some(name) } => warnings.push(format!(
                    "`{path}` was changed on the host while the step ran; the step's is beside it \
                     as `{}`",
                    name.display()
                )),
                Fate::Conflict { beside: None } => warnings.push(format!(
                    "`{path}` was deleted by the step, but changed on the host while it ran; it \
                     was kept"
                )),
                Fate::Failed { error } => {
                    warnings.push(format!("`{path}` could not be written: {error}"));
                }
            }
        }
        let open = |held: &&Held| matches!(held.state, HeldState::NotHeld | HeldState::Failed);
        warnings.extend(self.libraries.iter().filter(open).map(|held| {
            let Held {
                library,
                version,
                name,
                wanted,
                found,
                ..
            } = held;
            format!("`{library}` {version} was not held: {name} is `{found}`, not `{wanted}`")
        }));
        let refused = self.refused.iter();
        warnings.extend(
            refused
                .map(|refused| format!("`{}` was not written: {}", refused.path, refused.reason)),
        );
        let reason = self.not_written.iter();
        warnings.extend(reason.map(|reason| format!("the outputs were not written: {reason}")));
        let kept = self.kept.iter();
        warnings.extend(
            kept.map(|path| format!("what could not be written was kept in `{}`", path.display())),
        );
        warnings
    }

    /// Returns the document that `--json` and `--result-file` give.
    pub fn document(&self) -> impl Serialize + '_ {
        Document {
            schema: SCHEMA,
            envbox: env!("CARGO_PKG_VERSION"),
            failed_by: self.failed_by(),
            error: None,
            report: Some(self),
        }
    }
}

/// Returns the document for a run that envbox could not bring to its end.
pub fn failure_document(
    error: &dyn Error,
    kind: Kind,
    exit_status: u8,
    hints: Vec<String>,
) -> impl Serialize + use<> {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    Document {
        schema: SCHEMA,
        envbox: env!("CARGO_PKG_VERSION"),
        failed_by: Some(FailedBy::Envbox),
        error: Some(Failure {
            kind,
            exit_status,
            message: error.to_string(),
            causes: causes.map(ToString::to_string).collect(),
            hints,
        }),
        report: None,
    }
}

/// Writes a document to a result file as one step.
///
/// # Errors
/// Returns [`FsError`] when the file cannot be written.
pub fn write_document(document: &impl Serialize, file: &Path) -> Result<(), FsError> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("all keys are text");
    bytes.push(b'\n');
    write_atomic(file, &bytes)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    envbox: &'static str,
    failed_by: Option<FailedBy>,
    error: Option<Failure>,
    #[serde(flatten)]
    report: Option<&'a RunReport>,
}

/// An error, its causes and its remedies.
#[derive(Serialize)]
struct Failure {
    kind: Kind,
    exit_status: u8,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

pub(in crate::ops) fn lossy<S: Serializer>(
    argv: &[OsString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(argv.iter().map(|argument| argument.to_string_lossy()))
}

// The signatures are serde's.
pub(in crate::ops) fn exit<S: Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Wire {
        Code(u8),
        Signal(i32),
    }
    match *exit {
        Exit::Code(code) => Wire::Code(code),
        Exit::Signal(signal) => Wire::Signal(signal),
    }
    .serialize(serializer)
}

pub(in crate::ops) fn usage<S: Serializer>(
    usage: &Usage,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Wire {
        wall_us: u128,
        user_us: u128,
        system_us: u128,
        max_rss: u64,
    }
    Wire {
        wall_us: usage.wall.as_micros(),
        user_us: usage.user.as_micros(),
        system_us: usage.system.as_micros(),
        max_rss: usage.max_rss,
    }
    .serialize(serializer)
}
