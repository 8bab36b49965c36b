//! envbox in the image: whether it runs there.

use std::path::Path;

use envbox_lockfiles::base::Platform;
use envbox_sandbox::{Bind, Exit, Policy};

use crate::image::ImageError;
use crate::ops::Error;
use crate::rootfs::{Rootfs, said_by};

/// Where the program is while it is tried.
const PLACE: &str = "/tmp/envbox";

/// Tries the program in the image's file system: it may want a newer C library than that has.
pub(super) fn runs_inside(
    program: &Path,
    rootfs: &Rootfs,
    platform: Platform,
) -> Result<(), Error> {
    let failed = |reason: String| {
        Error::from(ImageError::Supervisor {
            program: program.to_path_buf(),
            reason,
        })
    };
    if platform != Platform::host() {
        return Err(failed(format!("it is not for {platform}")));
    }
    let policy = Policy {
        rootfs: rootfs.path(),
        binds: vec![Bind {
            source: program.to_path_buf(),
            target: PLACE.into(),
            writable: false,
        }],
        ..Policy::default()
    };
    match said_by(policy, &[PLACE, "--version"]) {
        Ok((Exit::Code(0), _)) => Ok(()),
        Ok((_, said)) => Err(failed(said)),
        Err(error) => Err(failed(error.to_string())),
    }
}
