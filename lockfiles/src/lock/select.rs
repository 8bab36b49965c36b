//! The part of a lock that some groups need.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Explain, GroupName, Kind, Platform};
use crate::lock::graph::{Asker, Ecosystem, Graph, Node};
use crate::lock::schema::{Lockfile, Request};

/// Which groups of a manifest an environment has, beside what is always asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Groups {
    /// None.
    #[default]
    None,
    /// These.
    Named(BTreeSet<GroupName>),
    /// All.
    All,
}

/// A group was chosen that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest has no group `{name}`")]
pub struct UnknownGroup {
    /// The name.
    pub name: GroupName,
    /// Those that there are.
    pub known: Vec<GroupName>,
}

impl Explain for UnknownGroup {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hints(&self) -> Vec<String> {
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        match known.is_empty() {
            true => vec!["write it as `[groups.NAME]`: there is none yet".to_owned()],
            false => vec![format!("it has {}", known.join(", "))],
        }
    }
}

impl Groups {
    /// Returns the names of those that are chosen of `request`'s.
    ///
    /// # Errors
    /// Returns [`UnknownGroup`].
    pub fn of<'a>(&'a self, request: &'a Request) -> Result<BTreeSet<&'a GroupName>, UnknownGroup> {
        let known = &request.groups;
        match self {
            Self::None => Ok(BTreeSet::new()),
            Self::All => Ok(known.keys().collect()),
            Self::Named(names) => match names.iter().find(|name| !known.contains_key(name)) {
                None => Ok(names.iter().collect()),
                Some(name) => Err(UnknownGroup {
                    name: name.clone(),
                    known: known.keys().cloned().collect(),
                }),
            },
        }
    }
}

impl Lockfile {
    /// Returns what an environment of these groups has. The result is the lock of a manifest that
    /// asks for just that, without groups: what is not chosen leaves no trace in it.
    ///
    /// # Errors
    /// Returns [`UnknownGroup`].
    pub fn select(&self, groups: &Groups) -> Result<Self, UnknownGroup> {
        let chosen = groups.of(&self.request)?;
        if self.request.groups.is_empty() {
            return Ok(self.clone());
        }
        let kept = Kept::of(self, &chosen);
        let mut lock = self.clone();
        lock.request = self.request.with_groups(&chosen);
        lock.python.retain_mut(|wheel| {
            let name = wheel.name.as_str();
            kept.keep(
                Ecosystem::Python,
                name,
                &mut wheel.platforms,
                &mut wheel.required_by,
            )
        });
        lock.conda.packages.retain_mut(|package| {
            let name = package.name.as_str();
            kept.keep(
                Ecosystem::Conda,
                name,
                &mut package.platforms,
                &mut package.required_by,
            )
        });
        lock.debian.packages.retain_mut(|package| {
            let name = package.name.as_str();
            kept.keep(
                Ecosystem::Debian,
                name,
                &mut package.platforms,
                &mut package.required_by,
            )
        });
        if let Some(mut gpu) = lock.gpu.take() {
            gpu.requires.keep(&lock);
            lock.gpu = Some(gpu);
        }
        if !chosen.is_empty() {
            // They were built of what is always asked for.
            lock.built.clear();
        }
        Ok(lock)
    }
}

impl Request {
    /// Returns the request that asks always for what it asks for in these groups.
    fn with_groups(&self, chosen: &BTreeSet<&GroupName>) -> Self {
        let mut request = self.clone();
        let groups = std::mem::take(&mut request.groups);
        for (_, group) in groups.into_iter().filter(|(name, _)| chosen.contains(name)) {
            request.requirements.extend(group.requirements);
            if let Some(conda) = &mut request.conda {
                conda.dependencies.extend(group.conda);
                set(&mut conda.dependencies);
            }
            request.packages.extend(group.packages);
        }
        set(&mut request.requirements);
        set(&mut request.packages);
        request
    }
}

/// What is reached from what is chosen.
struct Kept<'a> {
    /// By ecosystem and name.
    packages: BTreeMap<(Ecosystem, &'a str), Found>,
}

#[derive(Default)]
struct Found {
    platforms: BTreeSet<Platform>,
    /// Whether the manifest asks for it in what is chosen.
    is_asked: bool,
}

impl<'a> Kept<'a> {
    fn of(lock: &'a Lockfile, chosen: &BTreeSet<&GroupName>) -> Self {
        let mut packages: BTreeMap<(Ecosystem, &'a str), Found> = BTreeMap::new();
        for &platform in &lock.request.platforms {
            let graph = Graph::of(lock, platform);
            let is_chosen = |asker: &Asker| match asker {
                Asker::Group(name) => chosen.contains(name),
                _ => true,
            };
            let mut reached = graph.reached(is_chosen);
            // A wheel may need what a conda package brings, and the lock does not say which.
            let has_wheels = reached
                .iter()
                .any(|&place| graph.nodes[place].ecosystem == Ecosystem::Python);
            if has_wheels {
                let bring = lock.conda.packages.iter();
                let bring = bring.filter(|package| !package.python.is_empty());
                let names: BTreeSet<&str> = bring.map(|package| package.name.as_str()).collect();
                let brings = |node: &Node<'_>| {
                    node.ecosystem == Ecosystem::Conda && names.contains(node.name)
                };
                reached.extend(graph.below(brings));
            }
            for place in reached {
                let node = &graph.nodes[place];
                let found = packages.entry((node.ecosystem, node.name)).or_default();
                found.platforms.insert(platform);
                let by_manifest =
                    |asker: &&Asker| matches!(asker, Asker::Manifest | Asker::Group(_));
                let mut askers = node.asked_by.iter().filter(by_manifest);
                found.is_asked |= askers.any(is_chosen);
            }
        }
        Self { packages }
    }

    /// Says whether a package is kept; takes what is not out of its lists.
    fn keep(
        &self,
        ecosystem: Ecosystem,
        name: &str,
        platforms: &mut Vec<Platform>,
        required_by: &mut Vec<String>,
    ) -> bool {
        let Some(found) = self.packages.get(&(ecosystem, name)) else {
            return false;
        };
        platforms.retain(|platform| found.platforms.contains(platform));
        required_by.retain(|by| match by.as_str() {
            "manifest" => found.is_asked,
            "base" | "interpreter" if ecosystem != Ecosystem::Python => true,
            other => self.packages.contains_key(&(ecosystem, other)),
        });
        !platforms.is_empty()
    }
}

fn set<T: Ord>(items: &mut Vec<T>) {
    items.sort();
    items.dedup();
}
