//! `envbox lock`: resolve what changed, write `envbox.lock`.
//!
//! What the locked packages need of a GPU's driver is derived on any host; the driver and the GPU
//! themselves come from the caller, and stay until they are replaced or taken out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Context, Digest, Event};
use envbox_lockfiles::lock::{
    Change, HostGpu, LockError, LockedBase, LockedConda, LockedDebian, Lockfile, Request,
    StaleReason, diff, satisfies,
};
use envbox_lockfiles::resolve::{Pins, ResolveOptions, Upgrade, resolve};
use serde::Serialize;

use crate::ops::base_image::base as locked_base;
use crate::ops::closure::closure;
use crate::ops::sources::SandboxBuilder;
use crate::ops::{Error, Project, activation};
use crate::rootfs::image_library;
use crate::store::Store;

/// What progress calls it.
const STAGE: &str = "lock";

/// What to do with the lockfile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockMode {
    /// Brings it up to date.
    #[default]
    Write,
    /// Only says whether it is.
    Check,
}

/// What becomes of the driver and the GPU that a lock pins. It has no part in whether a lock answers
/// its manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GpuChange {
    /// They stay, as the manifest says how. So they do when packages move.
    #[default]
    Keep,
    /// Those of this host take their place: [`host_gpu`](fn@crate::ops::host_gpu::host_gpu).
    Pin(HostGpu),
    /// They are taken out.
    Remove,
}

/// How `lock` works.
#[derive(Debug, Clone, Default)]
pub struct LockOptions {
    /// What to do.
    pub mode: LockMode,
    /// Which packages may move although their locked version still fits.
    pub upgrade: Upgrade,
    /// What must be chosen, where it is chosen at all.
    pub pins: Pins,
    /// What becomes of the pinned driver and GPU; in [`LockMode::Check`] they stay.
    pub gpu: GpuChange,
}

/// What became of the lockfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockOutcome {
    /// There was none.
    Created,
    /// It was brought up to date.
    Updated,
    /// It already answered the manifest; it was not touched.
    Unchanged,
}

/// What `lock` did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockReport {
    /// The lockfile.
    pub lockfile: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// What became of it.
    pub outcome: LockOutcome,
    /// Why it was resolved again.
    pub reasons: Vec<StaleReason>,
    /// What changed in it.
    pub changes: Vec<Change>,
    /// How many Python distributions it has.
    pub python: usize,
    /// How many conda packages it has.
    pub conda: usize,
    /// How many Debian packages it has.
    pub debian: usize,
}

/// Brings the project's lockfile up to date, or checks that it is.
///
/// # Errors
/// Returns [`Error::Stale`] or [`Error::Lock`] in [`LockMode::Check`] when it is not up to date,
/// and otherwise what resolving or writing returns; the old lockfile is then unchanged.
pub fn lock(
    context: &Context,
    project: &Project,
    options: &LockOptions,
) -> Result<LockReport, Error> {
    resolved(context, project, options)?.write()
}

/// A lock that answers the project's manifest and is not written yet.
pub(in crate::ops) struct Resolved {
    file: PathBuf,
    previous: Option<Lockfile>,
    /// The lock.
    pub(in crate::ops) lock: Lockfile,
    reasons: Vec<StaleReason>,
}

impl Resolved {
    /// Writes the lock where it is not what is there already, and tells what became of it.
    ///
    /// # Errors
    /// Returns [`Error::Lock`] or [`Error::Fs`]; the old lockfile is then unchanged.
    pub(in crate::ops) fn write(self) -> Result<LockReport, Error> {
        let Self {
            file,
            previous,
            lock,
            reasons,
        } = self;
        let outcome = match &previous {
            None => LockOutcome::Created,
            Some(old) if *old == lock => LockOutcome::Unchanged,
            Some(_) => LockOutcome::Updated,
        };
        if outcome != LockOutcome::Unchanged {
            // That of a script may be in the store.
            create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
            lock.write(&file)?;
        }
        let changes = previous.as_ref().map(|old| diff(old, &lock));
        Ok(LockReport {
            lockfile: file,
            digest: lock.digest(),
            outcome,
            reasons,
            changes: changes.unwrap_or_default(),
            python: lock.python.len(),
            conda: lock.conda.packages.len(),
            debian: lock.debian.packages.len(),
        })
    }
}

