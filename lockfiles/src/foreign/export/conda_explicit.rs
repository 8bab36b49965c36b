//! An explicit specification, as `conda list --explicit` writes it and `conda create --file` reads
//! it: URLs in the order of installation.

use std::fmt::Write as _;

use crate::base::Platform;
use crate::foreign::export::ExportError;
use crate::foreign::export::conda::placed;
use crate::foreign::export::places::Places;
use crate::foreign::export::text::{comment, wheels};
use crate::lock::Lockfile;

/// Returns the text.
pub(super) fn write(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let packages = placed(places, lock, platform, "an explicit specification")?;
    let mut text = comment(lock, platform, "conda-explicit");
    let others = wheels(lock, platform).len();
    if others > 0 {
        let _ = writeln!(
            text,
            "# {others} Python packages are not in it: `envbox export requirements` has them."
        );
    }
    let _ = writeln!(text, "# platform: {}\n@EXPLICIT", platform.conda_subdir());
    for placed in packages {
        let digest = placed.package.artifact.digest.hex();
        let _ = writeln!(text, "{}#sha256:{digest}", placed.url);
    }
    Ok(text)
}
