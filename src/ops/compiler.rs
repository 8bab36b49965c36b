//! Who compiles the modules of an environment that is not for this host.
//!
//! The lock's own interpreter for this host, if it has one; else the same release is looked up for
//! this host, as `envbox lock` would.

use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::{Context, Platform};
use envbox_lockfiles::lock::{
    Asker, Ecosystem, Graph, LockedConda, LockedInterpreter, LockedPackage, Lockfile,
};
use envbox_lockfiles::manifest::{Interpreter, InterpreterSource, Python, PythonVersion};
use envbox_lockfiles::resolve::{ResolveOptions, resolve};

use crate::ops::closure::closure;
use crate::ops::{Error, Project};
use crate::rootfs::{Compiler, RootfsError, find};
use crate::store::Store;

/// Returns an interpreter that compiles what the one of `lock` for `platform` would; `None` when
/// none is needed.
///
/// # Errors
/// Returns [`RootfsError::OtherInterpreter`] when this host's platform has no such interpreter any
/// more, and what resolving and fetching return.
pub(super) fn compiler(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<Option<Compiler>, Error> {
    let host = Platform::host();
    let Some(interpreter) = &lock.interpreter else {
        return Ok(None);
    };
    if platform == host || find(store, lock, platform)?.is_some() {
        return Ok(None);
    }
    let alone = match lock.request.platforms.contains(&host) {
        true => alone(lock),
        false => {
            let found = resolved(context, project, lock, interpreter)?;
            same_release((lock, platform), (&found, host), interpreter)?;
            found
        }
    };
    let closure = closure(context, &alone, host, store)?;
    Ok(Some(Compiler::new(context, &closure)?))
}

/// Returns the lock with the base and the interpreter alone.
fn alone(lock: &Lockfile) -> Lockfile {
    let mut alone = lock.clone();
    alone.python.clear();
    if lock
        .interpreter
        .as_ref()
        .is_some_and(|one| one.from != InterpreterSource::Conda)
    {
        alone.conda = LockedConda::default();
    }
    let graph = Graph::of(lock, Platform::host());
    let reached = graph.reached(|asker| matches!(asker, Asker::Base | Asker::Interpreter));
    let nodes = reached.iter().map(|&place| &graph.nodes[place]);
    let kept: BTreeSet<&str> = nodes
        .filter(|node| node.ecosystem == Ecosystem::Debian)
        .map(|node| node.name)
        .collect();
    let packages = &mut alone.debian.packages;
    packages.retain(|package| kept.contains(package.name.as_str()));
    alone
}

/// Resolves the interpreter for this host. The base that it then stands on is Debian's: of an image
/// for another platform nobody knows what there is for this one.
fn resolved(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
    interpreter: &LockedInterpreter,
) -> Result<Lockfile, Error> {
    let mut manifest = project.manifest().clone();
    manifest.environment.platforms = vec![Platform::host()];
    manifest.environment.python = exactly(interpreter);
    manifest.base = None;
    manifest.python = Python::default();
    manifest.debian.packages.clear();
    manifest.groups.clear();
    match &mut manifest.conda {
        Some(conda) if interpreter.from == InterpreterSource::Conda => {
            conda.dependencies.clear();
            conda.constraints.clear();
        }
        conda => *conda = None,
    }
    let options = ResolveOptions::default();
    Ok(resolve(context, &manifest, Some(lock), &options)?)
}

fn exactly(interpreter: &LockedInterpreter) -> Option<Interpreter> {
    let mut numbers = interpreter.version.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some(Interpreter {
        version: PythonVersion {
            major: number()?,
            minor: number()?,
            patch: Some(number()?),
        },
        from: Some(interpreter.from),
    })
}

/// Compares the builds of an interpreter in two locks: a security update of a module that every
/// interpreter imports may be enough to make other bytecode.
fn same_release(
    ours: (&Lockfile, Platform),
    found: (&Lockfile, Platform),
    interpreter: &LockedInterpreter,
) -> Result<(), RootfsError> {
    let (expected, found) = (builds(ours.0, ours.1), builds(found.0, found.1));
    let differs = |name: &&String| found.get(*name).is_some_and(|one| *one != expected[*name]);
    match expected.keys().find(differs) {
        None => Ok(()),
        Some(name) => Err(RootfsError::OtherInterpreter {
            interpreter: interpreter.path.clone(),
            expected: expected[name].clone(),
            found: found[name].clone(),
        }),
    }
}

/// Returns which build each part of the interpreter is: Debian's version, or the release that a
/// standalone one is from.
fn builds(lock: &Lockfile, platform: Platform) -> BTreeMap<String, String> {
    let packages = lock.debian.packages.iter();
    let is_python = |package: &&LockedPackage| {
        let name = package.name.as_str();
        let name = name.strip_prefix("lib").unwrap_or(name);
        package.platforms.contains(&platform) && name.starts_with("python3.")
    };
    let mut builds: BTreeMap<String, String> = packages
        .filter(is_python)
        .map(|package| (package.name.to_string(), package.version.clone()))
        .collect();
    let archives = lock.interpreter.iter().flat_map(|python| &python.archives);
    for archive in archives.filter(|archive| archive.platform == platform) {
        let (release, _) = archive.artifact.file.split_once('/').unwrap_or_default();
        builds.insert("python".to_owned(), release.to_owned());
    }
    builds
}
