//! Wheels that are built, brought into the store.

use std::path::PathBuf;
use std::sync::Arc;

use envbox_lockfiles::base::{Context, Event, Platform};
use envbox_lockfiles::lock::{Artifact, BuiltFrom, LockedWheel, Lockfile, Origin};
use envbox_lockfiles::resolve::python::{
    Backend, BuildFailure, BuildTask, SourceBuilder, SourceFile,
};

use crate::fetch::{fetch, fetch_mirrored, fetch_source};
use crate::ops::Error;
use crate::ops::sources::{SandboxBuilder, builder};
use crate::store::Store;

/// The name of the stage in events.
const STAGE: &str = "build wheels";

/// Builds the wheels of `lock` for `platform` that have to be built and are not in `store`.
///
/// # Errors
/// Returns [`Error::Build`] when one cannot be built, and [`Error::OtherWheel`] when the wheel is not
/// the one that is locked; it is not used then.
pub(in crate::ops) fn bring(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<(), Error> {
    let wheels = lock.python.iter();
    let wheels = wheels.filter(|wheel| wheel.platforms.contains(&platform));
    let missing: Vec<(&LockedWheel, &BuiltFrom)> = wheels
        .filter(|wheel| store.blob(&wheel.artifact.digest).is_none())
        .filter_map(|wheel| Some((wheel, wheel.built_from.as_deref()?)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let stage = STAGE.to_owned();
    let total = Some(missing.len() as u64);
    context.report(Event::StageStarted { stage, total });
    let builder: Arc<dyn SourceBuilder> = Arc::new(SandboxBuilder::new(context)?);
    for (wheel, built_from) in missing {
        build(context, lock, wheel, built_from, store, &*builder)?;
    }
    let stage = STAGE.to_owned();
    context.report(Event::StageFinished { stage });
    Ok(())
}

/// Brings what the wheels of `lock` are built from, and what their build backends need, into `store`,
/// also of those that are built already.
///
/// # Errors
/// Returns [`Error::Fetch`], or [`Error::Build`] for a commit that cannot be had.
pub(in crate::ops) fn keep(context: &Context, lock: &Lockfile, store: &Store) -> Result<(), Error> {
    let built = lock.python.iter();
    let built: Vec<_> = built
        .filter_map(|wheel| Some((wheel, wheel.built_from.as_deref()?)))
        .collect();
    if built.is_empty() {
        return Ok(());
    }
    let builder: Arc<dyn SourceBuilder> = Arc::new(SandboxBuilder::new(context)?);
    for (wheel, built_from) in built {
        source(context, wheel, &built_from.source, store, &*builder)?;
        let alone = environment(lock, built_from);
        for platform in &wheel.platforms {
            fetch(context, &alone, *platform, store)?;
        }
    }
    Ok(())
}

/// Returns what a wheel is built in: the environment with what the backend needs in place of wheels.
fn environment(lock: &Lockfile, built_from: &BuiltFrom) -> Lockfile {
    Lockfile {
        python: built_from.requires.clone(),
        gpu: None,
        built: Vec::new(),
        ..lock.clone()
    }
}

fn build(
    context: &Context,
    lock: &Lockfile,
    wheel: &LockedWheel,
    built_from: &BuiltFrom,
    store: &Store,
    builder: &dyn SourceBuilder,
) -> Result<(), Error> {
    let artifact = &built_from.source;
    let failed = |failure: BuildFailure| Error::Build {
        source_file: artifact.file.clone(),
        source: Box::new(failure),
    };
    let (source, subdirectory) = source(context, wheel, artifact, store, builder)?;
    let documents = builder
        .open(&source, subdirectory.as_deref())
        .map_err(failed)?;
    let backend = Backend::of(&documents).map_err(|error| Error::Backend {
        source_file: artifact.file.clone(),
        source: Box::new(error),
    })?;
    let task = BuildTask {
        source,
        subdirectory,
        backend,
        environment: environment(lock, built_from),
    };
    let built = builder.wheel(&task).map_err(failed)?;
    match built.digest == wheel.artifact.digest {
        true => Ok(()),
        false => Err(Error::OtherWheel {
            source_file: artifact.file.clone(),
            wheel: wheel.artifact.file.clone(),
            expected: wheel.artifact.digest,
            found: built.digest,
        }),
    }
}

/// Brings a source to this machine; also returns the directory of the project in it.
fn source(
    context: &Context,
    wheel: &LockedWheel,
    artifact: &Artifact,
    store: &Store,
    builder: &dyn SourceBuilder,
) -> Result<(SourceFile, Option<String>), Error> {
    let (url, subdirectory) = match &artifact.origin {
        Origin::Url(url) => match url.split_once("#subdirectory=") {
            Some((url, directory)) => (Some(url), Some(directory.to_owned())),
            None => (Some(url.as_str()), None),
        },
        Origin::Registry(_) | Origin::Built => (None, None),
    };
    let known = |path: PathBuf| SourceFile {
        file: artifact.file.clone(),
        path,
        size: artifact.size,
        digest: artifact.digest,
    };
    let commit = url.and_then(|url| url.strip_prefix("git+")?.rsplit_once('@'));
    let Some((repository, commit)) = commit else {
        let path = fetch_source(context, &wheel.name, artifact, store)?;
        return Ok((known(path), subdirectory));
    };
    // A mirror has its files as it has any others.
    fetch_mirrored(context, std::slice::from_ref(artifact), store)?;
    if let Some(path) = store.blob(&artifact.digest) {
        return Ok((known(path), subdirectory));
    }
    let checkout = builder.checkout(repository, Some(commit));
    let checkout = checkout.map_err(|failure| Error::Build {
        source_file: artifact.file.clone(),
        source: Box::new(failure),
    })?;
    match checkout.source.digest == artifact.digest {
        true => {
            builder::keep(store, &checkout.source.path, artifact.digest, artifact.size)?;
            Ok((checkout.source, subdirectory))
        }
        false => Err(Error::OtherSource {
            source_file: artifact.file.clone(),
            expected: artifact.digest,
            found: checkout.source.digest,
        }),
    }
}
