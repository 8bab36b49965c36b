//! What a step stands on, from what it was given and what became of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest};
use envbox_lockfiles::manifest::{SandboxPolicy, StepClock, StepCpuid, StepNetwork};
use envbox_sandbox::gpu::DriverPolicy;
use envbox_sandbox::{Cpuid, Source, cpu_model};
use jiff::Timestamp;
use serde::Serialize;

use crate::data::Input;
use crate::ops::audit::sources;
use crate::ops::inside::State;
use crate::ops::run::binds::Bound;
use crate::ops::run::gpu::Granted;
use crate::ops::run::recorder::hint_of;
use crate::ops::run::{Access, Held, HeldState, Prepared, RunOptions, RunReport, Variable};
use crate::record::{
    BindSeen, Block, CodeNoted, CodeSeen, ComputeNoted, ComputeSeen, Consumed, DataNoted, DataSeen,
    EntropyNoted, EntropySeen, Firmness, GpuNoted, LibrariesNoted, LibrariesSeen, ParametersNoted,
    ParametersSeen, RunId, Tower,
};
use crate::snapshot::Snapshot;

/// Ends of files that hold parameters.
const PARAMETERS: [&str; 9] = [
    "cfg",
    "conf",
    "env",
    "ini",
    "json",
    "properties",
    "toml",
    "yaml",
    "yml",
];

/// All blocks but the first, as far as they are known before the step.
#[derive(Debug, Clone)]
pub(super) struct Foundation {
    pub(super) run: RunId,
    pub(super) started: Timestamp,
    pub(super) environment: String,
    parameters: (ParametersSeen, ParametersNoted),
    libraries: LibrariesSeen,
    policy: SandboxPolicy,
    inputs: Vec<Input>,
    binds: Vec<Bound>,
    /// Paths in the project that are no code of it: declared data, and what is bound.
    apart: Vec<PathBuf>,
    access: Access,
    gpu: Option<Granted>,
}

/// What a step is run on.
pub(super) struct Ground<'a> {
    pub(super) run: RunId,
    /// The guest path of the directory it begins in.
    pub(super) cwd: &'a Path,
    /// The project, without links in its path.
    pub(super) project: &'a Path,
    pub(super) inputs: &'a [Input],
    pub(super) binds: &'a [Bound],
    pub(super) gpu: Option<&'a Granted>,
}

/// What was found in the project before the step.
pub(super) struct Read {
    /// Files that hold parameters.
    pub(super) files: BTreeMap<String, Digest>,
    /// The blob with the lockfile.
    pub(super) lockfile: Option<Digest>,
    /// The blob with the manifest, if that is not in the project.
    pub(super) manifest: Option<Digest>,
    /// The list of what earlier steps made.
    pub(super) products: Option<Digest>,
}

impl Foundation {
    pub(super) fn new(
        context: &Context,
        prepared: &Prepared<'_>,
        policy: &SandboxPolicy,
        options: &RunOptions,
        ground: &Ground<'_>,
    ) -> Self {
        let rootfs = prepared.rootfs.file_name().unwrap_or_default();
        Self {
            run: ground.run,
            started: context.now,
            environment: prepared.environment.to_owned(),
            parameters: (
                parameters_seen(policy, options, ground.cwd),
                ParametersNoted {
                    manifest: prepared.manifest.and_then(Path::file_name).map(lossy),
                    ..parameters_noted(options, prepared.groups)
                },
            ),
            libraries: LibrariesSeen {
                lock: prepared.lock,
                rootfs: rootfs.to_string_lossy().into_owned(),
            },
            policy: policy.clone(),
            inputs: ground.inputs.to_vec(),
            binds: ground.binds.to_vec(),
            apart: apart(ground.project, ground.inputs, ground.binds),
            access: options.access,
            gpu: ground.gpu.cloned(),
        }
    }

    /// Returns the same for a step that writes to the project itself, whatever was asked for.
    pub(super) fn writing_to_the_project(self) -> Self {
        Self {
            access: Access::Direct,
            ..self
        }
    }

    /// Returns the paths in the project that are no code of it.
    pub(super) fn apart(&self) -> &[PathBuf] {
        &self.apart
    }

    pub(super) fn outputs(&self) -> &[PathBuf] {
        &self.policy.outputs
    }

