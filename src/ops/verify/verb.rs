//! From a command to a verdict.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envbox_lockfiles::base::{Context, Event, FsError};
use envbox_sandbox::SignalRelay;

use crate::data::inputs;
use crate::ops::run::{Locking, RunError, Variable, environment_of, up_to_date};
use crate::ops::verify::against::{Against, usable, with_record};
use crate::ops::verify::compare::compare;
use crate::ops::verify::diagnose::{Runs, diagnose};
use crate::ops::verify::drawn::suspects;
use crate::ops::verify::outcome::Output;
use crate::ops::verify::places::explain;
use crate::ops::verify::report::{
    OutputReport, RunSummary, VariationReport, Verdict, VerifyReport, told,
};
use crate::ops::verify::runner::{Plan, Ran, Runner, last_processor};
use crate::ops::verify::variation::{Needs, TABLE, variables, wanted};
use crate::ops::verify::workplace::Workplace;
use crate::ops::verify::{Diagnosis, Difference, Variation, VerifyError, VerifyOptions};
use crate::ops::{Error, Project};
use crate::record::{Journal, JournalError, RunName, RunRecord};
use crate::store::{Store, remove_tree};

/// The stages that are told of.
const RUNS: &str = "verify";
const DIAGNOSIS: &str = "find the cause";

/// How long an audited run may take: so many times what the others took, and at least so long. It
/// is slower the more it draws, and nothing else depends on it.
const AUDIT: (u32, Duration) = (50, Duration::from_secs(60));

/// What may make envbox itself fail where it is varied: the host forbids more than was tried.
const DARING: [Variation; 3] = [Variation::User, Variation::HostName, Variation::Date];

/// Runs a command several times, varies the host meanwhile, and compares what it leaves.
///
/// The lockfile must answer the manifest. Nothing is written to the project.
///
/// # Errors
/// Returns [`Error`] when the runs could not be made; [`VerifyError::Interrupted`] when this
/// process was told to stop: then the runs are dead and their files are gone.
pub fn verify(
    context: &Context,
    project: &Project,
    options: &VerifyOptions,
) -> Result<VerifyReport, Error> {
    let wanted = match (options.runs, &options.against) {
        (Some(0 | 1), None) => return Err(VerifyError::OneRun.into()),
        (Some(runs), _) => runs.max(1),
        (None, None) => 2,
        (None, Some(_)) => 1,
    };
    let record = golden(project, options)?;
    let ours = project.context(context);
    let lock = up_to_date(&ours, project, Locking::Frozen)?;
    let rootfs = environment_of(&ours, project, &lock)?;
    let directory = project.directory();
    let directory = fs::canonicalize(directory).map_err(FsError::at("open", directory))?;
    let store = fs::canonicalize(&context.store).map_err(FsError::at("open", &context.store))?;
    if store.starts_with(&directory) {
        return Err(RunError::StoreInProject { store }.into());
    }
    let data = declared(&ours, project, &directory)?;
    let lockfile = project.lockfile();
    let apart = lockfile_apart(project, options, &lockfile);
    let runner = Runner {
        options,
        groups: project.groups(),
        workplace: Workplace::new(context, &directory, apart, &options.program, data)?,
        relay: SignalRelay::open(false).map_err(VerifyError::Capture)?,
        passed: passed(project, options),
        made: 0,
        began: None,
    };
    let mut verifying = Verifying {
        context,
        runner,
        cpus: options.cpus.unwrap_or(project.manifest().sandbox.cpus),
        variations: choose(options, &passed(project, options)),
        log: Vec::new(),
        first: None,
        longest: Duration::ZERO,
        not_audited: None,
    };
    let found = verifying.all(wanted, record.as_ref());
    // The runs used it.
    drop(rootfs);
    let found = found?;
    Ok(verifying.report(lock.digest(), found))
}

/// Verifies the data that the manifest declares, and downloads what is missing: the runs do without
/// the network. Returns what of it is in the project itself.
fn declared(context: &Context, project: &Project, directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let store = Store::open(&context.store)?;
    let found = inputs(context, &store, directory, &project.manifest().data)?;
    let own = found.into_iter().filter_map(|input| {
        let path = directory.join(input.path);
        (path == input.source).then_some(path)
    });
    Ok(own.collect())
}

