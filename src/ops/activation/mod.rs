//! What activating a prefix of conda's sets, found out when the lock is written.
//!
//! Comes in: a lock whose conda packages can be had. Of those whose lists of files say that they have
//! no such files, nothing more is fetched. Goes out: the variables that their files in
//! `etc/conda/env_vars.d` and scripts in `etc/conda/activate.d` set, for the lock to record; a step
//! then finds them set ([`rootfs::activation`](crate::rootfs::activation())).
//!
//! Scripts that do nothing but set variables are read without a shell, for every platform. Others
//! run in a sandbox over the whole environment, which only this host's platform can be given.

mod error;
mod exports;
mod sandbox;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::{Context, Digest, Event, Platform};
use envbox_lockfiles::lock::{Activation, LockedCondaPackage, LockedDebian, Lockfile};
use envbox_lockfiles::manifest::CondaChannel;
use envbox_lockfiles::net::block_on_large_stack;
use envbox_lockfiles::resolve::ResolveError;
use envbox_lockfiles::resolve::conda::{CondaSession, activation_files};

use crate::ops::Error;
use crate::ops::activation::exports::Shell;
use crate::ops::activation::scripts::Scripts;
use crate::ops::closure::closure;
use crate::ops::run::is_ours;
use crate::rootfs::package_trees;
use crate::store::Store;

pub use error::ActivationError;

/// What a script finds set when it runs.
const START: [(&str, &str); 12] = [
    ("CONDA_DEFAULT_ENV", "/opt/env"),
    ("CONDA_PREFIX", "/opt/env"),
    ("CONDA_SHLVL", "1"),
    ("HOME", "/home/envbox"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("LOGNAME", "envbox"),
    ("PATH", "/opt/env/bin:/usr/bin:/bin"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("SOURCE_DATE_EPOCH", "1577836800"),
    ("TZ", "UTC"),
    ("USER", "envbox"),
];

/// What shells set for themselves.
const OF_SHELLS: [&str; 6] = ["IFS", "OLDPWD", "PPID", "PWD", "SHLVL", "_"];

/// Returns what `lock` is to record. What `previous` recorded for the same packages still holds.
///
/// # Errors
/// Returns [`Error`] when the packages cannot be had or unpacked, or when a script does not run.
pub(super) fn recorded(
    context: &Context,
    lock: &Lockfile,
    previous: Option<&Lockfile>,
) -> Result<Vec<Activation>, Error> {
    let mut found: BTreeMap<(String, String), BTreeSet<Platform>> = BTreeMap::new();
    for &platform in &lock.request.platforms {
        let variables = match known(lock, previous, platform) {
            Some(variables) => variables,
            None => variables(context, lock, platform)?,
        };
        for variable in variables {
            found.entry(variable).or_default().insert(platform);
        }
    }
    Ok(found
        .into_iter()
        .map(|((name, value), platforms)| Activation {
            platforms: platforms.into_iter().collect(),
            name,
            value,
        })
        .collect())
}

/// Returns what was recorded for the same packages.
fn known(
    lock: &Lockfile,
    previous: Option<&Lockfile>,
    platform: Platform,
) -> Option<Vec<(String, String)>> {
    let packages = |lock: &Lockfile| -> Vec<Digest> {
        let all = lock.conda.packages.iter();
        let here = all.filter(|package| package.platforms.contains(&platform));
        here.map(|package| package.artifact.digest).collect()
    };
    let wanted = packages(lock);
    if wanted.is_empty() {
        return Some(Vec::new());
    }
    let previous = previous?;
    if !previous.request.platforms.contains(&platform) || packages(previous) != wanted {
        return None;
    }
    let recorded = previous.conda.activation.iter();
    let here = recorded.filter(|one| one.platforms.contains(&platform));
    Some(
        here.map(|one| (one.name.clone(), one.value.clone()))
            .collect(),
    )
}

fn variables(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Vec<(String, String)>, Error> {
    let packages = activating(context, lock, platform)?;
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let store = Store::open(&context.store)?;
    // Nothing but conda's packages is needed to see what is in the scripts.
    let mut alone = Lockfile {
        base: None,
        python: Vec::new(),
        debian: LockedDebian::default(),
        gpu: None,
        built: Vec::new(),
        ..lock.clone()
    };
    alone.conda.packages = packages;
    let closure = match closure(context, &alone, platform, &store) {
        // What cannot be had cannot be run either, but a channel may list more than it still has,
        // and which packages would be chosen of it is worth knowing.
        Err(Error::Fetch(gone)) if gone.is_gone() => {
            let message = format!("what activating the environment sets is not recorded: {gone}");
            context.report(Event::Warning { message });
            return Ok(Vec::new());
        }
        other => other?,
    };
    let trees = package_trees(context, &closure)?;
    let scripts = Scripts::read(&trees)?;
    let start = START.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut shell = Shell::new(start.into());
    for (name, value) in &scripts.variables {
        shell.variables.insert(name.clone(), value.clone());
        shell.exported.insert(name.clone());
    }
    let mut simple = shell.clone();
    let unread = scripts
        .scripts
        .iter()
        .find(|script| simple.read(&script.text).is_err());
    match unread {
        None => shell = simple,
        Some(_) if platform == Platform::host() => {
            shell = sandbox::run(context, lock, &store, &scripts, &shell)?;
        }
        Some(script) => {
            let message = format!(
                "what `{}` of `{}` sets on {platform} is not known here: lock it there, or set it in \
                 `[sandbox] env`",
                script.path, script.package
            );
            context.report(Event::Warning { message });
        }
    }
    Ok(changed(context, &shell))
}

/// Returns the packages for `platform` that take part in activation, and those of which it is not known.
fn activating(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Vec<LockedCondaPackage>, Error> {
    let all = lock.conda.packages.iter();
    let all: Vec<_> = all.filter(|p| p.platforms.contains(&platform)).collect();
    let channels = lock.request.conda.iter().flat_map(|conda| &conda.channels);
    let channels: Vec<_> = channels
        .map(|name| CondaChannel {
            name: name.clone(),
            url: None,
        })
        .collect();
    let session = CondaSession::open(context, &channels).map_err(ResolveError::from)?;
    let looking = || async { activation_files(context, &session, &all).await };
    let files = block_on_large_stack(looking);
    let mut owned = BTreeSet::new();
    // Which of two files is in the environment depends on the order of all packages.
    let shared = files
        .iter()
        .flatten()
        .flatten()
        .any(|path| !owned.insert(path));
    let wanted = |files: &Option<Vec<String>>| {
        shared || files.as_ref().is_none_or(|files| !files.is_empty())
    };
    let wanted = all
        .into_iter()
        .zip(&files)
        .filter(|(_, files)| wanted(files));
    Ok(wanted.map(|(package, _)| package.clone()).collect())
}

/// Returns what a shell has now and was not started with.
fn changed(context: &Context, shell: &Shell) -> Vec<(String, String)> {
    let start: BTreeMap<&str, &str> = START.into();
    let mut changed = Vec::new();
    for name in &shell.exported {
        let Some(value) = shell.variables.get(name) else {
            continue;
        };
        if OF_SHELLS.contains(&name.as_str()) || start.get(name.as_str()) == Some(&value.as_str()) {
            continue;
        }
        if is_ours(name) {
            let message = format!("a conda package sets `{name}`, which is envbox's own");
            context.report(Event::Warning { message });
            continue;
        }
        changed.push((name.clone(), value.clone()));
    }
    changed
}
