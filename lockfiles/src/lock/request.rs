//! What a lock answers.

use std::collections::{BTreeMap, BTreeSet};

use crate::lock::schema::{CondaRequest, GroupRequest, Request};
use crate::manifest::{Conda, Manifest, NamedUrl};

/// The virtual package that tells what the processor can do (CEP 30).
const ARCHSPEC: &str = "__archspec";

/// The virtual package that tells which CUDA a machine has.
const CUDA: &str = "__cuda";

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
            conda: manifest
                .conda
                .as_ref()
                .map(|conda| CondaRequest::of(manifest, conda)),
            gpu: manifest.gpu.clone(),
            groups: manifest
                .groups
                .iter()
                .map(|(name, group)| (name.clone(), GroupRequest::of(group)))
                .collect(),
        }
    }
}

impl CondaRequest {
    fn of(manifest: &Manifest, conda: &Conda) -> Self {
        let mut virtual_packages: BTreeMap<_, _> = conda
            .virtual_packages
            .iter()
            .map(|(name, version)| (name.as_str(), version.clone()))
            .collect();
        // Which builds fit depends on it, so a change of the baseline is one of the request.
        virtual_packages
            .entry(ARCHSPEC)
            .or_insert_with(|| manifest.sandbox.cpu_baseline.archspec().to_owned());
        // So does the CUDA, which is never that of the host.
        if let Some(cuda) = manifest.gpu.as_ref().and_then(|gpu| gpu.cuda.as_ref()) {
            virtual_packages
                .entry(CUDA)
                .or_insert_with(|| cuda.to_string());
        }
        let python_names = conda.python_names.iter().map(|(package, names)| {
            let names: Vec<_> = sorted(names).iter().map(ToString::to_string).collect();
            format!("{package}={}", names.join(","))
        });
        Self {
            channels: conda.channels.iter().map(|c| c.name.clone()).collect(),
            channel_priority: conda.channel_priority,
            dependencies: sorted(&conda.dependencies),
            constraints: sorted(&conda.constraints),
            exclude_newer: conda.exclude_newer.or(manifest.python.exclude_newer),
            virtual_packages: virtual_packages
                .iter()
                .map(|(name, version)| format!("{name}={version}"))
                .collect(),
            python_names: sorted(&python_names.collect::<Vec<_>>()),
            link_scripts: sorted(&conda.link_scripts),
            base: conda.base,
        }
    }
}

pub(super) fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    items
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