/// Does as [`lock`] does, but writes nothing.
///
/// # Errors
/// As [`lock`].
pub(in crate::ops) fn resolved(
    context: &Context,
    project: &Project,
    options: &LockOptions,
) -> Result<Resolved, Error> {
    let context = &project.context(context);
    let file = project.lockfile();
    let request = Request::of(project.manifest());
    let previous = match (Lockfile::read(&file), options.mode) {
        (Ok(lock), _) => Some(lock),
        (Err(error), LockMode::Check) => return Err(error.into()),
        (Err(LockError::Missing { .. }), _) => None,
        (Err(error @ LockError::Fs(_)), _) => return Err(error.into()),
        (Err(error), _) => {
            let message = format!("{error}; it is resolved from scratch");
            context.report(Event::Warning { message });
            None
        }
    };
    let stale = previous.as_ref().map(|lock| satisfies(lock, &request));
    let reasons = match stale {
        Some(Ok(())) if options.upgrade == Upgrade::None && options.pins.is_empty() => {
            let mut lock = previous.expect("a lock that answers the request is there");
            let previous = lock.clone();
            if options.mode == LockMode::Write {
                change_gpu(&mut lock, &options.gpu)?;
            }
            return Ok(Resolved {
                file,
                previous: Some(previous),
                lock,
                reasons: Vec::new(),
            });
        }
        Some(Err(stale)) if options.mode == LockMode::Check => return Err(stale.into()),
        Some(Err(stale)) => stale.reasons,
        _ => Vec::new(),
    };
    let stage = || STAGE.to_owned();
    context.report(Event::StageStarted {
        stage: stage(),
        total: None,
    });
    let resolving = ResolveOptions {
        upgrade: options.upgrade.clone(),
        base: base(context, &request, previous.as_ref())?,
        builder: match request.no_build {
            true => None,
            false => Some(Arc::new(SandboxBuilder::new(context)?)),
        },
        pins: options.pins.clone(),
    };
    let mut lock = resolve(context, project.manifest(), previous.as_ref(), &resolving)?;
    lock.conda.activation = activation::recorded(context, &lock, previous.as_ref())?;
    change_gpu(&mut lock, &options.gpu)?;
    context.report(Event::StageFinished { stage: stage() });
    Ok(Resolved {
        file,
        previous,
        lock,
        reasons,
    })
}

/// Does with the pinned driver and GPU what is asked.
///
/// # Errors
/// Returns [`Error::GpuPin`] when what is locked does not run on the driver.
fn change_gpu(lock: &mut Lockfile, change: &GpuChange) -> Result<(), Error> {
    let before = lock.gpu.clone();
    match change {
        GpuChange::Keep => lock.check_gpu()?,
        GpuChange::Pin(host) => lock.pin_gpu(host)?,
        GpuChange::Remove => lock.unpin_gpu(),
    }
    if lock.gpu != before {
        // Images hold the digest of the lock that they were built of.
        lock.built.clear();
    }
    Ok(())
}

/// Returns the image that `request` names, with all of it in the store: only the image itself says
/// which C library it has.
fn base(
    context: &Context,
    request: &Request,
    previous: Option<&Lockfile>,
) -> Result<Option<LockedBase>, Error> {
    let Some(reference) = &request.base else {
        return Ok(None);
    };
    let known = previous
        .filter(|lock| lock.request.platforms == request.platforms)
        .and_then(|lock| lock.base.as_ref())
        .filter(|base| base.reference == *reference);
    if let Some(base) = known {
        return Ok(Some(base.clone()));
    }
    let store = Store::open(&context.store)?;
    let base = locked_base(context, reference, &request.platforms, &store)?;
    let mut alone = Lockfile {
        request: request.clone(),
        base: Some(base),
        gpu: None,
        built: Vec::new(),
        interpreter: None,
        conda: LockedConda::default(),
        python: Vec::new(),
        debian: LockedDebian::default(),
    };
    for platform in &request.platforms {
        closure(context, &alone, *platform, &store)?;
    }
    let images = alone.base.iter_mut().flat_map(|base| &mut base.images);
    for image in images {
        image.glibc = image_library(context, &store, reference.repository.as_str(), image)?;
    }
    Ok(alone.base)
}