    pub(super) fn argv(&self) -> Vec<String> {
        self.parameters.0.argv.clone()
    }

    /// Returns the tower; without a report, of a step that has not ended.
    pub(super) fn tower(
        &self,
        code: Block<CodeSeen, CodeNoted>,
        read: Read,
        report: Option<&RunReport>,
    ) -> Tower {
        let Read {
            files,
            lockfile,
            manifest,
            products,
        } = read;
        let (seen, noted) = self.parameters.clone();
        let noted = ParametersNoted {
            manifest_blob: manifest,
            ..noted
        };
        let seen = ParametersSeen { files, ..seen };
        Tower {
            code,
            parameters: Block::new(seen, noted, Firmness::Held, Vec::new()),
            libraries: self.libraries(lockfile, report),
            compute: self.compute(report),
            data: self.data_block(report, products),
            entropy: self.entropy(report),
        }
    }

    fn libraries(
        &self,
        lockfile: Option<Digest>,
        report: Option<&RunReport>,
    ) -> Block<LibrariesSeen, LibrariesNoted> {
        let mut pins: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut because = Vec::new();
        for held in report.iter().flat_map(|report| &report.libraries) {
            if held.state == HeldState::Loaded {
                continue;
            }
            let line = format!(
                "{} {} {} = {}",
                held.library, held.version, held.name, held.found
            );
            if matches!(held.state, HeldState::NotHeld | HeldState::Failed) {
                because.push(line.clone());
            }
            pins.entry(word(&held.state)).or_default().push(line);
        }
        let covering = self.binds.iter().filter(|bind| bind.covers);
        because.extend(covering.map(|bind| {
            let target = bind.target.display();
            format!("`{target}` of the environment is hidden by a bind of the host's")
        }));
        if is_bare(report) {
            because.push("the files are those of the container around".to_owned());
        }
        let noted = LibrariesNoted { lockfile, pins };
        Block::new(self.libraries.clone(), noted, firmness(&because), because)
    }

    fn compute(&self, report: Option<&RunReport>) -> Block<ComputeSeen, ComputeNoted> {
        let cpuid = report.map(|report| report.isolation.cpuid);
        let masked = match cpuid {
            Some(cpuid) => cpuid == Cpuid::Held,
            None => self.policy.cpuid == StepCpuid::Masked,
        };
        let cpu = cpu_model();
        let seen = ComputeSeen {
            cpus: self.policy.cpus,
            baseline: self.policy.cpu_baseline.name().to_owned(),
            cpu: cpu.clone().filter(|_| !masked),
            gpu: self.gpu.as_ref().map(|gpu| gpu.seen.clone()),
        };
        let isolation = report.map(|report| &report.isolation);
        let names = isolation.map(|isolation| isolation.namespaces.iter());
        let noted = ComputeNoted {
            kernel: isolation
                .map(|isolation| isolation.kernel.clone())
                .unwrap_or_default(),
            cpu,
            namespaces: names
                .into_iter()
                .flatten()
                .map(|&name| name.to_owned())
                .collect(),
            gpu: self.gpu.as_ref().map(|gpu| GpuNoted {
                loaded: loaded(report),
                ..gpu.noted.clone()
            }),
        };
        const CPUID: &str = "the instruction CPUID tells of the host's processor";
        let mut because = match cpuid {
            _ if masked => Vec::new(),
            Some(Cpuid::NotHeld(why)) => vec![format!("{CPUID}: {why}")],
            _ => vec![CPUID.to_owned()],
        };
        // Libraries choose their code by variables as well, so this is no more than a doubt.
        let state = match masked {
            true => Firmness::Held,
            false => Firmness::Recorded,
        };
        let gpu = self.gpu.as_ref();
        because.extend(gpu.iter().flat_map(|gpu| gpu.because.iter().cloned()));
        let state = state.max(gpu.map_or(Firmness::Held, |gpu| gpu.state));
        Block::new(seen, noted, state, because)
    }

