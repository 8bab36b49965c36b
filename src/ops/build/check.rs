//! Building twice.

use envbox_lockfiles::base::Context;
use envbox_lockfiles::lock::Lockfile;

use crate::image::{Image, ImageError};
use crate::ops::build::{BuildOptions, build_all};
use crate::ops::{Error, Project};
use crate::store::Store;

/// Builds again in an empty store that has the downloads alone, with one thread, and compares.
pub(super) fn check(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
    store: &Store,
    options: &BuildOptions,
    images: &[Image],
) -> Result<(), Error> {
    let scratch = store.scratch()?;
    let mut second = context.clone();
    second.store = scratch.path().to_path_buf();
    second.jobs = 1;
    let copy = Store::open(&second.store)?;
    for artifact in lock.artifacts() {
        copy.adopt(store, artifact.digest)?;
    }
    let again = build_all(&second, project, lock, &copy, options)?;
    for (one, other) in images.iter().zip(&again) {
        let (first, second) = (one.descriptor().digest, other.descriptor().digest);
        if first == second {
            continue;
        }
        let layers = one.layers().iter().zip(other.layers());
        let layer = layers
            .filter(|(one, other)| one.descriptor != other.descriptor)
            .map(|(one, _)| one.packages.join(" "))
            .next();
        return Err(Error::Image(Box::new(ImageError::Differs {
            first,
            second,
            layer: layer.unwrap_or_else(|| "the config".to_owned()),
        })));
    }
    Ok(())
}
