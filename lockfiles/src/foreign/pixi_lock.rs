//! `pixi.lock`, versions 1 to 7.

use std::collections::BTreeSet;
use std::path::Path;

use rattler_conda_types::PackageRecord;
use rattler_lock::{
    CondaPackageData, Environment, LockFile, LockedPackage, ParseCondaLockError, PypiPackageData,
};

use crate::base::Platform;
use crate::foreign::conda_file::{CondaFile, Distribution, name_of};
use crate::foreign::reading::Reading;
use crate::foreign::{Choice, ForeignError, ForeignLock, Format, LeftOutReason};
use crate::resolve::CondaPin;

/// The environment of who names none.
const DEFAULT: &str = "default";

/// Reads the text of the `pixi.lock` at `file`.
pub(super) fn read(text: &str, file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let format = Format::PixiLock;
    let reading = Reading { file, format };
    let lock = LockFile::from_str_with_base_directory(text, file.parent());
    let lock = lock.map_err(|error| match error {
        ParseCondaLockError::IncompatibleVersion {
            lock_file_version, ..
        } => reading.version(&lock_file_version.to_string(), "versions 1 to 7"),
        error => reading.syntax(error),
    })?;
    let chosen = choice.environment.as_deref().unwrap_or(DEFAULT);
    // rattler has them in the order of a hash.
    let names: BTreeSet<_> = lock
        .environments()
        .map(|(name, _)| name.to_owned())
        .collect();
    let environment = lock
        .environment(chosen)
        .ok_or_else(|| reading.unknown("environment", chosen, names.iter().cloned()))?;
    let channels = environment
        .channels()
        .iter()
        .map(|channel| channel.url.clone());
    let mut found = CondaFile::new(channels.collect());
    for name in names.iter().filter(|name| *name != chosen) {
        found.leave(format!("environment {name}"), LeftOutReason::NotChosen);
    }
    reading.environment(environment, &mut found)?;
    Ok(found.finish(format))
}

impl Reading<'_> {
    fn environment(
        self,
        environment: Environment<'_>,
        found: &mut CondaFile,
    ) -> Result<(), ForeignError> {
        let mut platforms: Vec<_> = environment.platforms().collect();
        platforms.sort_by_key(|platform| platform.subdir().as_str());
        for subdir in platforms {
            let Some(platform) = found.platform(subdir.subdir().as_str()) else {
                continue;
            };
            for package in environment.packages(subdir).into_iter().flatten() {
                match package {
                    LockedPackage::Conda(package) => self.conda(package, platform, found)?,
                    LockedPackage::Pypi(package) => self.pypi(package, platform, found)?,
                }
            }
        }
        Ok(())
    }

    fn conda(
        self,
        package: &CondaPackageData,
        platform: Platform,
        found: &mut CondaFile,
    ) -> Result<(), ForeignError> {
        found
            .needed
            .extend(package.depends().iter().map(|spec| name_of(spec)));
        let name = package.name().as_normalized();
        let Some(binary) = package.as_binary() else {
            found.leave(name.to_owned(), LeftOutReason::Directory);
            return Ok(());
        };
        let record = &binary.package_record;
        let url = binary.location.as_str();
        let (version, build) = (record.version.as_str(), record.build.as_str());
        let pin = self.conda_pin(name, &version, Some(build), platform, url)?;
        if record.sha256.is_none() {
            found.leave(format!("digest of {name}"), LeftOutReason::OtherDigest);
        }
        found.pins.conda.push(with_identity(pin, record));
        Ok(())
    }

    fn pypi(
        self,
        package: &PypiPackageData,
        platform: Platform,
        found: &mut CondaFile,
    ) -> Result<(), ForeignError> {
        let required = package.requires_dist().iter();
        found
            .needed
            .extend(required.map(|requirement| requirement.name.to_string()));
        let wheel = package.as_wheel();
        let hash = wheel.and_then(|wheel| wheel.hash.as_ref()?.sha256());
        let hash = hash.map(|hash| crate::base::Digest::from_bytes((*hash).into()).hex());
        let version = package.version().map(ToString::to_string);
        let place = package.location().inner();
        found.distribution(
            self,
            Distribution {
                name: package.name().as_ref(),
                version: version.as_deref().unwrap_or_default(),
                platform,
                place: place.as_str(),
                index: wheel.and_then(|wheel| Some(wheel.index_url.as_ref()?.as_str())),
                sha256: hash.as_deref(),
            },
        )
    }
}

fn with_identity(pin: CondaPin, record: &PackageRecord) -> CondaPin {
    let digest = |hash: rattler_digest::Sha256Hash| crate::base::Digest::from_bytes(hash.into());
    CondaPin {
        size: record.size,
        digest: record.sha256.map(digest),
        ..pin
    }
}
