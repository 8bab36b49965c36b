//! Which Python an environment gets when its files name a range.

use uv_pep440::{Version, VersionSpecifiers};

use crate::manifest::schema::PythonVersion;

/// In order of preference: those that Debian has, then standalone ones. The order is part of what a
/// script's header means, so a new one goes to the end.
const PYTHONS: [PythonVersion; 6] = [
    python(11),
    python(13),
    python(12),
    python(10),
    python(14),
    python(9),
];

const fn python(minor: u8) -> PythonVersion {
    PythonVersion {
        major: 3,
        minor,
        patch: None,
    }
}

/// Returns the Pythons that `range` allows, in order of preference: of each the newest patch
/// release is looked at, as `>=3.11.4` is answered by some 3.11.
pub fn allowed_pythons(range: Option<&VersionSpecifiers>) -> Vec<PythonVersion> {
    let allows = |python: &PythonVersion| {
        let newest = Version::new([python.major.into(), python.minor.into(), 99]);
        range.is_none_or(|range| range.contains(&newest))
    };
    PYTHONS.into_iter().filter(allows).collect()
}