    fn data_block(
        &self,
        report: Option<&RunReport>,
        products: Option<Digest>,
    ) -> Block<DataSeen, DataNoted> {
        let opened = report.filter(|report| report.audited).map(|report| {
            let outside = report
                .findings
                .iter()
                .filter(|one| one.source == Source::Outside);
            let mut paths: Vec<String> = outside.map(|one| one.what.clone()).collect();
            paths.sort();
            paths.dedup();
            paths
        });
        let mut because = Vec::new();
        if self.policy.network == StepNetwork::Host {
            because.push("what comes over the network is not known".to_owned());
        }
        if is_bare(report) {
            because.push("what else the container has could be read".to_owned());
        }
        because.extend(self.binds.iter().filter_map(|bind| self.doubt(bind)));
        let name = |bind: &Bound| bind.target.display().to_string();
        let sources = self.binds.iter();
        let sources = sources.map(|bind| (name(bind), bind.source.display().to_string()));
        let noted = DataNoted {
            opened,
            products,
            binds: sources.collect(),
        };
        let digests = self.inputs.iter();
        let digests = digests.map(|input| (input.path.display().to_string(), input.digest));
        let binds = self.binds.iter().map(|bind| {
            let seen = BindSeen {
                r#type: bind.kind,
                writable: bind.writable,
                sha256: self.declared(bind).map(|input| input.digest),
            };
            (name(bind), seen)
        });
        let seen = DataSeen {
            inputs: digests.collect(),
            binds: binds.collect(),
        };
        Block::new(seen, noted, firmness(&because), because)
    }

    fn declared(&self, bind: &Bound) -> Option<&Input> {
        declared(bind, &self.inputs)
    }

    /// Says why a bind is not held.
    fn doubt(&self, bind: &Bound) -> Option<String> {
        let (source, target) = (bind.source.display(), bind.target.display());
        match (bind.writable, self.declared(bind)) {
            (true, _) => Some(format!(
                "`{target}` is `{source}` of the host, which the step could write to"
            )),
            (false, None) => Some(format!(
                "`{target}` is `{source}` of the host, which `[data]` does not declare"
            )),
            (false, Some(_)) => None,
        }
    }

    fn entropy(&self, report: Option<&RunReport>) -> Block<EntropySeen, EntropyNoted> {
        let policy = &self.policy;
        let seen = EntropySeen {
            seed: policy.seed,
            clock: word(&policy.clock),
            epoch: policy.epoch,
            hostname: policy.hostname.clone(),
            network: word(&policy.network),
            file_status: word(&policy.file_status),
            project: word(&self.access),
        };
        let mut because: Vec<String> = clock_doubt(&policy.clock).into_iter().collect();
        let mut doubt = |is: bool, why: &str| because.extend(is.then(|| why.to_owned()));
        doubt(
            policy.network == StepNetwork::Host,
            "the network is the host's",
        );
        doubt(
            self.access == Access::Direct,
            "the step wrote to the project itself",
        );
        let holds = report.iter().flat_map(|report| &report.holds);
        let open = holds.filter(|hold| hold.state == State::NotHeld);
        because.extend(open.map(|hold| format!("{}: {}", hold.source, hold.by)));
        let consumed = report.filter(|report| report.audited).map(consumed);
        let open = consumed.iter().flatten().filter(|one| one.held != "held");
        because.extend(open.map(|one| format!("it drew from {}, which is not held", one.source)));
        Block::new(seen, EntropyNoted { consumed }, firmness(&because), because)
    }
}

/// Says why clocks are not held, if they are not.
pub(super) fn clock_doubt(clock: &StepClock) -> Option<String> {
    let why = match clock {
        StepClock::Real => "the clocks are the host's",
        StepClock::Ticking => "the clocks move with real time",
        StepClock::Frozen | StepClock::Logical => return None,
    };
    Some(why.to_owned())
}

/// Returns the declared data that a bind is, when the step cannot change it.
pub(super) fn declared<'a>(bind: &Bound, inputs: &'a [Input]) -> Option<&'a Input> {
    let mut inputs = inputs.iter().filter(|_| !bind.writable);
    inputs.find(|input| input.source == bind.real)
}

/// Returns the paths of declared data, of what is bound on, and of what a step may write to itself.
pub(super) fn apart(project: &Path, inputs: &[Input], binds: &[Bound]) -> Vec<PathBuf> {
    let inputs = inputs.iter().map(|input| input.path.clone());
    let targets = binds.iter();
    let targets = targets.filter_map(|bind| bind.target.strip_prefix("/project").ok());
    let written = binds.iter().filter(|bind| bind.writable);
    let written = written.filter_map(|bind| bind.real.strip_prefix(project).ok());
    let binds = targets.chain(written).map(Path::to_path_buf);
    let some = |path: &PathBuf| path != Path::new("");
    inputs.chain(binds).filter(some).collect()
}

