//! A run's record, made beside the run: a thread reads the project's files while the step begins.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use envbox_lockfiles::base::fs::{read, write_atomic};
use envbox_lockfiles::base::{Context, Digest, Event, FsError};

use crate::ops::run::execute::with_causes;
use crate::ops::run::mlflow::{MlflowRun, set_tags};
use crate::ops::run::tower::{Foundation, Read, parameter_files};
use crate::ops::run::{Prepared, RunError, RunOptions, RunReport};
use crate::record::{Block, ChangeKind, EntryType, Journal, JournalError};
use crate::record::{CodeNoted, CodeSeen, EndedRecord, Firmness, Output, RunRecord};
use crate::snapshot::{
    Choices, GitState, Limits, Made, Snapshot, SnapshotError, changed_since, git_state,
    is_in_repository, take, walk,
};
use crate::store::{Store, StoreError};

/// How much of the outputs is kept.
const OUTPUTS: Limits = Limits {
    file: 64 << 20,
    total: 512 << 20,
};

/// What is recorded of a run, and where.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// The directory of the journal; nothing is kept without one.
    pub journal: Option<PathBuf>,
    /// `--record`: a file that gets the record as well.
    pub file: Option<PathBuf>,
    /// `--tag`: what the run is called.
    pub tags: Vec<String>,
    /// What the record calls the project, if that is not its directory: a replay's is another.
    pub project: Option<PathBuf>,
    /// The run of MLflow's that the step is, if it is one.
    pub mlflow: Option<MlflowRun>,
}

impl Recording {
    fn is_wanted(&self) -> bool {
        self.journal.is_some() || self.file.is_some()
    }
}

/// Makes the record of one run.
pub(super) struct Recorder<'a> {
    context: &'a Context,
    project: &'a Path,
    recording: &'a Recording,
    foundation: Foundation,
    begun: Begun,
}

enum Begun {
    Reading(JoinHandle<Result<Box<Code>, SnapshotError>>),
    Read(Result<Box<Code>, SnapshotError>),
}

/// The project's files, as they were before the step could change them.
struct Code {
    store: Store,
    snapshot: Snapshot,
    noted: CodeNoted,
    parameters: BTreeMap<String, Digest>,
    lockfile: Option<Digest>,
    manifest: Option<Digest>,
    /// Why the journal cannot be written to.
    unwritten: Option<SnapshotError>,
}

impl<'a> Recorder<'a> {
    /// Begins the record of a run, if one is wanted.
    pub(super) fn begin(
        context: &'a Context,
        prepared: &Prepared<'_>,
        project: &'a Path,
        options: &'a RunOptions,
        foundation: Foundation,
    ) -> Option<Self> {
        if !options.record.is_wanted() {
            return None;
        }
        let real = |path: &Path| fs::canonicalize(path).unwrap_or(path.to_path_buf());
        // Else it is in the snapshot of the code.
        let apart = |file: &&Path| !real(file).starts_with(project);
        let reader = Reader {
            store: context.store.clone(),
            project: project.to_path_buf(),
            named: options
                .record
                .project
                .clone()
                .unwrap_or(project.to_path_buf()),
            lockfile: prepared.lockfile.map(Path::to_path_buf),
            manifest: prepared.manifest.filter(apart).map(Path::to_path_buf),
            jobs: jobs(context),
            now: context.now,
            foundation: foundation.clone(),
            journal: options.record.journal.clone(),
        };
        Some(Self {
            context,
            project,
            recording: &options.record,
            foundation,
            begun: Begun::Reading(thread::spawn(move || reader.code())),
        })
    }

    /// Waits until the project's files are read. Before a step may write to them.
    pub(super) fn read(&mut self) {
        if let Begun::Reading(_) = self.begun {
            let failed = Begun::Read(Err(SnapshotError::Interrupted));
            if let Begun::Reading(thread) = std::mem::replace(&mut self.begun, failed) {
                self.begun = Begun::Read(thread.join().unwrap_or(Err(SnapshotError::Interrupted)));
            }
        }
    }

    /// Takes back what was noted of a step that never ran.
    pub(super) fn abandon(mut self) {
        self.read();
        if let (Begun::Read(Ok(_)), Some(journal)) = (&self.begun, &self.recording.journal) {
            // What cannot be removed is a run that never ended.
            drop(fs::remove_file(
                Journal::at(journal).file(self.foundation.run),
            ));
        }
    }

