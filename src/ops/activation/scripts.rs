//! The files by which packages take part in activation.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use envbox_lockfiles::base::FsError;

use crate::ops::Error;
use crate::ops::activation::ActivationError;
use crate::rootfs::{Ecosystem, PackageTree};
use crate::store::EntryKind;

/// Where variables are, as JSON.
const VARIABLES: &str = "opt/env/etc/conda/env_vars.d/";

/// Where scripts are.
const SCRIPTS: &str = "opt/env/etc/conda/activate.d/";

/// A longer file is none that sets variables.
const LONGEST: u64 = 1 << 20;

/// By this value a file takes a variable away.
const UNSET: &str = "***unset***";

/// A script that is to be read by a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// Its path inside.
    pub(super) path: String,
    pub(super) text: String,
    /// Whose it is.
    pub(super) package: String,
}

/// All of an environment.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// What is set before scripts run.
    pub(super) variables: BTreeMap<String, String>,
    /// In the order in which they run: by name.
    pub(super) scripts: Vec<Script>,
}

impl Scripts {
    /// Reads those of the conda packages among `trees`.
    pub(super) fn read(trees: &[PackageTree]) -> Result<Self, Error> {
        let mut variables = BTreeMap::new();
        let mut scripts = BTreeMap::new();
        for tree in trees
            .iter()
            .filter(|tree| tree.ecosystem == Ecosystem::Conda)
        {
            for (path, entry) in &tree.manifest.entries {
                let of = |directory: &str, end: &str| {
                    let name = path.strip_prefix(directory.as_bytes());
                    name.is_some_and(|name| name.ends_with(end.as_bytes()) && !name.contains(&b'/'))
                };
                let (data, script) = (of(VARIABLES, ".json"), of(SCRIPTS, ".sh"));
                if !data && !script {
                    continue;
                }
                let shown = format!("/{}", String::from_utf8_lossy(path));
                let unusable = |reason| ActivationError::Unusable {
                    path: shown.clone(),
                    package: tree.name.clone(),
                    reason,
                };
                match entry.kind {
                    EntryKind::File { size, .. } if size <= LONGEST => {}
                    EntryKind::File { .. } => return Err(unusable("it is too long").into()),
                    _ => return Err(unusable("it is no regular file").into()),
                }
                let host = tree.path.join(OsStr::from_bytes(path));
                let bytes = fs::read(&host).map_err(FsError::at("read", &host))?;
                let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8"))?;
                if data {
                    let set: BTreeMap<String, String> = serde_json::from_str(&text)
                        .map_err(|_| unusable("it is no JSON object of texts"))?;
                    variables.insert(path.clone(), set);
                } else {
                    // Of several packages that have it, the last is in the environment.
                    let script = Script {
                        path: shown,
                        text,
                        package: tree.name.clone(),
                    };
                    scripts.insert(path.clone(), script);
                }
            }
        }
        let variables = variables.into_values().flatten();
        Ok(Self {
            variables: variables.filter(|(_, value)| value != UNSET).collect(),
            scripts: scripts.into_values().collect(),
        })
    }
}
