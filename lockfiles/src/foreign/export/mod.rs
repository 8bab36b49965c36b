//! A lock as another tool's file.

mod conda;
mod conda_explicit;
mod conda_lock;
mod dockerfile;
mod environment_yml;
mod error;
mod places;
mod pylock;
mod requirements;
mod text;

use crate::base::{Context, Platform};
use crate::foreign::export::places::Places;
use crate::lock::Lockfile;

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
    /// A Dockerfile that installs the same packages with `apt-get` and `pip`.
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
    if format != ExportFormat::CondaExplicit {
        refuse_built(lock, platform)?;
    }
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

/// No other tool would find a wheel that no registry has.
fn refuse_built(lock: &Lockfile, platform: Platform) -> Result<(), ExportError> {
    let mut wheels = lock.python.iter();
    let built = wheels.find_map(|wheel| match &wheel.built_from {
        Some(from) if wheel.platforms.contains(&platform) => Some((wheel, from)),
        _ => None,
    });
    match built {
        None => Ok(()),
        Some((wheel, from)) => Err(ExportError::Built {
            file: wheel.artifact.file.clone(),
            source_file: from.source.file.clone(),
        }),
    }
}
