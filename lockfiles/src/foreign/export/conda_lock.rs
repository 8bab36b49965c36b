//! `conda-lock.yml`, version 1: <https://github.com/conda/ceps/blob/main/cep-0037.md>.

use std::collections::BTreeMap;

use rattler_conda_lock::{Channel, Hashes, LockFile, Manager, Metadata, Package};

use crate::base::{Digest, Platform};
use crate::foreign::export::ExportError;
use crate::foreign::export::conda::{channels, dependencies, placed};
use crate::foreign::export::places::Places;
use crate::foreign::export::text::{comment, installed, wheels};
use crate::lock::{LockedWheel, Lockfile};

/// Returns the text.
pub(super) fn write(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let format = "a `conda-lock.yml`";
    let packages = placed(places, lock, platform, format)?;
    let all: Vec<_> = packages.iter().map(|placed| placed.package).collect();
    let needs = dependencies(&all);
    let subdir = platform.conda_subdir();
    // The format does without, but conda-lock itself does not.
    let md5 = places.md5(lock, platform, &all)?;
    let mut locked: Vec<_> = packages
        .iter()
        .map(|placed| {
            let package = placed.package;
            let needs = needs.get(package.name.as_str()).into_iter().flatten();
            let mut entry = entry(
                (package.name.as_str(), &package.version, Manager::Conda),
                subdir,
                placed.url.to_string(),
                package.artifact.digest,
            );
            entry.build = Some(package.build.clone());
            entry.dependencies = any_version(needs.copied());
            entry.hash.md5 = md5.get(&package.artifact.digest).cloned();
            entry
        })
        .collect();
    locked.extend(distributions(places, lock, platform)?);
    let channels = channels(places, lock)?.into_iter().map(|url| Channel {
        url,
        used_env_vars: Vec::new(),
    });
    let mut file = LockFile {
        metadata: Metadata {
            channels: channels.collect(),
            platforms: vec![subdir.to_owned()],
            sources: vec!["envbox.toml".to_owned()],
            ..Metadata::default()
        },
        package: locked,
    };
    file.metadata.content_hash = file.compute_content_hashes();
    let yaml = file.to_yaml().map_err(|error| ExportError::NoWords {
        what: error.to_string(),
        format,
    })?;
    Ok(comment(lock, platform, "conda-lock") + &yaml)
}

fn distributions(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Vec<Package>, ExportError> {
    let wheels = wheels(lock, platform);
    let urls = places.wheels(&wheels)?;
    let needs = |name: &str| {
        let needed = wheels
            .iter()
            .filter(|wheel| wheel.required_by.iter().any(|by| by == name));
        any_version(needed.map(|wheel| wheel.name.as_str()))
    };
    let entries = wheels
        .iter()
        .zip(urls)
        .map(|(wheel, url): (&&LockedWheel, String)| Package {
            dependencies: needs(wheel.name.as_str()),
            ..entry(
                (wheel.name.as_str(), &wheel.version, Manager::Pip),
                platform.conda_subdir(),
                url,
                installed(wheel).digest,
            )
        });
    Ok(entries.collect())
}

/// The lock says who depends on whom; which versions would do as well, only the packages say.
fn any_version<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    names
        .map(|name| (name.to_owned(), "*".to_owned()))
        .collect()
}

fn entry(
    (name, version, manager): (&str, &str, Manager),
    subdir: &str,
    url: String,
    digest: Digest,
) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        manager,
        platform: subdir.to_owned(),
        dependencies: BTreeMap::new(),
        url,
        hash: Hashes {
            md5: None,
            sha256: Some(digest.hex()),
        },
        source: None,
        build: None,
        category: "main".to_owned(),
        optional: false,
    }
}