    /// Notes which files the host changed while the step ran. Before outputs are brought home.
    pub(super) fn step_has_ended(&mut self) {
        self.read();
        if let Begun::Read(Ok(code)) = &mut self.begun {
            let changed = changed_since(self.project, &code.snapshot.found, jobs(self.context));
            let shown = changed.iter().map(|path| path.display().to_string());
            code.noted.changed = shown.collect();
        }
    }

    /// Writes the record. Only a file that was asked for is missed so much that it is an error.
    pub(super) fn end(mut self, report: &RunReport) -> Result<(), RunError> {
        self.read();
        let Begun::Read(code) = self.begun else {
            return Ok(());
        };
        let warn = |message: String| {
            let message = format!("the run is not on record: {message}");
            self.context.report(Event::Warning { message });
        };
        let code = match code {
            Ok(code) => code,
            Err(error) if self.recording.file.is_some() => return Err(RunError::Snapshot(error)),
            Err(error) => {
                warn(with_causes(&error));
                return Ok(());
            }
        };
        let mut outputs = outputs(report);
        let kept = match self.recording.journal {
            Some(_) => keep(
                &code.store,
                self.project,
                outputs.as_deref_mut().unwrap_or_default(),
            ),
            None => Ok(()),
        };
        let mut ended = EndedRecord {
            exit: report.exit.into(),
            stdout: None,
            stderr: None,
            outputs,
            usage: (&report.usage).into(),
            warnings: report.warnings(),
        };
        if let Some(made) = ended.outputs.as_deref()
            && let Err(error) = code.note_made(self.project, made)
        {
            let error = with_causes(&error);
            ended
                .warnings
                .push(format!("what the step made is not noted: {error}"));
        }
        if let Err(error) = kept {
            let error = with_causes(&error);
            ended
                .warnings
                .push(format!("the outputs are not kept: {error}"));
        }
        let named = self.recording.project.as_deref().unwrap_or(self.project);
        let record = code.record(&self.foundation, Some((report, ended)), named);
        match (&self.recording.journal, &code.unwritten) {
            (_, Some(error)) => warn(with_causes(error)),
            (None, None) => {}
            (Some(journal), None) => {
                let written = write(&Journal::at(journal), &record, &self.recording.tags);
                written.unwrap_or_else(|error| warn(with_causes(&error)));
            }
        }
        if let Some(mlflow) = &self.recording.mlflow
            && let Err(error) = set_tags(self.context, mlflow, self.project, &record)
        {
            let message = format!("MLflow does not know of the run: {}", with_causes(&error));
            self.context.report(Event::Warning { message });
        }
        if let Some(file) = &self.recording.file {
            let record = RunRecord {
                project: None,
                ..record
            };
            write_atomic(file, &record.to_bytes())?;
        }
        Ok(())
    }
}

/// Returns what the step wrote, sorted by path.
fn outputs(report: &RunReport) -> Option<Vec<Output>> {
    let changed = report.changes.as_ref()?.iter().map(Output::from);
    let same = report.rewritten.iter();
    let same = same.map(|(path, entry)| Output::new(path, ChangeKind::Rewritten, entry, true));
    let mut all: Vec<Output> = changed.chain(same).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Some(all)
}

fn write(journal: &Journal, record: &RunRecord, tags: &[String]) -> Result<(), JournalError> {
    journal.create()?;
    journal.end(record)?;
    tags.iter().try_for_each(|tag| journal.tag(record.run, tag))
}

/// Keeps the outputs that came home, as far as there is room.
fn keep(store: &Store, project: &Path, outputs: &mut [Output]) -> Result<(), StoreError> {
    let deposit = store.deposit();
    let mut total = 0;
    let mut kept = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let (Some(size), Some(sha256), true) = (output.size, output.sha256, output.written) else {
            continue;
        };
        if output.r#type != EntryType::File || size > OUTPUTS.file || total + size > OUTPUTS.total {
            continue;
        }
        total += size;
        let path = project.join(output.path.as_path());
        let there = match (store.blob(&sha256), File::open(&path)) {
            (Some(_), _) => store.hold([sha256.into()]).map(|()| sha256)?,
            // Somebody took it away already: what it was is on record all the same.
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => continue,
            (None, file) => {
                deposit
                    .add(file.map_err(FsError::at("read", &path))?, &path)?
                    .0
            }
        };
        // What somebody changed meanwhile is another file.
        if there == sha256 {
            kept.push(index);
        }
    }
    deposit.commit(&[])?;
    for index in kept {
        outputs[index].kept = true;
    }
    Ok(())
}

/// What the thread needs.
struct Reader {
    store: PathBuf,
    project: PathBuf,
    /// What the record calls it.
    named: PathBuf,
    lockfile: Option<PathBuf>,
    /// The manifest, if it is not in the project.
    manifest: Option<PathBuf>,
    jobs: usize,
    now: jiff::Timestamp,
    foundation: Foundation,
    journal: Option<PathBuf>,
}

