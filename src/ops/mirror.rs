//! `envbox mirror`: every artifact of the lockfile in a place of the user's.

use std::collections::BTreeMap;

use envbox_lockfiles::base::{Context, Digest, Event, Mirror, RegistryName};
use envbox_lockfiles::lock::{Artifact, LockedBase, Lockfile, Origin};
use envbox_lockfiles::net::{Client, block_on};
use envbox_lockfiles::resolve::debian::suite_state;
use envbox_lockfiles::resolve::python::WheelLocator;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use crate::mirror::{Added, MirrorDirectory, ProjectFile, lock_artifact};
use crate::ops::closure::closure;
use crate::ops::{Error, Project, base_image, sources};
use crate::registry::{ImageName, Pushed, push};
use crate::store::Store;

/// How many projects are asked about side by side.
const AT_ONCE: usize = 16;

/// What a mirror has now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MirrorReport {
    /// The lockfile's digest.
    pub lock: Digest,
    /// The mirror.
    pub to: String,
    /// How many artifacts the lock names.
    pub artifacts: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// What was brought to a directory.
    pub added: Option<Added>,
    /// What was brought to a repository of images.
    pub pushed: Option<Pushed>,
    /// The suites of the lock; in a directory alone.
    pub suites: Vec<MirroredSuite>,
}

/// A suite of the lock.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MirroredSuite {
    /// Its registry.
    pub registry: RegistryName,
    /// The suite.
    pub name: String,
    /// Its date.
    pub date: Timestamp,
    /// Whether the mirror has its signed state, so that `envbox lock` resolves from it.
    pub mirrored: bool,
}

/// Brings every artifact of the project's lockfile, for all its platforms, to the mirror `to`. What is
/// there is not sent again, and nothing is removed.
///
/// # Errors
/// Returns [`Error::Stale`] when the lockfile does not answer the manifest, what downloading returns,
/// and why the mirror takes no more.
pub fn mirror(context: &Context, project: &Project, to: &Mirror) -> Result<MirrorReport, Error> {
    let context = &project.context(context);
    let lock = project.whole_lock()?;
    let place = match (to, to.path()) {
        (Mirror::Directory(_), None) => {
            return Err(Error::MirrorPlace {
                mirror: to.to_string(),
            });
        }
        (_, place) => place,
    };
    let store = Store::open(&context.store)?;
    for platform in &lock.request.platforms {
        closure(context, &lock, *platform, &store)?;
    }
    sources::keep(context, &lock, &store)?;
    store.pin(&project.lockfile())?;
    let sizes: Vec<u64> = lock.artifacts().map(|artifact| artifact.size).collect();
    let mut report = MirrorReport {
        lock: lock.digest(),
        to: to.to_string(),
        artifacts: sizes.len(),
        bytes: sizes.iter().sum(),
        added: None,
        pushed: None,
        suites: Vec::new(),
    };
    if let Some(directory) = place {
        let mirror = MirrorDirectory::open(&directory)?;
        let uploaded = uploaded(context, &mirror.undated(&lock));
        let mut added = mirror.add_lock(&lock, &store, &uploaded)?;
        if let Some(base) = &lock.base {
            add_base(context, base, &store, &mirror, &mut added)?;
        }
        report.suites = add_suites(context, &lock, &mirror, &mut added)?;
        mirror.finish(&lock)?;
        report.added = Some(added);
    } else {
        let reference: ImageName = to.to_string().parse()?;
        let image = lock_artifact(&lock, &store);
        // The tag is the lock's, whatever the user wrote.
        let reference = match image.tags.first() {
            Some(tag) => reference.with_tag(tag.clone()),
            None => reference,
        };
        report.pushed = Some(push(context, &reference, &image)?);
    }
    Ok(report)
}

fn add_suites(
    context: &Context,
    lock: &Lockfile,
    mirror: &MirrorDirectory,
    added: &mut Added,
) -> Result<Vec<MirroredSuite>, Error> {
    let client =
        Client::new(context).map_err(|error| Error::from(crate::fetch::FetchError::Net(error)))?;
    let platforms = &lock.request.platforms;
    let snapshot = lock.request.snapshot.as_deref();
    let mut suites = Vec::new();
    for suite in &lock.debian.suites {
        let state = block_on(suite_state(context, &client, suite, platforms, snapshot));
        let mirrored = match state {
            Ok(state) => {
                added.extend(mirror.add_suite(lock, suite, snapshot, &state)?);
                true
            }
            Err(error) => {
                let name = &suite.name;
                let message = format!(
                    "the mirror has the packages of `{name}`, but `envbox lock` cannot resolve from it: {error}"
                );
                context.report(Event::Warning { message });
                false
            }
        };
        suites.push(MirroredSuite {
            registry: suite.registry.clone(),
            name: suite.name.clone(),
            date: suite.date,
            mirrored,
        });
    }
    Ok(suites)
}

/// Adds what says what the image is that environments stand on; its layers are there.
fn add_base(
    context: &Context,
    base: &LockedBase,
    store: &Store,
    mirror: &MirrorDirectory,
    added: &mut Added,
) -> Result<(), Error> {
    match base_image::kept(context, base, store) {
        Ok(documents) => added.extend(mirror.add_image(base, &documents)?),
        Err(error) => {
            let message = format!(
                "the mirror has the layers of `{}`, but `envbox lock` cannot resolve from it: {error}",
                base.reference
            );
            context.report(Event::Warning { message });
        }
    }
    Ok(())
}

/// Returns when files were uploaded, as far as their registries say and answer.
fn uploaded(context: &Context, files: &[ProjectFile<'_>]) -> BTreeMap<Digest, Timestamp> {
    let mut projects: BTreeMap<_, Vec<&Artifact>> = BTreeMap::new();
    for (project, artifact) in files {
        if let Origin::Registry(registry) = &artifact.origin {
            let of_project = projects.entry((registry, *project)).or_default();
            of_project.push(artifact);
        }
    }
    let locator = WheelLocator::new(context);
    let asked = projects.into_iter().map(|((registry, project), wanted)| {
        let asked = locator.uploaded(registry, project);
        async move { (asked.await, wanted) }
    });
    let mut times = BTreeMap::new();
    let mut failure = None;
    for (answer, wanted) in block_on(stream::iter(asked).buffered(AT_ONCE).collect::<Vec<_>>()) {
        match answer {
            Ok(files) => times.extend(wanted.iter().filter_map(|artifact| {
                let time = files.get(&artifact.file)?;
                Some((artifact.digest, *time))
            })),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(error) = failure {
        let message = format!(
            "the mirror does not say of all wheels when they were uploaded, which `exclude-newer` \
             asks for: {error}"
        );
        context.report(Event::Warning { message });
    }
    times
}
