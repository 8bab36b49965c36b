//! What the import hook inside told: which libraries were held, and by what.
//!
//! The hook (`rootfs/inside`) adds lines to a file that the step sees at one fixed path. The step
//! can write to it as well: what is in it is its word, and what is no line of the hook's is left
//! out.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use envbox_sandbox::Bind;
use serde::{Deserialize, Serialize};

/// Where the hook expects the file (`channel.py`).
pub(in crate::ops) const GUEST: &str = "/run/envbox/held";

/// What only a rootfs with Python has. A link, maybe to a path inside.
pub(in crate::ops) const PYTHON: &str = "opt/env/bin/python";

/// How much is read of it. An honest step tells a few kilobytes.
const LIMIT: u64 = 1 << 20;

/// One thing that was to hold in a library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The module that was imported.
    pub library: String,
    /// Its version, if it says.
    pub version: String,
    /// What was to hold: a variable, a call or an attribute.
    pub name: String,
    /// What it was to be.
    pub wanted: String,
    /// What the library says it is.
    pub found: String,
    /// What became of it.
    pub state: HeldState,
}

/// Whether something holds in a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldState {
    /// It was read back and is as wanted.
    Held,
    /// It was asked for, and the library does not say whether it took.
    Set,
    /// It was read back and is otherwise; the step went on.
    NotHeld,
    /// It could not be read back, or not be set.
    Unknown,
    /// It was read back and is otherwise; the import was refused.
    Failed,
    /// Nothing was to hold: a library for GPUs was loaded.
    Loaded,
}

/// Makes the file in a run's directory, if the rootfs has Python, and returns how the step sees it.
pub(super) fn channel(rootfs: &Path, directory: &Path) -> Result<Option<Bind>, FsError> {
    if fs::symlink_metadata(rootfs.join(PYTHON)).is_err() {
        return Ok(None);
    }
    let source = file(directory);
    File::create_new(&source).map_err(FsError::at("create", &source))?;
    Ok(Some(Bind {
        source,
        target: PathBuf::from(GUEST),
        writable: true,
    }))
}

/// Returns what was told, sorted and without repetition: several processes tell the same.
pub(super) fn told(directory: &Path) -> Result<Vec<Held>, FsError> {
    let path = file(directory);
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => drop(file?.take(LIMIT).read_to_end(&mut bytes)?),
        }
        Ok(bytes)
    };
    let bytes = read().map_err(FsError::at("read", &path))?;
    let lines = bytes.split(|&byte| byte == b'\n');
    let all: BTreeSet<Held> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    Ok(all.into_iter().collect())
}

fn file(directory: &Path) -> PathBuf {
    directory.join("held")
}
