//! podman with a place of its own.

use std::fs;
use std::path::{Path, PathBuf};

/// A host without the right to raise limits refuses podman's own.
const LIMITS: &str =
    "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

/// Writes the configuration that `CONTAINERS_CONF` names, and returns its path.
pub fn limits(place: &Path) -> PathBuf {
    fs::create_dir_all(place).unwrap();
    let file = place.join("containers.conf");
    fs::write(&file, LIMITS).unwrap();
    file
}

/// Returns the options with which podman keeps to a directory of its own, and does without what a
/// machine for tests has not.
pub fn podman_options(place: &Path) -> Vec<String> {
    let mut options = Vec::new();
    for (option, name) in [
        ("--root", "root"),
        ("--runroot", "run"),
        ("--tmpdir", "tmp"),
    ] {
        options.extend([option.to_owned(), place.join(name).display().to_string()]);
    }
    let rest =
        "--storage-driver overlay --cgroup-manager cgroupfs --events-backend file --runtime runc";
    options.extend(rest.split(' ').map(str::to_owned));
    options
}
