//! Who asks for what in a lock, on one platform.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::base::{DebianName, GroupName, Platform};
use crate::lock::schema::{Artifact, LockedInterpreter, Lockfile, Request};
use crate::manifest::{conda_name, python_name};

/// Who packages something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecosystem {
    /// Whoever made the image that the environment stands on.
    Base,
    /// Whoever makes standalone interpreters.
    Interpreter,
    /// An index of Python's.
    Python,
    /// A channel of conda's.
    Conda,
    /// Debian.
    Debian,
}

impl Ecosystem {
    /// Returns the word for it in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Interpreter => "interpreter",
            Self::Python => "python",
            Self::Conda => "conda",
            Self::Debian => "debian",
        }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "image",
            Self::Interpreter => "standalone",
            Self::Python => "Python",
            Self::Conda => "conda",
            Self::Debian => "Debian",
        })
    }
}

/// What asks for a package without being one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// The manifest, always.
    Manifest,
    /// A group of the manifest.
    Group(GroupName),
    /// The interpreter, which needs its packages.
    Interpreter,
    /// What every environment begins with.
    Base,
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("manifest"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Interpreter => f.write_str("interpreter"),
            Self::Base => f.write_str("base"),
        }
    }
}

impl serde::Serialize for Asker {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Who packages it.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: &'a str,
    /// Its version; the digest of an image.
    pub version: String,
    /// Its files: one, but for an image.
    pub artifacts: Vec<&'a Artifact>,
    /// What asks for it without being a package; nothing when only packages do.
    pub asked_by: BTreeSet<Asker>,
    /// The packages that ask for it, by their place in the graph; sorted.
    pub required_by: Vec<usize>,
    /// The packages that it asks for, by their place in the graph; sorted.
    pub requires: Vec<usize>,
}

impl Node<'_> {
    /// Returns the size of its files in bytes.
    pub fn size(&self) -> u64 {
        self.artifacts.iter().map(|artifact| artifact.size).sum()
    }
}

/// All packages that a lock has for a platform, sorted by ecosystem and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph<'a> {
    /// The packages.
    pub nodes: Vec<Node<'a>>,
}

impl<'a> Graph<'a> {
    /// Returns what `lock` has for `platform`; nothing when it is for others.
    pub fn of(lock: &'a Lockfile, platform: Platform) -> Self {
        let mut found = image(lock, platform);
        found.extend(archive(lock, platform));
        for wheel in &lock.python {
            if wheel.platforms.contains(&platform) {
                found.push(Found {
                    ecosystem: Ecosystem::Python,
                    name: wheel.name.as_str(),
                    version: wheel.version.clone(),
                    artifacts: vec![&wheel.artifact],
                    required_by: &wheel.required_by,
                });
            }
        }
        for package in &lock.conda.packages {
            if package.platforms.contains(&platform) {
                found.push(Found {
                    ecosystem: Ecosystem::Conda,
                    name: package.name.as_str(),
                    version: format!("{} {}", package.version, package.build),
                    artifacts: vec![&package.artifact],
                    required_by: &package.required_by,
                });
            }
        }
        for package in &lock.debian.packages {
            if package.platforms.contains(&platform) {
                found.push(Found {
                    ecosystem: Ecosystem::Debian,
                    name: package.name.as_str(),
                    version: package.version.clone(),
                    artifacts: vec![&package.artifact],
                    required_by: &package.required_by,
                });
            }
        }
        Self::linked(found, &Roots::of(&lock.request))
    }