impl Reader {
    fn code(self) -> Result<Box<Code>, SnapshotError> {
        let store = Store::open(&self.store)?;
        // Git takes milliseconds, where there is a repository.
        let git = is_in_repository(&self.project).then(|| {
            let project = self.project.clone();
            thread::spawn(move || git_state(&project))
        });
        let found = walk(&self.project, self.foundation.apart(), self.jobs)?;
        let choices = Choices {
            outputs: self.foundation.outputs(),
            limits: Limits::default(),
            now: self.now,
            jobs: self.jobs,
        };
        let mut snapshot = take(&store, &self.project, found, choices)?;
        let git = git.and_then(|git| git.join().ok()).unwrap_or_default();
        let deposit = store.deposit();
        let keep = |file: &Option<PathBuf>| -> Result<_, SnapshotError> {
            Ok(match file {
                Some(file) => Some(deposit.add_bytes(&read(file)?)?),
                None => None,
            })
        };
        let (lockfile, manifest) = (keep(&self.lockfile)?, keep(&self.manifest)?);
        let GitState { commit, diff } = git;
        let kept_diff = match diff.as_deref() {
            Some(diff) if !diff.is_empty() => Some(deposit.add_bytes(diff)?),
            _ => None,
        };
        deposit.commit(&[])?;
        let mut code = Box::new(Code {
            parameters: parameter_files(&snapshot, &self.foundation.argv()),
            noted: CodeNoted {
                files: snapshot.files,
                bytes: snapshot.bytes,
                commit,
                dirty: diff.map(|diff| !diff.is_empty()),
                diff: kept_diff,
                kept: true,
                left_out: std::mem::take(&mut snapshot.left_out),
                changed: Vec::new(),
            },
            snapshot,
            lockfile,
            manifest,
            store,
            unwritten: None,
        });
        if let Some(journal) = &self.journal {
            code.unwritten = self.announce(&code, &Journal::at(journal)).err();
        }
        Ok(code)
    }

    /// Notes that the run has begun; from here on the journal keeps what its records name.
    fn announce(&self, code: &Code, journal: &Journal) -> Result<(), SnapshotError> {
        journal.create()?;
        code.store.pin_directory(journal.directory())?;
        Ok(journal.begin(&code.record(&self.foundation, None, &self.named))?)
    }
}

impl Code {
    /// Notes the files that steps made, so that they do not count as code in later runs.
    fn note_made(&self, project: &Path, outputs: &[Output]) -> Result<(), StoreError> {
        let mut made = Made::load(&self.store, project);
        for output in outputs {
            let path = output.path.as_path();
            match (output.kind, output.sha256) {
                (ChangeKind::Created, Some(digest)) => made.note(path, digest),
                (ChangeKind::Modified, Some(digest)) if made.knows(path) => made.note(path, digest),
                _ => {}
            }
        }
        made.save(&self.store, project)
    }

    fn record(
        &self,
        foundation: &Foundation,
        ended: Option<(&RunReport, EndedRecord)>,
        project: &Path,
    ) -> RunRecord {
        let mut because = Vec::new();
        if !self.noted.changed.is_empty() {
            because.push("files were changed on the host while the step ran".to_owned());
        }
        let state = match because.is_empty() {
            true => Firmness::Held,
            false => Firmness::NotHeld,
        };
        let seen = CodeSeen {
            tree: self.snapshot.digest,
        };
        let code = Block::new(seen, self.noted.clone(), state, because);
        let report = ended.as_ref().map(|(report, _)| *report);
        RunRecord {
            run: foundation.run,
            started: foundation.started,
            envbox: env!("CARGO_PKG_VERSION").to_owned(),
            environment: foundation.environment.clone(),
            project: Some(project.to_path_buf()),
            tower: foundation.tower(
                code,
                Read {
                    files: self.parameters.clone(),
                    lockfile: self.lockfile,
                    manifest: self.manifest,
                    products: self.snapshot.products,
                },
                report,
            ),
            ended: ended.map(|(_, ended)| ended),
        }
    }
}

/// Returns how many threads look at files: the step has the others.
fn jobs(context: &Context) -> usize {
    context.jobs.min(2)
}

/// Returns the first digits of a value's digest: enough to see a change, too few to tell it.
pub(super) fn hint_of(value: &std::ffi::OsStr) -> String {
    Digest::of(value.as_bytes()).hex()[..8].to_owned()
}
