//! From a project to a step that ran: lock, fetch, prepare, execute.

use envbox_lockfiles::base::fs::read;
use envbox_lockfiles::base::{Context, Digest, Event, Explain as _, Platform};
use envbox_lockfiles::lock::{Lockfile, Request, satisfies};

use crate::ops::closure::closure;
use crate::ops::lock::{LockOptions, lock};
use crate::ops::run::{GpuNeeds, Locking, Prepared, RunError, RunOptions, RunReport, execute};
use crate::ops::run::{failure_document, write_document};
use crate::ops::{Error, Project, pull};
use crate::rootfs::{Rootfs, find, prepare};
use crate::store::{Question, Store, Tree};

/// Runs a command in the project's environment, which is locked, downloaded and built first where
/// that was not done, and writes the result file if one is asked for.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran and failed is a report.
pub fn run(context: &Context, project: &Project, options: &RunOptions) -> Result<RunReport, Error> {
    documented(context, options, || {
        run_step(&project.context(context), project, options)
    })
}

/// Runs a step, and writes the result file if one is asked for.
pub(super) fn documented(
    context: &Context,
    options: &RunOptions,
    step: impl FnOnce() -> Result<RunReport, Error>,
) -> Result<RunReport, Error> {
    let result = step();
    match (&options.result_file, &result) {
        (None, _) => {}
        (Some(file), Ok(report)) => write_document(&report.document(), file)?,
        (Some(_), Err(error)) => {
            if let Err(second) = write_failure(error, options) {
                // What failed first is what the caller has to know.
                let message = second.to_string();
                context.report(Event::Warning { message });
            }
        }
    }
    result
}

/// Writes the result file, if one is asked for, of a run that failed before there was a project.
///
/// # Errors
/// Returns [`Error::Fs`] when the file cannot be written.
pub fn write_failure(error: &Error, options: &RunOptions) -> Result<(), Error> {
    match &options.result_file {
        Some(file) => {
            let status = error.run_exit_status();
            Ok(write_document(
                &failure_document(error, error.kind(), status, error.hints()),
                file,
            )?)
        }
        None => Ok(()),
    }
}

fn run_step(
    context: &Context,
    project: &Project,
    options: &RunOptions,
) -> Result<RunReport, Error> {
    let request = Request::of(project.manifest());
    let (tree, lock) = match known(context, project, &request) {
        Some((tree, lock)) => {
            // Before the step runs: another process may collect the store while it does.
            tree.store().pin(&project.lockfile())?;
            tree.store().settle_in_background();
            (tree, lock)
        }
        None => checked(context, project, &request, options.locking)?,
    };
    let groups = project.groups().of(&request).unwrap_or_default();
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let prepared = Prepared {
        sandbox: &project.manifest().sandbox,
        lock,
        rootfs: &tree.path(),
        environment: project.manifest().environment.name.as_str(),
        manifest: Some(project.manifest_file()),
        lockfile: Some(&project.lockfile()),
        groups: &groups,
        data: &project.manifest().data,
        gpu: &needs(project, options)?,
    };
    Ok(execute(context, &prepared, project.directory(), options)?)
}

/// Returns what the lock asks of GPUs, if the step is to get any: only then is it read for that.
fn needs(project: &Project, options: &RunOptions) -> Result<GpuNeeds, Error> {
    if options.gpu.is_none() {
        return Ok(GpuNeeds::default());
    }
    let lock = project.chosen(&Lockfile::read(&project.lockfile())?)?;
    Ok(GpuNeeds::of(&lock).map_err(RunError::from)?)
}

/// Returns the environment, and the lock's digest, when this program has read and checked the same
/// lock for the same manifest before: doing so takes longer than all else before a step starts.
fn known(context: &Context, project: &Project, request: &Request) -> Option<(Tree, Digest)> {
    let lock = read(&project.lockfile()).ok()?;
    Store::answer(&context.store, &question(project, request, &lock)?)
}

/// Returns the environment of a lock that was read and checked, and the lock's digest; notes them
/// for the next run.
fn checked(
    context: &Context,
    project: &Project,
    request: &Request,
    locking: Locking,
) -> Result<(Tree, Digest), Error> {
    let whole = whole_up_to_date(context, project, locking)?;
    let locked = project.chosen(&whole)?;
    let tree = environment_of(context, project, &locked)?.tree().clone();
    let lock = locked.digest();
    if satisfies(&whole, request).is_ok()
        && let Some(question) = question(project, request, &whole.to_bytes())
    {
        tree.store().keep_answer(&question, &tree, lock);
    }
    Ok((tree, lock))
}

/// Names all that decides whether a lock is accepted, and which environment it then has.
fn question(project: &Project, request: &Request, lock: &[u8]) -> Option<Question> {
    let groups = project.groups().of(request).ok()?;
    let groups: Vec<&str> = groups.iter().map(|name| name.as_str()).collect();
    Question::new(&[
        &Platform::host().to_string(),
        &request.digest().to_string(),
        &Digest::of(lock).to_string(),
        &groups.join(","),
    ])
}

/// Returns what a lock that answers the manifest has for the chosen groups.
pub(in crate::ops) fn up_to_date(
    context: &Context,
    project: &Project,
    locking: Locking,
) -> Result<Lockfile, Error> {
    project.chosen(&whole_up_to_date(context, project, locking)?)
}

fn whole_up_to_date(
    context: &Context,
    project: &Project,
    locking: Locking,
) -> Result<Lockfile, Error> {
    let file = project.lockfile();
    let request = &Request::of(project.manifest());
    match (Lockfile::read(&file), locking) {
        (Ok(locked), Locking::Frozen) => {
            satisfies(&locked, request)?;
            return Ok(locked);
        }
        (Err(error), Locking::Frozen) => return Err(error.into()),
        (Ok(locked), Locking::Update) if satisfies(&locked, request).is_ok() => return Ok(locked),
        (_, Locking::Update) => {}
    }
    lock(context, project, &LockOptions::default())?;
    Ok(Lockfile::read(&file)?)
}

/// Returns the environment of `lock`. When it is there, its packages need not be: nothing is
/// fetched then.
pub(in crate::ops) fn environment_of(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
) -> Result<Rootfs, Error> {
    let store = Store::open(&context.store)?;
    let rootfs = match find(&store, lock, Platform::host())? {
        Some(rootfs) => rootfs,
        None => match pull::environment(context, lock, Platform::host(), &store)? {
            Some(rootfs) => rootfs,
            None => {
                let closure = closure(context, lock, Platform::host(), &store)?;
                prepare(context, &closure, None)?
            }
        },
    };
    store.pin(&project.lockfile())?;
    store.settle_in_background();
    Ok(rootfs)
}
