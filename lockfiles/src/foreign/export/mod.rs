//! A lock as another tool's file.

mod conda;
mod conda_explicit;
mod conda_lock;
mod dockerfile;
mod dockerfile_conda;
mod environment_yml;
mod error;
mod places;
mod pylock;
mod requirements;
mod text;

use crate::base::{Context, Platform};
use crate::foreign::export::places::Places;
use crate::foreign::export::text::SourceUrl;
use crate::lock::{Artifact, Lockfile, Origin};

pub use error::ExportError;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// `pylock.toml` (PEP 751).
    Pylock,
    /// A requirements file with hashes.
    Requirements,
    /// An explicit specification of conda's.
    CondaExplicit,
    /// `conda-lock.yml` (CEP 37).
    CondaLock,
    /// `environment.yml`, with every version and build.
    EnvironmentYml,
    /// A Dockerfile that installs the same packages with `apt-get`, py-rattler and `pip`.
    Dockerfile,
}

/// Returns the bytes of a file that says what `lock` has for `platform`.
///
/// A lock names no host. Where the format needs one, it is the one that the registry has for
/// `context`: two users with different mirrors get files that differ in that, and in nothing else.
///
/// # Errors
/// Returns [`ExportError`] for a lock that the format has no words for, and when a registry that
/// must be asked where its files lie cannot be.
pub fn export(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    format: ExportFormat,
) -> Result<Vec<u8>, ExportError> {
    if !lock.request.platforms.contains(&platform) {
        return Err(ExportError::OtherPlatform {
            platform,
            known: lock.request.platforms.clone(),
        });
    }
    refuse_built(lock, platform, format)?;
    let places = Places::new(context);
    let text = match format {
        ExportFormat::Pylock => pylock::write(&places, lock, platform)?,
        ExportFormat::Requirements => requirements::write(&places, lock, platform)?,
        ExportFormat::CondaExplicit => conda_explicit::write(&places, lock, platform)?,
        ExportFormat::CondaLock => conda_lock::write(&places, lock, platform)?,
        ExportFormat::EnvironmentYml => environment_yml::write(&places, lock, platform)?,
        ExportFormat::Dockerfile => dockerfile::write(&places, lock, platform)?,
    };
    Ok(text.into_bytes())
}

/// Of a wheel that was built other tools get the source, where they can: by hash there is no commit, and
/// no compiler in an image.
fn refuse_built(
    lock: &Lockfile,
    platform: Platform,
    format: ExportFormat,
) -> Result<(), ExportError> {
    let is_commit = |source: &Artifact| match &source.origin {
        Origin::Url(url) => SourceUrl::of(url).commit.is_some(),
        _ => false,
    };
    // What follows its `#` is the hash there.
    let is_part = |source: &Artifact| match &source.origin {
        Origin::Url(url) => SourceUrl::of(url).subdirectory.is_some(),
        _ => false,
    };
    let refused = |source: &Artifact| match format {
        ExportFormat::CondaExplicit | ExportFormat::Pylock | ExportFormat::EnvironmentYml => None,
        ExportFormat::Requirements if is_commit(source) => Some("a requirements file with hashes"),
        ExportFormat::CondaLock if is_commit(source) || is_part(source) => {
            Some("a `conda-lock.yml`")
        }
        ExportFormat::Requirements | ExportFormat::CondaLock => None,
        ExportFormat::Dockerfile => Some("a Dockerfile"),
    };
    let wheels = lock.python.iter();
    for wheel in wheels.filter(|wheel| wheel.platforms.contains(&platform)) {
        if let Some(from) = wheel.built_from.as_deref()
            && let Some(format) = refused(&from.source)
        {
            return Err(ExportError::Built {
                file: wheel.artifact.file.clone(),
                source_file: from.source.file.clone(),
                format,
            });
        }
    }
    Ok(())
}