/// Returns the libraries for GPUs that processes of the step had loaded, with their versions.
fn loaded(report: Option<&RunReport>) -> BTreeMap<String, String> {
    let libraries = report.iter().flat_map(|report| &report.libraries);
    let loaded = libraries.filter(|held| held.state == HeldState::Loaded);
    let name = |held: &Held| {
        (
            format!("{} {}", held.library, held.name),
            held.version.clone(),
        )
    };
    loaded.map(name).collect()
}

/// Says whether a step ran without namespaces.
fn is_bare(report: Option<&RunReport>) -> bool {
    report.is_some_and(|report| !report.holds.is_empty())
}

fn firmness(because: &[String]) -> Firmness {
    match because.is_empty() {
        true => Firmness::Held,
        false => Firmness::NotHeld,
    }
}

fn consumed(report: &RunReport) -> Vec<Consumed> {
    let all = sources(report.findings.clone(), &report.isolation, &report.binds).into_iter();
    all.map(|source| Consumed {
        source: source.source.to_owned(),
        held: word(&source.held),
        count: source.count,
        by: source.draws.iter().map(ToString::to_string).collect(),
    })
    .collect()
}

fn parameters_seen(policy: &SandboxPolicy, options: &RunOptions, cwd: &Path) -> ParametersSeen {
    let mut env: BTreeMap<String, String> = policy.env.clone().into_iter().collect();
    let mut passed = BTreeMap::new();
    let mut pass = |name: &OsStr| {
        if let Some(value) = options.host_env.get(name) {
            passed.insert(lossy(name), hint_of(value));
        }
    };
    policy
        .pass_env
        .iter()
        .for_each(|name| pass(OsStr::new(name)));
    for variable in &options.env {
        match variable {
            Variable::Set(name, value) => drop(env.insert(lossy(name), lossy(value))),
            Variable::Pass(name) => pass(name),
        }
    }
    ParametersSeen {
        argv: options
            .argv
            .iter()
            .map(|argument| lossy(argument))
            .collect(),
        argv0: options.argv0.as_deref().map(lossy),
        directory: cwd.to_path_buf(),
        env,
        passed,
        files: BTreeMap::new(),
    }
}

fn parameters_noted(options: &RunOptions, groups: &[String]) -> ParametersNoted {
    let mut noted = ParametersNoted {
        groups: groups.to_vec(),
        seed: options.seed,
        clock: options.clock.as_ref().map(word),
        cpus: options.cpus,
        gpu: options.gpu.as_ref().map(|gpu| gpu.selection.to_string()),
        any_driver: options
            .gpu
            .as_ref()
            .is_some_and(|gpu| gpu.driver == DriverPolicy::Compatible),
        network: options.network.as_ref().map(word),
        ..ParametersNoted::default()
    };
    for variable in &options.env {
        match variable {
            Variable::Set(name, value) => drop(noted.env.insert(lossy(name), lossy(value))),
            Variable::Pass(name) => noted.pass.push(lossy(name)),
        }
    }
    noted
}

/// Returns files of the project that hold parameters: those that arguments name, also after `=`,
/// and `params.*`, by the end of their names.
pub(super) fn parameter_files(code: &Snapshot, argv: &[String]) -> BTreeMap<String, Digest> {
    let mut files = BTreeMap::new();
    let mut add = |path: &Path| {
        let end = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if let Some(digest) = code.code(path).filter(|_| PARAMETERS.contains(&end)) {
            files.insert(path.display().to_string(), digest);
        }
    };
    for argument in argv.iter().skip(1) {
        let value = argument
            .split_once('=')
            .map_or(&**argument, |(_, value)| value);
        let value = Path::new(value);
        let below = value
            .strip_prefix("/project")
            .or_else(|_| value.strip_prefix("."));
        add(below.unwrap_or(value));
    }
    for end in PARAMETERS {
        add(&PathBuf::from(format!("params.{end}")));
    }
    files
}

pub(super) fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// Returns the word that serde has for a value of an enum.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("an enum without data is a word, not {other:?}"),
    }
}
