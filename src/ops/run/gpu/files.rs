//! The digests of the files that a step gets of the driver's.

use std::path::Path;

use envbox_lockfiles::base::Context;

use crate::ops::run::gpu::{GpuError, Granted};
use crate::snapshot::Digests;
use crate::store::Store;

/// Names the notes on files of drivers, as projects name theirs.
const DRIVER: &str = "/gpu-driver";

/// Notes what each file of the driver's is. One that did not change since it was read is not read
/// again: they are some hundred megabytes.
pub(super) fn noted(
    context: &Context,
    store: &Store,
    mut granted: Granted,
) -> Result<Granted, GpuError> {
    let digests = Digests::load(store, Path::new(DRIVER), context.now);
    for file in &granted.edits.files {
        let regular = std::fs::metadata(&file.source).is_ok_and(|it| it.is_file());
        // What the kernel makes up as it is read has no content of its own.
        if regular && !file.target.starts_with("/sys") && !file.target.starts_with("/proc") {
            let (digest, _) = digests.of(&file.source)?;
            let name = file.target.display().to_string();
            granted.noted.files.insert(name, digest);
        }
    }
    digests.save()?;
    Ok(granted)
}
