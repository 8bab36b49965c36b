//! What packages are chosen for, as a base tells it.

use crate::base::Platform;
use crate::lock::{LockedBase, LockedDebian, LockedWheel};
use crate::resolve::ResolveError;

/// Returns the C library's version in the base of `platform`.
pub(super) fn glibc(
    base: Option<&LockedBase>,
    debian: &LockedDebian,
    platform: Platform,
) -> Result<(u16, u16), ResolveError> {
    if let Some(base) = base {
        let found = base.image(platform).and_then(|image| image.glibc);
        return found.ok_or_else(|| ResolveError::ImageLibrary {
            image: base.reference.to_string(),
            platform,
        });
    }
    let package = debian
        .packages
        .iter()
        .find(|package| package.name.as_str() == "libc6" && package.platforms.contains(&platform));
    let found = package.map_or("", |package| &package.version);
    let invalid = || ResolveError::NoLibrary {
        found: found.to_owned(),
    };
    let (major, rest) = found.split_once('.').ok_or_else(invalid)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let number = |digits: &str| digits.parse().map_err(|_| invalid());
    Ok((number(major)?, number(&rest[..end])?))
}

/// Makes one wheel of those that several platforms share.
pub(super) fn merged(wheels: Vec<LockedWheel>) -> Vec<LockedWheel> {
    let mut merged = Vec::<LockedWheel>::new();
    for wheel in wheels {
        let same = merged
            .iter_mut()
            .find(|known| known.name == wheel.name && known.artifact == wheel.artifact);
        match same {
            None => merged.push(wheel),
            Some(known) => {
                known.platforms.extend(wheel.platforms);
                known.platforms.sort();
                known.required_by.extend(wheel.required_by);
                known.required_by.sort();
                known.required_by.dedup();
            }
        }
    }
    merged.sort_by(|a, b| {
        let key = |wheel: &LockedWheel| {
            (
                wheel.name.clone(),
                wheel.version.clone(),
                wheel.artifact.file.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    merged
}
