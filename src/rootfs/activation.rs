//! What activating a prefix of conda's sets.
//!
//! A step finds these variables set; no shell and no script is needed for it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use envbox_lockfiles::base::FsError;
use envbox_lockfiles::lock::CONDA_PREFIX;
use serde::Deserialize;

/// What only a prefix has.
pub(super) const HISTORY: &str = "opt/env/conda-meta/history";

/// Where conda keeps variables of a prefix, and envbox what the packages' scripts set.
pub(super) const STATE: &str = "opt/env/conda-meta/state";

#[derive(Deserialize)]
struct StateWire {
    env_vars: BTreeMap<String, String>,
}

/// Returns the variables that steps get in the root filesystem at `root`: none when it has no conda
/// packages.
///
/// # Errors
/// Returns [`FsError`] when a file of it cannot be read.
pub fn activation(root: &Path) -> Result<BTreeMap<String, String>, FsError> {
    if fs::symlink_metadata(root.join(HISTORY)).is_err() {
        return Ok(BTreeMap::new());
    }
    let mut variables =
        BTreeMap::from(CONDA_PREFIX.map(|(name, value)| (name.into(), value.into())));
    let path = root.join(STATE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(variables),
        other => other.map_err(FsError::at("read", &path))?,
    };
    let state: StateWire = serde_json::from_slice(&text)
        .map_err(io::Error::from)
        .map_err(FsError::at("read", &path))?;
    variables.extend(state.env_vars);
    Ok(variables)
}
