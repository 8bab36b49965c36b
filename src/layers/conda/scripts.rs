//! Scripts that conda runs when it installs a package.
//!
//! One that runs before the files are there (`pre-link`) has nothing to work on here, where packages
//! are put together from finished trees; one that runs before they are removed (`pre-unlink`) is
//! never run, because nothing is ever removed.

use crate::layers::wheel::ENVIRONMENT;
use crate::store::TreeManifest;

/// A script that is run when a package is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkScript {
    /// Before its files are there.
    Pre,
    /// When they are.
    Post,
}

impl LinkScript {
    /// Returns where the script of the package `name` lies.
    pub fn path(self, name: &str) -> String {
        let kind = match self {
            Self::Pre => "pre-link",
            Self::Post => "post-link",
        };
        format!("{ENVIRONMENT}/bin/.{name}-{kind}.sh")
    }
}

/// Returns the scripts that the package `name` with this tree has.
pub fn link_scripts(name: &str, tree: &TreeManifest) -> Vec<LinkScript> {
    let has = |script: &LinkScript| tree.entries.contains_key(script.path(name).as_bytes());
    let all = [LinkScript::Pre, LinkScript::Post];
    all.into_iter().filter(has).collect()
}
