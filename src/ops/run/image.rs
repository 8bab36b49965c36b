//! A step in an image of a registry: neither a manifest nor a lock is needed.

use std::path::Path;

use envbox_lockfiles::base::{Context, Digest, ImageReference, Platform, Repository};
use envbox_lockfiles::manifest::{Manifest, SandboxPolicy};

use crate::attest::PublicKey;
use crate::image::{ImageConfig, LOCK_LABEL, POLICY_LABEL, locked};
use crate::ops::inside::InsidePolicy;
use crate::ops::run::verb::documented;
use crate::ops::run::{GpuNeeds, Prepared, RunOptions, RunReport, execute};
use crate::ops::{Error, pull};
use crate::registry::ImageName;
use crate::rootfs::image;
use crate::store::Store;

/// What messages call the registry of an image that no lock names.
const REGISTRY: &str = "images";

/// Runs a command in the image that `reference` names by its digest. The policy is that of the
/// manifest in `project`, if there is one, and else the default.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran and failed is a report.
pub fn run_image(
    context: &Context,
    reference: &ImageName,
    key: Option<&PublicKey>,
    project: &Path,
    options: &RunOptions,
) -> Result<RunReport, Error> {
    documented(context, options, || {
        let digest = reference.digest().ok_or_else(|| Error::NoDigest {
            reference: Box::new(reference.clone()),
        })?;
        let store = Store::open(&context.store)?;
        let platform = Platform::host();
        let pulled = pull::verified(context, reference, platform, key, &store)?;
        let config = pulled.config()?;
        let named = ImageReference {
            registry: REGISTRY.parse().expect("a word is a name"),
            repository: named_repository(reference),
            digest,
        };
        let manifest = pulled.descriptor.digest;
        let image_of = locked(&named, platform, manifest, &pulled.manifest, &config)?;
        let rootfs = image(context, &store, reference.repository(), &image_of)?;
        let prepared = Prepared {
            sandbox: &policy(project, &config)?,
            lock: lock_of(&config).unwrap_or(manifest),
            rootfs: &rootfs.path(),
            environment: reference.repository(),
            manifest: None,
            lockfile: None,
            groups: &[],
            data: &[],
            gpu: &GpuNeeds::default(),
        };
        Ok(execute(context, &prepared, project, options)?)
    })
}

/// What the project says counts, and else what the image says.
fn policy(project: &Path, config: &ImageConfig) -> Result<SandboxPolicy, Error> {
    match Manifest::from_project(project) {
        Ok((manifest, _)) => Ok(manifest.sandbox),
        Err(error) if error.is_missing() => {
            let labels = config.config.labels.as_ref();
            match labels.and_then(|labels| labels.get(POLICY_LABEL)) {
                Some(text) => {
                    Ok(InsidePolicy::parse(text.as_bytes(), Path::new(POLICY_LABEL))?.sandbox)
                }
                None => Ok(InsidePolicy::without_manifest().sandbox),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// An image of envbox says which lock it was made of.
fn lock_of(config: &ImageConfig) -> Option<Digest> {
    config.config.labels.as_ref()?.get(LOCK_LABEL)?.parse().ok()
}

/// What registries take for a repository, locks do too.
fn named_repository(reference: &ImageName) -> Repository {
    let repository = reference.repository().parse();
    repository.expect("the reference is valid, and so its parts")
}