    fn linked(mut found: Vec<Found<'a>>, roots: &Roots<'_>) -> Self {
        found.sort_by_key(|one| (one.ecosystem, one.name));
        let places: BTreeMap<(Ecosystem, &str), usize> = found
            .iter()
            .enumerate()
            .map(|(place, one)| ((one.ecosystem, one.name), place))
            .collect();
        let mut requires = vec![Vec::new(); found.len()];
        let mut nodes: Vec<Node<'a>> = Vec::new();
        for (place, one) in found.into_iter().enumerate() {
            let asked_by = one.asked_by(roots);
            let names = one.required_by.iter();
            let mut required_by: Vec<usize> = names
                .filter_map(|name| places.get(&(one.ecosystem, name.as_str())).copied())
                .collect();
            required_by.sort_unstable();
            for &other in &required_by {
                requires[other].push(place);
            }
            nodes.push(Node {
                ecosystem: one.ecosystem,
                name: one.name,
                version: one.version,
                artifacts: one.artifacts,
                asked_by,
                required_by,
                requires: Vec::new(),
            });
        }
        for (node, requires) in nodes.iter_mut().zip(requires) {
            node.requires = requires;
        }
        Self { nodes }
    }

    /// Returns the places of all packages that are there because of those who `is_chosen`.
    pub fn reached(&self, is_chosen: impl Fn(&Asker) -> bool) -> BTreeSet<usize> {
        self.below(|node| node.asked_by.iter().any(&is_chosen))
    }

    /// Returns the places of those packages that `is_one` of, and of all that they ask for.
    pub fn below(&self, is_one: impl Fn(&Node<'a>) -> bool) -> BTreeSet<usize> {
        let nodes = self.nodes.iter().enumerate();
        let asked = nodes.filter(|(_, node)| is_one(node));
        let mut open: Vec<usize> = asked.map(|(place, _)| place).collect();
        let mut reached = BTreeSet::new();
        while let Some(place) = open.pop() {
            if reached.insert(place) {
                open.extend(&self.nodes[place].requires);
            }
        }
        reached
    }

    /// Returns why the package at `place` is there: for each that asks for it, the shortest way from
    /// what asks for that without being a package. A way ends with the package itself.
    pub fn ways(&self, place: usize) -> Vec<Way> {
        let nearest = self.nearest();
        let node = &self.nodes[place];
        let direct = node.asked_by.iter().map(|asker| Way {
            asker: asker.clone(),
            packages: vec![place],
        });
        let through = node.required_by.iter().filter_map(|&parent| {
            let mut way = self.way_to(parent, &nearest)?;
            // The shortest way to one that asks for it may lead through the package: a circle.
            if way.packages.contains(&place) {
                return None;
            }
            way.packages.push(place);
            Some(way)
        });
        let mut ways: Vec<Way> = direct.chain(through).collect();
        ways.sort_by(|a, b| (a.packages.len(), a).cmp(&(b.packages.len(), b)));
        ways
    }

    /// Returns for each package the one before it on a shortest way, itself for one that is asked
    /// for directly, and nothing for one that no way leads to.
    fn nearest(&self) -> Vec<Option<usize>> {
        let mut nearest = vec![None; self.nodes.len()];
        let mut roots: Vec<usize> = (0..self.nodes.len()).collect();
        roots.retain(|&place| !self.nodes[place].asked_by.is_empty());
        roots.sort_by_key(|&place| self.nodes[place].asked_by.first());
        for &root in &roots {
            nearest[root] = Some(root);
        }
        let mut queue = VecDeque::from(roots);
        while let Some(place) = queue.pop_front() {
            for &next in &self.nodes[place].requires {
                if nearest[next].is_none() {
                    nearest[next] = Some(place);
                    queue.push_back(next);
                }
            }
        }
        nearest
    }

    fn way_to(&self, place: usize, nearest: &[Option<usize>]) -> Option<Way> {
        let mut packages = vec![place];
        let mut at = place;
        while let Some(before) = nearest[at].filter(|before| *before != at) {
            packages.push(before);
            at = before;
        }
        packages.reverse();
        let asker = self.nodes[at].asked_by.first()?.clone();
        Some(Way { asker, packages })
    }
}

/// A way on which a package is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Where it begins.
    pub asker: Asker,
    /// The packages on it by their place in the graph, each asked for by the one before.
    pub packages: Vec<usize>,
}

struct Found<'a> {
    ecosystem: Ecosystem,
    name: &'a str,
    version: String,
    artifacts: Vec<&'a Artifact>,
    required_by: &'a [String],
}

