//! `envbox sbom`: the parts list of the lock.

use envbox_lockfiles::base::{Context, Platform};
use envbox_lockfiles::lock::Lockfile;

use crate::attest::{Licences, Sbom, SbomFormat, SbomOptions, sbom as list};
use crate::ops::closure::closure;
use crate::ops::{Error, Project};
use crate::rootfs::package_trees;
use crate::store::Store;

/// Where licences are taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LicenceSource {
    /// The packages, which are downloaded and unpacked when they are not there.
    #[default]
    Packages,
    /// Nowhere: the lock alone is read.
    Nowhere,
}

/// How `sbom` works.
#[derive(Debug, Clone, Copy, Default)]
pub struct SbomVerbOptions {
    /// How the list is written.
    pub format: SbomFormat,
    /// For which platform; by default see [`platform_of`].
    pub platform: Option<Platform>,
    /// Where licences are taken from.
    pub licences: LicenceSource,
}

/// Lists what the project's lock has for a platform.
///
/// # Errors
/// Returns [`Error::Stale`] when the lockfile does not answer the manifest, and what downloading,
/// unpacking or listing returns.
pub fn sbom(
    context: &Context,
    project: &Project,
    options: &SbomVerbOptions,
) -> Result<Sbom, Error> {
    let lock = project.lock()?;
    let platform = platform_of(&lock, options.platform);
    let licences = match options.licences {
        LicenceSource::Packages => licences(context, project, &lock, platform)?,
        LicenceSource::Nowhere => Licences::default(),
    };
    let listing = SbomOptions {
        format: options.format,
        platform,
        created: project.manifest().sandbox.epoch,
    };
    Ok(list(&lock, &licences, &listing)?)
}

/// Reads the licences of what `lock` has for `platform` from the packages.
///
/// # Errors
/// Returns what downloading or unpacking returns.
pub fn licences(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Licences, Error> {
    let context = &project.context(context);
    let store = Store::open(&context.store)?;
    let closure = closure(context, lock, platform, &store)?;
    store.pin(&project.lockfile())?;
    let packages = package_trees(context, &closure)?;
    let trees = packages
        .into_iter()
        .filter_map(|package| Some((package.artifact?, package.path)))
        .collect();
    Ok(Licences::read(lock, platform, &trees)?)
}

/// Returns the platform that was asked for; else this host's, if `lock` is for it, else the lock's
/// first.
pub fn platform_of(lock: &Lockfile, asked: Option<Platform>) -> Platform {
    let locked = &lock.request.platforms;
    asked.unwrap_or_else(|| match locked.contains(&Platform::host()) {
        true => Platform::host(),
        false => locked.first().copied().unwrap_or(Platform::host()),
    })
}
