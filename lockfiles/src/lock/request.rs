//! What a lock answers.

use std::collections::BTreeSet;

use crate::lock::schema::Request;
use crate::manifest::{Manifest, NamedUrl};

impl Request {
    /// Returns the part of `manifest` that a resolution depends on.
    pub fn of(manifest: &Manifest) -> Self {
        let python = manifest.environment.python.as_ref();
        let names = |urls: &[NamedUrl]| urls.iter().map(|url| url.name.clone()).collect();
        Self {
            name: manifest.environment.name.clone(),
            platforms: sorted(&manifest.environment.platforms),
            python: python.map(|python| python.version.to_string()),
            python_from: python.and_then(|python| python.from),
            requirements: sorted(&manifest.python.requirements),
            constraints: sorted(&manifest.python.constraints),
            overrides: sorted(&manifest.python.overrides),
            exclude_newer: manifest.python.exclude_newer,
            prerelease: manifest.python.prerelease,
            extra_indexes: names(&manifest.python.extra_indexes),
            find_links: names(&manifest.python.find_links),
            no_build: manifest.python.no_build,
            suite: manifest.debian.suite.clone(),
            snapshot: manifest.debian.snapshot.clone(),
            security: manifest.debian.security,
            packages: sorted(&manifest.debian.packages),
            base: manifest.base.as_ref().map(|base| base.reference.clone()),
        }
    }
}

fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    items
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
