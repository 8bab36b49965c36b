//! `envbox export`: the environment for other programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, FsError, Platform};
use envbox_lockfiles::foreign::{self, ExportFormat};
use envbox_lockfiles::lock::Lockfile;
use envbox_lockfiles::manifest::StepNetwork;
use serde::Serialize;

use crate::image::{BundleGpus, BundleSettings, ImageSettings, write_bundle};
use crate::ops::build::settings;
use crate::ops::run::{
    GpuNeeds, GpuOptions, HOME, Locking, RunError, environment_of, grant, up_to_date,
};
use crate::ops::sbom::platform_of;
use crate::ops::{Error, Project};

/// What was written.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BundleReport {
    /// The lockfile's digest.
    pub lock: Digest,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Whether it is for root; else it is for the user who made it.
    pub root: bool,
}

/// Writes an OCI runtime bundle that runs `command`, by default the interpreter, into `directory`.
/// One with GPUs names the files of the driver that runs now.
///
/// # Errors
/// Returns [`Error`]; `directory` must then be removed if it is there.
pub fn bundle(
    context: &Context,
    project: &Project,
    locking: Locking,
    directory: &Path,
    command: &[OsString],
    gpu: Option<&GpuOptions>,
) -> Result<BundleReport, Error> {
    let context = &project.context(context);
    let lock = up_to_date(context, project, locking)?;
    let rootfs = environment_of(context, project, &lock)?;
    let policy = &project.manifest().sandbox;
    let mut image = settings(project, &lock, &rootfs)?;
    if !command.is_empty() {
        let text = |argument: &OsString| argument.to_string_lossy().into_owned();
        image.command = command.iter().map(text).collect();
    }
    let gpus = gpu
        .map(|gpu| gpus(context, &lock, &image, gpu))
        .transpose()?;
    let user = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let bundle = BundleSettings {
        image,
        hostname: policy.hostname.clone(),
        home: HOME.to_owned(),
        user,
        host_network: policy.network == StepNetwork::Host,
        gpus,
    };
    write_bundle(directory, &rootfs, &bundle)?;
    let absolute = std::path::absolute(directory).map_err(FsError::at("open", directory))?;
    Ok(BundleReport {
        lock: lock.digest(),
        bundle: absolute,
        root: user.0 == 0,
    })
}

/// Decides about the GPUs as a run does.
fn gpus(
    context: &Context,
    lock: &Lockfile,
    image: &ImageSettings,
    options: &GpuOptions,
) -> Result<BundleGpus, Error> {
    let needs = GpuNeeds::of(lock).map_err(RunError::from)?;
    let granted = grant(context, &needs, options).map_err(RunError::from)?;
    let environment = image.environment.iter();
    let mut environment: Vec<_> = environment
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    granted.add_to(&mut environment);
    Ok(BundleGpus {
        edits: granted.edits,
        environment,
    })
}

/// Returns the project's lock as another tool's file, for `platform`, by default this host's, or
/// else the first of the lock.
///
/// # Errors
/// Returns [`Error::Lock`] or [`Error::Stale`] when there is no lock that answers the manifest, and
/// [`Error::Export`] when it cannot be written in that format.
pub fn document(
    context: &Context,
    project: &Project,
    format: ExportFormat,
    platform: Option<Platform>,
) -> Result<Vec<u8>, Error> {
    let context = &project.context(context);
    let lock = project.lock()?;
    let platform = platform_of(&lock, platform);
    Ok(foreign::export(context, &lock, platform, format)?)
}
