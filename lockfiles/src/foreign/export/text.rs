//! What several formats have in common.

use crate::base::Platform;
use crate::lock::{Artifact, LockedInterpreter, LockedWheel, Lockfile};

/// Returns the lines that say where a file comes from, and what it does not hold.
pub(super) fn comment(lock: &Lockfile, platform: Platform, format: &str) -> String {
    let python = lock.interpreter.as_ref();
    let python = python.map_or_else(String::new, |python| format!(", Python {}", python.version));
    let built = match format {
        // It has no wheels at all.
        "conda-explicit" => String::new(),
        _ => built_elsewhere(lock, platform),
    };
    format!(
        "# Made of the lockfile {} for {platform}{python} by `envbox export {format}`.\n{built}",
        lock.digest()
    )
}

/// Returns the lines that say which packages are built by whoever installs them, if there are some. What
/// their build backends need, and the wheel that comes out, no other format has.
fn built_elsewhere(lock: &Lockfile, platform: Platform) -> String {
    let wheels = wheels(lock, platform);
    let built = wheels.iter().filter(|wheel| wheel.built_from.is_some());
    let built: Vec<_> = built.map(|wheel| wheel.name.as_str()).collect();
    if built.is_empty() {
        return String::new();
    }
    format!(
        "# Sources, which whoever installs them builds, with other tools than are locked and to other\n\
         # wheels: {}.\n",
        built.join(", ")
    )
}

/// Returns what another tool installs: of a wheel that envbox built, its source.
pub(super) fn installed(wheel: &LockedWheel) -> &Artifact {
    let built = wheel.built_from.as_deref();
    built.map_or(&wheel.artifact, |from| &from.source)
}

/// What a URL of a source says.
pub(super) struct SourceUrl<'a> {
    /// Without what follows.
    pub(super) url: &'a str,
    /// Of a repository of Git's: which commit.
    pub(super) commit: Option<&'a str>,
    pub(super) subdirectory: Option<&'a str>,
}

impl<'a> SourceUrl<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let (url, subdirectory) = match text.split_once("#subdirectory=") {
            Some((url, directory)) => (url, Some(directory)),
            None => (text, None),
        };
        let commit = url
            .strip_prefix("git+")
            .and_then(|url| url.rsplit_once('@'));
        match commit {
            Some((url, commit)) => Self {
                url,
                commit: Some(commit),
                subdirectory,
            },
            None => Self {
                url,
                commit: None,
                subdirectory,
            },
        }
    }
}

/// Returns the wheels for a platform.
pub(super) fn wheels(lock: &Lockfile, platform: Platform) -> Vec<&LockedWheel> {
    let wheels = lock.python.iter();
    wheels
        .filter(|wheel| wheel.platforms.contains(&platform))
        .collect()
}

/// Returns `3.11` of `3.11.2`.
pub(super) fn minor(interpreter: &LockedInterpreter) -> &str {
    let version = interpreter.version.as_str();
    let mut dots = version.match_indices('.').map(|(index, _)| index);
    &version[..dots.nth(1).unwrap_or(version.len())]
}

/// Returns a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
