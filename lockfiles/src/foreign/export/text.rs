//! What several formats have in common.

use crate::base::Platform;
use crate::lock::{LockedInterpreter, LockedWheel, Lockfile};

/// Returns the line that says where a file comes from.
pub(super) fn comment(lock: &Lockfile, platform: Platform, format: &str) -> String {
    let python = lock.interpreter.as_ref();
    let python = python.map_or_else(String::new, |python| format!(", Python {}", python.version));
    format!(
        "# Made of the lockfile {} for {platform}{python} by `envbox export {format}`.\n",
        lock.digest()
    )
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
