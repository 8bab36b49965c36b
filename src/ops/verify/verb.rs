//! From a command to a verdict.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::write_atomic;
use envbox_lockfiles::base::{Context, FsError};
use envbox_sandbox::SignalRelay;

use crate::data::inputs;
use crate::ops::run::{Locking, RunError, Variable, environment_of, up_to_date};
use crate::ops::verify::against::usable;
use crate::ops::verify::report::VariationReport;
use crate::ops::verify::runner::{Runner, last_processor};
use crate::ops::verify::variation::{Needs, TABLE, variables, wanted};
use crate::ops::verify::verifying::Verifying;
use crate::ops::verify::workplace::{Lock, Workplace};
use crate::ops::verify::{Verdict, VerifyError, VerifyOptions, VerifyReport};
use crate::ops::{Error, LOCKFILE, Project};
use crate::record::{Journal, JournalError, RunName, RunRecord};
use crate::store::Store;

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
    if let Some(bind) = options.binds.iter().find(|bind| bind.writable) {
        let path = bind.source.clone();
        return Err(VerifyError::WritableBind { path }.into());
    }
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
    let lock_at = lock_of(project, options, &lockfile);
    let runner = Runner {
        // First: from here on there is something to take away.
        relay: SignalRelay::open(false).map_err(VerifyError::Capture)?,
        options,
        groups: project.groups(),
        workplace: Workplace::new(context, &directory, lock_at, &options.program, data)?,
        passed: passed(project, options),
        made: 0,
        began: None,
    };
    let cpus = options.cpus.unwrap_or(project.manifest().sandbox.cpus);
    let variations = choose(options, &passed(project, options));
    let mut verifying = Verifying::new(context, runner, cpus, variations);
    let found = verifying.all(wanted, record.as_ref());
    // The runs used it.
    drop(rootfs);
    let found = found?;
    let record = verifying.record();
    let report = verifying.report(lock.digest(), found);
    if let (Some(file), Some(record), Verdict::Identical) =
        (&options.record, record, report.verdict)
    {
        write_atomic(file, &record.to_bytes())?;
    }
    Ok(report)
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
fn lock_of<'a>(project: &Project, options: &VerifyOptions, lockfile: &'a Path) -> Lock<'a> {
    let below = match &options.script {
        None => PathBuf::from(LOCKFILE),
        Some(script) => {
            let mut name = script.clone().into_os_string();
            name.push(".lock");
            PathBuf::from(name)
        }
    };
    let beside = project.directory().join(&below) == lockfile;
    Lock {
        below,
        apart: (!beside).then_some(lockfile),
    }
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
