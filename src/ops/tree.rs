//! `envbox tree`: what the lockfile has, and who asks for it.

use envbox_lockfiles::base::{Digest, EnvironmentName, Platform};
use envbox_lockfiles::lock::{Asker, Ecosystem, Graph, Lockfile, Node};
use serde::Serialize;

use crate::ops::sbom::platform_of;
use crate::ops::{Error, Project};

/// What a lockfile has for a platform.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TreeReport {
    /// The environment's name.
    pub name: EnvironmentName,
    /// The lockfile's digest.
    pub lock: Digest,
    /// For which platform.
    pub platform: Platform,
    /// The packages, sorted by ecosystem and name.
    pub packages: Vec<PackageReport>,
}

/// A package of a lockfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PackageReport {
    /// Names it among all: `python/numpy`, `debian/libc6`.
    pub id: String,
    /// Who packages it.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Its version; the digest of an image.
    pub version: String,
    /// The size of its files in bytes.
    pub size: u64,
    /// What asks for it without being a package.
    pub asked_by: Vec<Asker>,
    /// The ids of the packages that ask for it.
    pub required_by: Vec<String>,
    /// The ids of the packages that it asks for.
    pub requires: Vec<String>,
}

impl PackageReport {
    fn of(graph: &Graph<'_>, node: &Node<'_>) -> Self {
        let ids = |places: &[usize]| {
            let nodes = places.iter().map(|&place| &graph.nodes[place]);
            nodes.map(id).collect::<Vec<_>>()
        };
        Self {
            id: id(node),
            ecosystem: node.ecosystem,
            name: node.name.to_owned(),
            version: node.version.clone(),
            size: node.size(),
            asked_by: node.asked_by.iter().cloned().collect(),
            required_by: ids(&node.required_by),
            requires: ids(&node.requires),
        }
    }
}

/// Lists what the project's lockfile has for a platform; by default see
/// [`platform_of`](crate::ops::sbom::platform_of).
///
/// # Errors
/// Returns [`Error::Stale`] or [`Error::Lock`] when there is no lockfile that answers the manifest,
/// and [`Error::OtherPlatform`].
pub fn tree(project: &Project, platform: Option<Platform>) -> Result<TreeReport, Error> {
    let lock = project.whole_lock()?;
    let platform = locked_platform(&lock, platform)?;
    let graph = Graph::of(&lock, platform);
    let nodes = graph.nodes.iter();
    Ok(TreeReport {
        name: lock.request.name.clone(),
        lock: lock.digest(),
        platform,
        packages: nodes.map(|node| PackageReport::of(&graph, node)).collect(),
    })
}

/// Returns the platform to tell of.
///
/// # Errors
/// Returns [`Error::OtherPlatform`] when `lock` is not for the one asked for.
pub(super) fn locked_platform(lock: &Lockfile, asked: Option<Platform>) -> Result<Platform, Error> {
    let platform = platform_of(lock, asked);
    let locked = &lock.request.platforms;
    match locked.contains(&platform) {
        true => Ok(platform),
        false => Err(Error::OtherPlatform {
            platform,
            locked: locked.clone(),
        }),
    }
}

/// Names a package among those of all ecosystems.
pub(super) fn id(node: &Node<'_>) -> String {
    format!("{}/{}", node.ecosystem.word(), node.name)
}