/// Reads the record that runs must be like.
fn golden(project: &Project, options: &VerifyOptions) -> Result<Option<RunRecord>, VerifyError> {
    let Some(name) = &options.against else {
        return Ok(None);
    };
    let record = match (name, &options.journal) {
        (RunName::File(file), _) => RunRecord::read(file).map_err(JournalError::from)?,
        (_, None) => return Err(JournalError::Nowhere.into()),
        (name, Some(journal)) => Journal::at(journal).find(name, Some(project.directory()))?,
    };
    usable(&record)?;
    Ok(Some(record))
}

/// A lockfile that a script does not have beside it belongs beside its copies.
fn lockfile_apart<'a>(
    project: &Project,
    options: &VerifyOptions,
    lockfile: &'a Path,
) -> Option<(&'a Path, PathBuf)> {
    let script = options.script.as_ref()?;
    let mut name = script.clone().into_os_string();
    name.push(".lock");
    let beside = project.directory().join(&name) == lockfile;
    (!beside).then(|| (lockfile, PathBuf::from(name)))
}

/// Returns the names of variables that the step gets from the caller.
fn passed(project: &Project, options: &VerifyOptions) -> Vec<OsString> {
    let manifest = project.manifest().sandbox.pass_env.iter();
    let named = options.env.iter().filter_map(|variable| match variable {
        Variable::Pass(name) => Some(name.clone()),
        Variable::Set(..) => None,
    });
    manifest.map(OsString::from).chain(named).collect()
}

/// Decides what is varied on this host.
fn choose(options: &VerifyOptions, passed: &[OsString]) -> Vec<VariationReport> {
    let root = rustix::process::geteuid().is_root();
    let rows = TABLE.iter().map(|row| {
        let asked = options.vary.as_ref();
        let asked = asked.is_none_or(|asked| asked.contains(&row.variation));
        let is_there = match row.needs {
            Needs::Nothing => true,
            Needs::Root => root,
            Needs::Processors => last_processor().is_some(),
            Needs::FakeTime => options.faketime.is_some(),
        };
        let left = wanted(row.variation, passed);
        let all_left = !left.is_empty() && left.len() == variables(row.variation).len();
        let note = match (is_there, left.is_empty()) {
            (false, _) => Some(row.needs.missing().to_owned()),
            (true, true) => None,
            (true, false) => {
                let names: Vec<_> = left.iter().map(|name| name.to_string_lossy()).collect();
                Some(format!(
                    "the step gets `{}` by the user's wish",
                    names.join("`, `")
                ))
            }
        };
        VariationReport {
            variation: row.variation,
            what: row.what,
            wanted: asked,
            applied: asked && is_there && !all_left,
            note: note.filter(|_| asked),
        }
    });
    rows.collect()
}

/// What came of all runs.
struct Found {
    differences: Vec<Difference>,
    cause: Option<crate::ops::verify::Cause>,
    against: Option<Against>,
    drawn: Vec<crate::ops::verify::Drawn>,
}

struct Verifying<'a> {
    context: &'a Context,
    runner: Runner<'a>,
    cpus: u32,
    variations: Vec<VariationReport>,
    log: Vec<RunSummary>,
    first: Option<Ran>,
    longest: Duration,
    not_audited: Option<String>,
}

