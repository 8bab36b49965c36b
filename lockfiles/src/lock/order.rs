//! The one order in which a lock lists things.

use crate::lock::schema::{LockedPackage, LockedWheel, Lockfile, Request};
use crate::lock::{gpu, groups};

/// An entry that does not come after the one before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// It should come earlier.
    #[error("`{entry}` of {list} is not in its place")]
    Misplaced {
        /// The list: `[[python]]`.
        list: &'static str,
        /// The entry.
        entry: String,
    },
    /// It is there already.
    #[error("`{entry}` stands twice in {list}")]
    Twice {
        /// The list.
        list: &'static str,
        /// The entry.
        entry: String,
    },
}

impl Lockfile {
    /// Sorts every list into canonical order and drops repetitions of plain words.
    pub fn sort(&mut self) {
        sort_wheels(&mut self.python);
        self.conda.sort();
        for package in &mut self.debian.packages {
            set(&mut package.platforms);
            set(&mut package.required_by);
        }
        if let Some(base) = &mut self.base {
            base.images.sort_by_key(|image| image.platform);
        }
        if let Some(interpreter) = &mut self.interpreter {
            interpreter.archives.sort_by_key(|archive| archive.platform);
        }
        if let Some(gpu) = &mut self.gpu {
            gpu.requires.sort();
        }
        self.built.sort_by_key(|image| image.platform);
        self.debian.suites.sort_by(|a, b| a.name.cmp(&b.name));
        self.debian
            .packages
            .sort_by(|a, b| package_key(a).cmp(&package_key(b)));
    }

    /// Returns the first entry that is out of canonical order.
    pub(super) fn disorder(&self) -> Option<Disorder> {
        request(&self.request)
            .or_else(|| self.images())
            .or_else(|| self.interpreter())
            .or_else(|| self.conda.disorder())
            .or_else(|| self.wheels())
            .or_else(|| self.packages())
            .or_else(|| self.gpu.as_ref().and_then(gpu::disorder))
            .or_else(|| self.built())
    }

    fn built(&self) -> Option<Disorder> {
        first("[[built]]", &self.built, |image| image.platform.to_string())
    }

    fn images(&self) -> Option<Disorder> {
        let images = &self.base.as_ref()?.images;
        first("[[base.image]]", images, |image| image.platform.to_string())
    }

    fn interpreter(&self) -> Option<Disorder> {
        let archives = &self.interpreter.as_ref()?.archives;
        first("[[interpreter.archive]]", archives, |archive| {
            archive.platform.to_string()
        })
    }

    fn wheels(&self) -> Option<Disorder> {
        wheels("[[python]]", &self.python).or_else(|| {
            let mut sources = self.sources();
            sources.find_map(|source| wheels("[[python.built-from.requires]]", &source.requires))
        })
    }

    fn packages(&self) -> Option<Disorder> {
        let packages = &self.debian.packages;
        first("[[debian.suite]]", &self.debian.suites, |suite| &suite.name)
            .or_else(|| {
                first("[[debian.package]]", packages, |package| Shown {
                    key: package_key(package),
                    text: package.name.as_str(),
                })
            })
            .or_else(|| {
                packages.iter().find_map(|package| {
                    words("`platforms` of a package", &package.platforms)
                        .or_else(|| words("`required-by` of a package", &package.required_by))
                })
            })
    }
}

/// Sorts wheels and all that is in them.
fn sort_wheels(wheels: &mut [LockedWheel]) {
    for wheel in wheels.iter_mut() {
        set(&mut wheel.platforms);
        set(&mut wheel.required_by);
        if let Some(source) = &mut wheel.built_from {
            sort_wheels(&mut source.requires);
        }
    }
    wheels.sort_by(|a, b| wheel_key(a).cmp(&wheel_key(b)));
}

fn wheels(list: &'static str, wheels: &[LockedWheel]) -> Option<Disorder> {
    first(list, wheels, |wheel| Shown {
        key: wheel_key(wheel),
        text: &wheel.artifact.file,
    })
    .or_else(|| {
        wheels.iter().find_map(|wheel| {
            words("`platforms` of a wheel", &wheel.platforms)
                .or_else(|| words("`required-by` of a wheel", &wheel.required_by))
        })
    })
}

fn request(request: &Request) -> Option<Disorder> {
    words("`platforms`", &request.platforms)
        .or_else(|| words("`requirements`", &request.requirements))
        .or_else(|| words("`constraints`", &request.constraints))
        .or_else(|| words("`overrides`", &request.overrides))
        .or_else(|| words("`packages`", &request.packages))
        .or_else(|| request.conda.as_ref()?.disorder())
        .or_else(|| groups::disorder(&request.groups))
}

pub(super) fn set<T: Ord>(items: &mut Vec<T>) {
    items.sort();
    items.dedup();
}

fn wheel_key(wheel: &LockedWheel) -> (&str, &str, &str) {
    (wheel.name.as_str(), &wheel.version, &wheel.artifact.file)
}

fn package_key(package: &LockedPackage) -> (&str, &str, &str) {
    (
        package.name.as_str(),
        &package.version,
        &package.architecture,
    )
}

/// A key to compare by, and what an error shows of it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Shown<'a> {
    key: (&'a str, &'a str, &'a str),
    text: &'a str,
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}

pub(super) fn words<T: Ord + std::fmt::Display>(
    list: &'static str,
    items: &[T],
) -> Option<Disorder> {
    first(list, items, |item| item)
}

pub(super) fn first<'a, T, K: Ord + std::fmt::Display>(
    list: &'static str,
    items: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Option<Disorder> {
    items.windows(2).find_map(|pair| {
        let (before, after) = (key(&pair[0]), key(&pair[1]));
        let entry = after.to_string();
        match before.cmp(&after) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(Disorder::Twice { list, entry }),
            std::cmp::Ordering::Greater => Some(Disorder::Misplaced { list, entry }),
        }
    })
}