impl Found<'_> {
    fn asked_by(&self, roots: &Roots<'_>) -> BTreeSet<Asker> {
        let asks = |word: &str| self.required_by.iter().any(|by| by == word);
        let mut askers = BTreeSet::new();
        match self.ecosystem {
            Ecosystem::Base => {
                askers.insert(Asker::Manifest);
            }
            Ecosystem::Interpreter => {
                askers.insert(Asker::Interpreter);
            }
            Ecosystem::Python | Ecosystem::Conda | Ecosystem::Debian if asks("manifest") => {
                askers.extend(roots.askers(self.ecosystem, self.name));
            }
            Ecosystem::Python | Ecosystem::Conda | Ecosystem::Debian => {}
        }
        // A wheel may be called `base`; no wheel is asked for by the base or the interpreter.
        if matches!(self.ecosystem, Ecosystem::Conda | Ecosystem::Debian) {
            let others = [("interpreter", Asker::Interpreter), ("base", Asker::Base)];
            let others = others.into_iter().filter(|(word, _)| asks(word));
            askers.extend(others.map(|(_, asker)| asker));
        }
        askers
    }
}

/// What a request asks for by name.
struct Roots<'a> {
    always: BTreeSet<(Ecosystem, String)>,
    groups: BTreeMap<&'a GroupName, BTreeSet<(Ecosystem, String)>>,
}

impl<'a> Roots<'a> {
    fn of(request: &'a Request) -> Self {
        let conda = request.conda.as_ref();
        let conda = conda.map_or(&[][..], |conda| &conda.dependencies);
        let groups = request.groups.iter();
        let groups = groups.map(|(name, group)| {
            let names = names(&group.requirements, &group.conda, &group.packages);
            (name, names)
        });
        Self {
            always: names(&request.requirements, conda, &request.packages),
            groups: groups.collect(),
        }
    }

    /// Returns who asks for a package of which the lock says that the manifest does.
    fn askers(&self, ecosystem: Ecosystem, name: &str) -> Vec<Asker> {
        let key = (ecosystem, name.to_owned());
        let groups = self.groups.iter();
        let groups = groups.filter(|(_, names)| names.contains(&key));
        let mut askers: Vec<Asker> = groups
            .map(|(name, _)| Asker::Group((*name).clone()))
            .collect();
        // What no group asks for is asked for always, however it is spelled.
        if askers.is_empty() || self.always.contains(&key) {
            askers.push(Asker::Manifest);
        }
        askers
    }
}

fn names(
    requirements: &[String],
    dependencies: &[String],
    packages: &[DebianName],
) -> BTreeSet<(Ecosystem, String)> {
    let requirements = requirements.iter().filter_map(|text| python_name(text));
    let python = requirements.map(|name| (Ecosystem::Python, name.as_str().to_owned()));
    let dependencies = dependencies.iter().filter_map(|text| conda_name(text));
    let conda = dependencies.map(|name| (Ecosystem::Conda, name.as_str().to_owned()));
    let debian = packages.iter();
    let debian = debian.map(|name| (Ecosystem::Debian, name.as_str().to_owned()));
    python.chain(conda).chain(debian).collect()
}

fn image(lock: &Lockfile, platform: Platform) -> Vec<Found<'_>> {
    let base = lock.base.iter();
    let images = base.filter_map(|base| Some((base, base.image(platform)?)));
    images
        .map(|(base, image)| Found {
            ecosystem: Ecosystem::Base,
            name: base.reference.repository.as_str(),
            version: image.manifest.to_string(),
            artifacts: image.layers.iter().map(|layer| &layer.artifact).collect(),
            required_by: &[],
        })
        .collect()
}

/// An interpreter that is a package is found among those.
fn archive(lock: &Lockfile, platform: Platform) -> Option<Found<'_>> {
    let LockedInterpreter {
        version, archives, ..
    } = lock.interpreter.as_ref()?;
    let archive = archives.iter().find(|one| one.platform == platform)?;
    Some(Found {
        ecosystem: Ecosystem::Interpreter,
        name: "python",
        version: version.clone(),
        artifacts: vec![&archive.artifact],
        required_by: &[],
    })
}
