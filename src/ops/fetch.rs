//! `envbox fetch`: download what the lockfile names, and nothing else.

use envbox_lockfiles::base::{Context, Digest, Platform};
use serde::Serialize;

use crate::ops::closure::closure;
use crate::ops::{Error, Project};
use crate::store::Store;

/// What `fetch` did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FetchReport {
    /// The lockfile's digest.
    pub lock: Digest,
    /// The platforms whose artifacts the store now has.
    pub platforms: Vec<Platform>,
    /// How many artifacts the lock names.
    pub artifacts: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Brings every artifact of the project's lockfile, for all its platforms, into the store.
///
/// # Errors
/// Returns [`Error::Stale`] when the lockfile does not answer the manifest, and what downloading
/// returns; what arrived whole stays in the store.
pub fn fetch(context: &Context, project: &Project) -> Result<FetchReport, Error> {
    let context = &project.context(context);
    let lock = project.whole_lock()?;
    let store = Store::open(&context.store)?;
    for platform in &lock.request.platforms {
        closure(context, &lock, *platform, &store)?;
    }
    store.pin(&project.lockfile())?;
    let sizes: Vec<u64> = lock.artifacts().map(|artifact| artifact.size).collect();
    Ok(FetchReport {
        lock: lock.digest(),
        platforms: lock.request.platforms.clone(),
        artifacts: sizes.len(),
        bytes: sizes.iter().sum(),
    })
}
