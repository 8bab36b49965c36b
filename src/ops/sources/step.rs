//! One hook of a build backend, as a step in the sandbox.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, FsError, Kind, Platform};
use envbox_lockfiles::lock::Lockfile;
use envbox_lockfiles::manifest::SandboxPolicy;
use envbox_lockfiles::resolve::python::{BuildFailure, BuildTask};
use envbox_sandbox::Exit;
use serde::Serialize;

use crate::ops::Error;
use crate::ops::closure::closure;
use crate::ops::inside::InsidePolicy;
use crate::ops::run::{GpuNeeds, Prepared, RunOptions, execute};
use crate::rootfs::{Rootfs, prepare};
use crate::store::Store;

/// The program inside.
const HOOK: &str = include_str!("hook.py");

/// How many lines of what a build printed an error shows.
const LINES: usize = 20;

/// What the program inside is told.
#[derive(Serialize)]
struct TaskWire<'a> {
    hook: &'a str,
    source: &'a str,
    subdirectory: Option<&'a str>,
    backend: &'a str,
    backend_path: &'a [String],
}

/// Runs `hook` on the task's source in `directory`, which is empty, and returns its answer. What it
/// made is in `products` below the directory.
pub(super) fn run<T: serde::de::DeserializeOwned>(
    context: &Context,
    store: &Store,
    task: &BuildTask,
    hook: &str,
    directory: &Path,
) -> Result<T, BuildFailure> {
    let rootfs = environment(context, store, &task.environment).map_err(|error| {
        let kind = envbox_lockfiles::base::Explain::kind(&error);
        let hints = envbox_lockfiles::base::Explain::hints(&error);
        BuildFailure {
            message: "what it is built in could not be made".to_owned(),
            kind,
            hints,
            source: Some(Box::new(error)),
        }
    })?;
    // Without a directory in its name.
    let source = task.source.file.rsplit('/').next().unwrap_or_default();
    let wire = TaskWire {
        hook,
        source,
        subdirectory: task.subdirectory.as_deref(),
        backend: &task.backend.name,
        backend_path: &task.backend.path,
    };
    let log = directory.with_added_extension("log");
    let files = || -> Result<File, FsError> {
        let place = |name: &str| directory.join(name);
        let text = serde_json::to_vec(&wire).expect("texts are JSON");
        for (name, bytes) in [("task.json", text.as_slice()), ("hook.py", HOOK.as_bytes())] {
            fs::write(place(name), bytes).map_err(FsError::at("write", &place(name)))?;
        }
        let copied = fs::copy(&task.source.path, place(source)).map(drop);
        copied.map_err(FsError::at("write", &place(source)))?;
        File::create(&log).map_err(FsError::at("create", &log))
    };
    let output = files().map_err(host)?;
    let exit = step(context, task, &rootfs, directory, output)?;
    if exit != Exit::Code(0) {
        return Err(failed(task, &log));
    }
    let answer = directory.join("answer.json");
    let text = fs::read(&answer).map_err(|error| host(FsError::at("read", &answer)(error)))?;
    serde_json::from_slice(&text).map_err(|error| BuildFailure {
        message: format!("the backend `{}` answered nonsense", task.backend.name),
        kind: Kind::User,
        hints: Vec::new(),
        source: Some(Box::new(error)),
    })
}

fn step(
    context: &Context,
    task: &BuildTask,
    rootfs: &Rootfs,
    directory: &Path,
    output: File,
) -> Result<Exit, BuildFailure> {
    let copy = output.try_clone();
    let nothing = File::open("/dev/null");
    let error = |error: io::Error| host(FsError::at("open", directory)(error));
    let options = RunOptions {
        // The one that has the wheels: it is first in the path.
        argv: vec!["python".into(), "hook.py".into()],
        current_directory: directory.to_path_buf(),
        stdin: Some(nothing.map_err(error)?.into()),
        stdout: Some(copy.map_err(error)?.into()),
        stderr: Some(output.into()),
        ..RunOptions::default()
    };
    let prepared = Prepared {
        sandbox: &policy(),
        lock: Digest::of(&task.environment.to_bytes()),
        rootfs: &rootfs.path(),
        environment: "build",
        manifest: None,
        lockfile: None,
        groups: &[],
        data: &[],
        gpu: &GpuNeeds::default(),
    };
    let report = execute(context, &prepared, directory, &options);
    let report = report.map_err(|error| BuildFailure {
        message: "its build did not run".to_owned(),
        kind: envbox_lockfiles::base::Explain::kind(&error),
        hints: envbox_lockfiles::base::Explain::hints(&error),
        source: Some(Box::new(error)),
    })?;
    Ok(report.exit_status())
}

/// A manifest's defaults, whatever the project's own says: what is built is for all projects.
fn policy() -> SandboxPolicy {
    InsidePolicy::without_manifest().sandbox
}

fn environment(context: &Context, store: &Store, lock: &Lockfile) -> Result<Rootfs, Error> {
    let closure = closure(context, lock, Platform::host(), store)?;
    Ok(prepare(context, &closure, None)?)
}

fn failed(task: &BuildTask, log: &Path) -> BuildFailure {
    let printed = fs::read(log).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let lines: Vec<&str> = printed.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    BuildFailure {
        message: format!("the backend `{}` failed", task.backend.name),
        kind: Kind::User,
        hints: vec![
            "name what it needs in `[debian] packages`, such as `gcc`, `libc6-dev` and \
             `python3.11-dev`; builds have no network"
                .to_owned(),
        ],
        source: Some(last.into()),
    }
}

pub(super) fn host(error: FsError) -> BuildFailure {
    BuildFailure {
        message: error.to_string(),
        kind: Kind::Host,
        hints: envbox_lockfiles::base::Explain::hints(&error),
        source: Some(Box::new(error.source)),
    }
}

/// Returns the file that a hook says it made, if that is one right in `products`.
pub(super) fn product(directory: &Path, file: &str) -> Option<PathBuf> {
    let path = directory.join("products").join(file);
    let is_plain = !file.contains('/') && file.ends_with(".whl");
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    (is_plain && is_file).then_some(path)
}
