//! `envbox why`: the ways on which a package is asked for.

use envbox_lockfiles::base::{Digest, Platform, PythonName};
use envbox_lockfiles::lock::{Asker, Ecosystem, Graph, Node, Way};
use serde::Serialize;

use crate::ops::tree::{id, locked_platform};
use crate::ops::{Error, Project};

/// How alike a name must be to be taken for the one that was meant.
const ALIKE: f64 = 0.75;

/// Why a package is in a lockfile.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WhyReport {
    /// The lockfile's digest.
    pub lock: Digest,
    /// For which platform.
    pub platform: Platform,
    /// The packages of that name: one, unless several ecosystems have it.
    pub packages: Vec<Because>,
}

/// One package, and why it is there.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Because {
    /// Names it among all: `python/numpy`.
    pub id: String,
    /// Who packages it.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// For each that asks for it, the shortest way to that; the shortest first.
    pub ways: Vec<WayReport>,
}

/// A way on which a package is asked for.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WayReport {
    /// Where it begins.
    pub asker: Asker,
    /// The packages on it, each asked for by the one before; the last is the one in question.
    pub packages: Vec<Step>,
}

/// A package on a way.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Names it among all.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Says why the project's lockfile has `package` for a platform. The name is that of a Python
/// project in any spelling, of a Debian package, or an id.
///
/// # Errors
/// Returns [`Error::NotLocked`] when it has none of the name, and as
/// [`tree`](crate::ops::tree::tree) does.
pub fn why(
    project: &Project,
    package: &str,
    platform: Option<Platform>,
) -> Result<WhyReport, Error> {
    let lock = project.whole_lock()?;
    let platform = locked_platform(&lock, platform)?;
    let graph = Graph::of(&lock, platform);
    let nodes = graph.nodes.iter().enumerate();
    let packages: Vec<Because> = nodes
        .filter(|(_, node)| is_called(node, package))
        .map(|(place, node)| because(&graph, place, node))
        .collect();
    if packages.is_empty() {
        let others = lock.request.platforms.iter().copied();
        let elsewhere = |other: &Platform| {
            let graph = Graph::of(&lock, *other);
            graph.nodes.iter().any(|node| is_called(node, package))
        };
        return Err(Error::NotLocked {
            package: package.to_owned(),
            platform,
            elsewhere: others.filter(elsewhere).collect(),
            alike: alike(&graph, package),
        });
    }
    Ok(WhyReport {
        lock: lock.digest(),
        platform,
        packages,
    })
}

fn is_called(node: &Node<'_>, name: &str) -> bool {
    let python = |name: &str| {
        name.parse::<PythonName>()
            .is_ok_and(|it| it.as_str() == node.name)
    };
    node.name == name || id(node) == name || (node.ecosystem == Ecosystem::Python && python(name))
}

fn because(graph: &Graph<'_>, place: usize, node: &Node<'_>) -> Because {
    Because {
        id: id(node),
        ecosystem: node.ecosystem,
        name: node.name.to_owned(),
        version: node.version.clone(),
        ways: graph
            .ways(place)
            .iter()
            .map(|way| told(graph, way))
            .collect(),
    }
}

fn told(graph: &Graph<'_>, way: &Way) -> WayReport {
    let packages = way.packages.iter().map(|&place| {
        let node = &graph.nodes[place];
        Step {
            id: id(node),
            name: node.name.to_owned(),
            version: node.version.clone(),
        }
    });
    WayReport {
        asker: way.asker.clone(),
        packages: packages.collect(),
    }
}

/// Returns the name in the lock that is most like `name`, if one is.
fn alike(graph: &Graph<'_>, name: &str) -> Option<String> {
    let names = graph.nodes.iter().map(|node| node.name);
    let rated = names.map(|known| (strsim::jaro_winkler(known, name), known));
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then(|| best.1.to_owned())
}
