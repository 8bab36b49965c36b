//! `envbox store`: space, damage and garbage.

use envbox_lockfiles::base::Context;

use crate::ops::Error;
use crate::store::{GcMode, GcReport, Store, Usage, VerifyReport};

/// Measures the store.
///
/// # Errors
/// Returns [`Error::Store`].
pub fn usage(context: &Context) -> Result<Usage, Error> {
    Ok(Store::open(&context.store)?.usage()?)
}

/// Compares everything in the store with its digest.
///
/// # Errors
/// Returns [`Error::Store`] when the store cannot be read. Damage is no error.
pub fn verify(context: &Context) -> Result<VerifyReport, Error> {
    Ok(Store::open(&context.store)?.verify(context.jobs)?)
}

/// Removes what no lockfile in use and no living process needs.
///
/// # Errors
/// Returns [`Error::Store`]; what was not removed then is whole.
pub fn collect_garbage(context: &Context, mode: GcMode) -> Result<GcReport, Error> {
    Ok(Store::open(&context.store)?.gc(mode)?)
}