impl Verifying<'_> {
    fn all(&mut self, runs: u32, record: Option<&RunRecord>) -> Result<Found, VerifyError> {
        self.announce(RUNS, Some(runs.into()));
        let mut drawn = Vec::new();
        let first = self.made(Plan {
            audited: runs == 1,
            recorded: record.is_some(),
            ..Plan::default()
        })?;
        drawn.clone_from(&first.drawn);
        let ignored = &self.runner.options.ignored;
        let both = record.zip(first.record.as_ref());
        let against = both.map(|(record, own)| with_record(record, own, &first, ignored));
        self.first = Some(first);
        let is_other = |against: &Against| !against.differences.is_empty();
        // A record that differs may be chance's doing: then another run differs as well.
        let more = match against.as_ref().is_some_and(is_other) {
            true => runs.max(2),
            false => runs,
        };
        let mut differing = None;
        for run in 1..more {
            let ran = self.varied(run == more - 1)?;
            let differences = self.compared(&ran);
            if !ran.drawn.is_empty() {
                drawn.clone_from(&ran.drawn);
            }
            if !differences.is_empty() {
                differing = Some((ran, differences));
                break;
            }
            self.discard(&ran)?;
        }
        self.over(RUNS);
        let Some((ran, differences)) = differing else {
            return Ok(Found {
                differences: Vec::new(),
                cause: None,
                against,
                drawn,
            });
        };
        let differences = self.placed(differences, &ran)?;
        let cause = match self.runner.options.diagnosis {
            Diagnosis::None => None,
            Diagnosis::Full => {
                self.announce(DIAGNOSIS, None);
                let cause = diagnose(self, &ran.plan.varied)?;
                self.over(DIAGNOSIS);
                Some(cause)
            }
        };
        if drawn.is_empty() && self.not_audited.is_none() {
            let audited = self.made(Plan {
                audited: true,
                ..Plan::default()
            })?;
            self.compared(&audited);
            drawn = audited.drawn;
        }
        Ok(Found {
            differences,
            cause,
            against,
            drawn,
        })
    }

    /// Makes a run with everything varied that can be; what makes envbox fail is left from then on.
    fn varied(&mut self, audited: bool) -> Result<Ran, VerifyError> {
        let plan = |varied: Vec<Variation>| Plan {
            varied,
            audited,
            ..Plan::default()
        };
        let all = self.applied();
        let failed = match self.made(plan(all.clone())) {
            Err(error @ (VerifyError::Run { .. } | VerifyError::NoResult { .. })) => error,
            other => return other,
        };
        let tame: Vec<Variation> = all
            .iter()
            .copied()
            .filter(|one| !DARING.contains(one))
            .collect();
        if tame.len() == all.len() {
            return Err(failed);
        }
        let Ok(ran) = self.made(plan(tame)) else {
            return Err(failed);
        };
        for report in &mut self.variations {
            if report.applied && DARING.contains(&report.variation) {
                report.applied = false;
                report.note = Some(failed.to_string());
            }
        }
        Ok(ran)
    }

    fn applied(&self) -> Vec<Variation> {
        let applied = self.variations.iter().filter(|one| one.applied);
        applied.map(|one| one.variation).collect()
    }

    /// Makes a run. One that is to be audited and takes too long for that is made without.
    fn made(&mut self, mut plan: Plan) -> Result<Ran, VerifyError> {
        plan.audited &= self.not_audited.is_none();
        // The first has nothing to be measured by.
        let limit = self.longest.saturating_mul(AUDIT.0).max(AUDIT.1);
        plan.limit = (plan.audited && self.first.is_some()).then_some(limit);
        let ran = match self.runner.run(plan.clone()) {
            Err(error @ VerifyError::TooLong { .. }) => {
                self.not_audited = Some(error.to_string());
                plan.audited = false;
                plan.limit = None;
                self.runner.run(plan)?
            }
            other => other?,
        };
        self.longest = self.longest.max(ran.wall);
        let exit = ran.outcome.outputs.get(&Output::Exit);
        self.log.push(RunSummary {
            run: ran.number,
            varied: ran.plan.varied.clone(),
            cpus: ran.plan.cpus,
            audited: ran.plan.audited,
            exit: exit.map_or(String::new(), ToString::to_string),
            agrees: true,
            wall_ms: u64::try_from(ran.wall.as_millis()).unwrap_or(u64::MAX),
        });
        self.context.report(Event::ItemFinished {
            stage: RUNS.to_owned(),
            item: ran.number.to_string(),
        });
        Ok(ran)
    }

    /// Compares a run with the first, and notes whether they agree.
    fn compared(&mut self, ran: &Ran) -> Vec<Difference> {
        let first = self.first.as_ref().expect("it is made before all others");
        let ignored = &self.runner.options.ignored;
        let differences = compare(&first.outcome, &ran.outcome, ignored);
        if let Some(last) = self.log.last_mut() {
            last.agrees = differences.is_empty();
        }
        differences
    }

    /// Says where the differences are, and keeps what differs if that is wanted.
    fn placed(
        &self,
        mut differences: Vec<Difference>,
        then: &Ran,
    ) -> Result<Vec<Difference>, VerifyError> {
        let first = self.first.as_ref().expect("it is made before all others");
        explain(&mut differences, first, then, self.runner.workplace.path())?;
        if let Some(keep) = &self.runner.options.keep {
            for (name, run) in [("first", first), ("then", then)] {
                keep_outputs(&keep.join(name), run, &differences)?;
            }
        }
        Ok(differences)
    }

    fn discard(&self, ran: &Ran) -> Result<(), VerifyError> {
        Ok(remove_tree(&ran.directory)?)
    }

    fn announce(&self, stage: &str, total: Option<u64>) {
        let stage = stage.to_owned();
        self.context.report(Event::StageStarted { stage, total });
    }

    fn over(&self, stage: &str) {
        let stage = stage.to_owned();
        self.context.report(Event::StageFinished { stage });
    }

    fn report(self, lock: envbox_lockfiles::base::Digest, found: Found) -> VerifyReport {
        let first = self.first.expect("all runs were made");
        let against = found.against;
        let is_other = |against: &Against| !against.differences.is_empty();
        let same = found.differences.is_empty() && !against.as_ref().is_some_and(is_other);
        let suspects = match found.differences.is_empty() {
            true => Vec::new(),
            false => suspects(&found.drawn, found.cause.as_ref(), &written(&first)),
        };
        let verdict = match (same, first.outcome.succeeded()) {
            (false, _) => Verdict::Diverged,
            (true, true) => Verdict::Identical,
            (true, false) => Verdict::Failed,
        };
        VerifyReport {
            verdict,
            said: match verdict {
                Verdict::Failed => first.stderr.last_lines(),
                _ => Vec::new(),
            },
            argv: self.runner.options.argv.clone(),
            lock,
            differences: found.differences,
            cause: found.cause,
            suspects,
            against,
            outputs: first
                .outcome
                .outputs
                .into_iter()
                .map(|(output, state)| OutputReport { output, state })
                .collect(),
            variations: self.variations,
            runs: self.log,
            drawn: told(found.drawn),
            not_audited: self.not_audited,
        }
    }
}

