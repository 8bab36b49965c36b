//! The signed state of Debian suites, as locks were made from it.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::RegistryName;
use envbox_lockfiles::lock::{LockedSuite, Lockfile, Origin};
use envbox_lockfiles::net::snapshot_path;
use envbox_lockfiles::resolve::debian::SuiteState;

use crate::mirror::directory::{REGISTRIES, below, from};
use crate::mirror::{Added, MirrorDirectory, MirrorError};

/// The registry that has every state.
const SNAPSHOT: &str = "debian-snapshot";

impl MirrorDirectory {
    /// Adds `state`, that of `suite` when `lock` was made; the registry shows the newest of those that
    /// are here. `asked` is the time as of which the manifest wants it,
    /// as paths spell it.
    ///
    /// # Errors
    /// As [`MirrorDirectory::add_lock`].
    pub fn add_suite(
        &self,
        lock: &Lockfile,
        suite: &LockedSuite,
        asked: Option<&str>,
        state: &SuiteState,
    ) -> Result<Added, MirrorError> {
        let mut added = Added::default();
        let root = below(SNAPSHOT, &snapshot_path(&suite.registry, suite.date))?;
        let dists = root.join("dists").join(&suite.name);
        for index in &state.indices {
            self.add_bytes(&index.bytes, &mut added)?;
            for path in [index.path.clone(), index.path_by_hash()] {
                self.place(&dists.join(path), index.digest, &mut added)?;
            }
        }
        let signed = self.add_bytes(&state.in_release, &mut added)?;
        self.place(&dists.join("InRelease"), signed, &mut added)?;
        self.link_packages(lock, &suite.registry, &root)?;
        let asked = asked.map(|time| format!("{}/{time}", suite.registry));
        if let Some(asked) = asked.filter(|asked| !root.ends_with(asked)) {
            let root = below(SNAPSHOT, &asked)?;
            let path = root.join("dists").join(&suite.name);
            self.link(&path, &from(&path).join(&dists))?;
            self.link_packages(lock, &suite.registry, &root)?;
        }
        let current = Path::new(REGISTRIES).join(suite.registry.as_str());
        let current = current.join("dists").join(&suite.name);
        let target = from(&current).join(&dists);
        // Times of one spelling are in the order of their texts.
        let old = std::fs::read_link(self.root.join(&current));
        if old.is_err() || old.is_ok_and(|old| old < target) {
            self.relink(&current, &target)?;
        }
        Ok(added)
    }

    /// Makes the packages of `registry` lie below `root` too.
    fn link_packages(
        &self,
        lock: &Lockfile,
        registry: &RegistryName,
        root: &Path,
    ) -> Result<(), MirrorError> {
        let origin = Origin::Registry(registry.clone());
        let packages = lock.debian.packages.iter();
        for package in packages.filter(|package| package.artifact.origin == origin) {
            let top = package.artifact.file.split('/').next().unwrap_or_default();
            let place = below(registry.as_str(), top)?;
            let path: PathBuf = root.join(top);
            self.link(&path, &from(&path).join(place))?;
        }
        Ok(())
    }
}
