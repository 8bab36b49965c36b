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

/// What becomes of damaged objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damaged {
    /// They stay, to be looked at.
    Keep,
    /// They are removed, and fetched or built again when they are needed.
    Discard,
}

/// Compares everything in the store with its digest.
///
/// # Errors
/// Returns [`Error::Store`] when the store cannot be read, or damage not be removed. Damage itself
/// is no error.
pub fn verify(context: &Context, damaged: Damaged) -> Result<VerifyReport, Error> {
    let store = Store::open(&context.store)?;
    let report = store.verify(context.jobs)?;
    if damaged == Damaged::Discard {
        store.discard(&report.damaged)?;
    }
    Ok(report)
}

/// Removes what no lockfile in use and no living process needs.
///
/// # Errors
/// Returns [`Error::Store`]; what was not removed then is whole.
pub fn collect_garbage(context: &Context, mode: GcMode) -> Result<GcReport, Error> {
    Ok(Store::open(&context.store)?.gc(mode)?)
}