impl Runs for Verifying<'_> {
    fn differs(&mut self, varied: &[Variation]) -> Result<bool, VerifyError> {
        let ran = self.made(Plan {
            varied: varied.to_vec(),
            ..Plan::default()
        })?;
        let differs = !self.compared(&ran).is_empty();
        self.discard(&ran)?;
        Ok(differs)
    }

    fn alone(&mut self) -> Result<Ran, VerifyError> {
        let ran = self.made(Plan {
            cpus: Some(1),
            ..Plan::default()
        })?;
        self.compared(&ran);
        self.discard(&ran)?;
        Ok(ran)
    }

    fn are_different(&self, one: &Ran, other: &Ran) -> bool {
        let ignored = &self.runner.options.ignored;
        !compare(&one.outcome, &other.outcome, ignored).is_empty()
    }

    fn cpus(&self) -> u32 {
        self.cpus
    }
}

/// Returns the paths that a run wrote.
fn written(ran: &Ran) -> Vec<&str> {
    let outputs = ran.outcome.outputs.keys();
    let paths = outputs.filter_map(|output| match output {
        Output::File(path) => Some(path.as_str()),
        _ => None,
    });
    paths.collect()
}

/// Copies those outputs of a run that differ.
fn keep_outputs(to: &Path, run: &Ran, differences: &[Difference]) -> Result<(), VerifyError> {
    let write = |name: &Path, content: Content<'_>| -> Result<(), FsError> {
        let path = to.join(name);
        let parent = path.parent().unwrap_or(to);
        fs::create_dir_all(parent).map_err(FsError::at("create", parent))?;
        let written = match content {
            Content::Bytes(bytes) => fs::write(&path, bytes),
            Content::File(file) => fs::copy(file, &path).map(drop),
        };
        written.map_err(FsError::at("write", &path))
    };
    for difference in differences {
        match &difference.output {
            Output::Exit => {}
            Output::Stdout => write(Path::new("stdout"), Content::Bytes(&run.stdout.head))?,
            Output::Stderr => write(Path::new("stderr"), Content::Bytes(&run.stderr.head))?,
            Output::File(path) => {
                let file = run.directory.join("project").join(path);
                let is_file = fs::symlink_metadata(&file).is_ok_and(|file| file.is_file());
                if is_file {
                    write(&Path::new("project").join(path), Content::File(&file))?;
                }
            }
        }
    }
    Ok(())
}

enum Content<'a> {
    Bytes(&'a [u8]),
    File(&'a Path),
}
