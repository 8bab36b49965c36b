//! A requirements file with hashes, as pip's `--require-hashes` wants it:
//! <https://pip.pypa.io/en/stable/topics/secure-installs/>.

use std::collections::BTreeSet;

use crate::base::Platform;
use crate::foreign::export::ExportError;
use crate::foreign::export::places::Places;
use crate::foreign::export::text::{comment, installed, wheels};
use crate::lock::{LockedWheel, Lockfile, Origin};

/// The registry that pip asks anyway.
const DEFAULT: &str = "pypi";

/// Returns the text.
pub(super) fn write(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let lines = lines(places, lock, platform)?;
    if lines.is_empty() {
        return Err(ExportError::Nothing {
            what: "Python packages",
            format: "a requirements file",
        });
    }
    let mut text = comment(lock, platform, "requirements");
    for line in lines {
        text += &line.replace(" --hash", " \\\n    --hash");
        text.push('\n');
    }
    Ok(text)
}

/// Returns the lines: first the options, then one requirement each with its hash.
pub(super) fn lines(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Vec<String>, ExportError> {
    let wheels = wheels(lock, platform);
    let mut lines = options(places, lock, &wheels)?;
    lines.extend(wheels.into_iter().map(requirement));
    Ok(lines)
}

/// Returns the options that say where `wheels` lie that are not where pip looks anyway.
pub(super) fn options(
    places: &Places<'_>,
    lock: &Lockfile,
    wheels: &[&LockedWheel],
) -> Result<Vec<String>, ExportError> {
    let registries: BTreeSet<_> = wheels
        .iter()
        .filter_map(|wheel| match &installed(wheel).origin {
            Origin::Registry(registry) if registry.as_str() != DEFAULT => Some(registry),
            _ => None,
        })
        .collect();
    let option = |registry| {
        let option = match lock.request.find_links.contains(registry) {
            true => "--find-links",
            false => "--extra-index-url",
        };
        Ok(format!("{option} {}", places.registry(registry)?))
    };
    registries.into_iter().map(option).collect()
}

fn requirement(wheel: &LockedWheel) -> String {
    let artifact = installed(wheel);
    let (name, digest) = (&wheel.name, artifact.digest);
    match &artifact.origin {
        Origin::Registry(_) | Origin::Built => format!("{name}=={} --hash={digest}", wheel.version),
        Origin::Url(url) => format!("{name} @ {url} --hash={digest}"),
    }
}
