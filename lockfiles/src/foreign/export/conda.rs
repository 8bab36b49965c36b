//! Conda packages for the formats that hold them.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::base::Platform;
use crate::foreign::export::ExportError;
use crate::foreign::export::places::Places;
use crate::lock::{LockedCondaPackage, Lockfile, Origin};
use crate::net::join;

/// A package and where it lies.
pub(super) struct Placed<'a> {
    pub(super) package: &'a LockedCondaPackage,
    pub(super) url: Url,
}

/// Returns the packages of a platform, in the order in which they can be installed.
///
/// # Errors
/// Returns [`ExportError::Nothing`] when there are none.
pub(super) fn placed<'a>(
    places: &Places<'_>,
    lock: &'a Lockfile,
    platform: Platform,
    format: &'static str,
) -> Result<Vec<Placed<'a>>, ExportError> {
    let packages = lock.conda.packages.iter();
    let packages: Vec<_> = packages
        .filter(|package| package.platforms.contains(&platform))
        .collect();
    if packages.is_empty() {
        let what = "conda packages";
        return Err(ExportError::Nothing { what, format });
    }
    let ordered = ordered(&packages);
    let placed = ordered.into_iter().map(|package| {
        let artifact = &package.artifact;
        let url = match &artifact.origin {
            Origin::Built => unreachable!("only wheels are built"),
            Origin::Registry(channel) => join(&places.channel(channel)?, &artifact.file),
            Origin::Url(url) => Url::parse(url).map_err(|_| ExportError::NoWords {
                what: format!("a package at `{url}`"),
                format,
            })?,
        };
        Ok(Placed { package, url })
    });
    placed.collect()
}

/// Returns what each package depends on, by name, sorted.
pub(super) fn dependencies<'a>(
    packages: &[&'a LockedCondaPackage],
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut dependencies = BTreeMap::<_, BTreeSet<_>>::new();
    for package in packages {
        for by in &package.required_by {
            let needs = dependencies.entry(by.as_str()).or_default();
            needs.insert(package.name.as_str());
        }
    }
    dependencies
}

/// Sorts so that a package comes after those that it depends on, as far as there are no circles.
fn ordered<'a>(packages: &[&'a LockedCondaPackage]) -> Vec<&'a LockedCondaPackage> {
    let dependencies = dependencies(packages);
    let by_name: BTreeMap<&str, _> = packages
        .iter()
        .map(|package| (package.name.as_str(), *package))
        .collect();
    let mut seen = BTreeSet::new();
    let mut ordered = Vec::new();
    for first in by_name.keys() {
        // Names with a mark that says whether what they depend on was looked at.
        let mut open = vec![(*first, false)];
        while let Some((name, is_done)) = open.pop() {
            if is_done {
                ordered.extend(by_name.get(name));
            } else if seen.insert(name) {
                open.push((name, true));
                let needs = dependencies.get(name).into_iter().flatten().rev();
                open.extend(needs.map(|need| (*need, false)));
            }
        }
    }
    ordered
}

/// Returns the channels that `lock` names, each with the name that others know it by.
pub(super) fn channels(places: &Places<'_>, lock: &Lockfile) -> Result<Vec<String>, ExportError> {
    let channels = lock.request.conda.iter().flat_map(|conda| &conda.channels);
    let channels = channels.map(|channel| Ok(places.channel(channel)?.to_string()));
    channels.collect()
}
