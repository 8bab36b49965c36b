//! What a lock answers, and whether it still does.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::base::{Explain, Kind};
use crate::lock::schema::{Lockfile, Request};
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

/// One way in which a manifest asks for something else than the lock answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum StaleReason {
    /// A list of the manifest has an item that the lock does not know.
    #[error("`{item}` was added to {list}")]
    Added {
        /// The list: `[python] requirements`.
        list: &'static str,
        /// The item.
        item: String,
    },
    /// A list of the lock has an item that the manifest has no more.
    #[error("`{item}` was removed from {list}")]
    Removed {
        /// The list.
        list: &'static str,
        /// The item.
        item: String,
    },
    /// A list has the same items in another order, and the order counts.
    #[error("the order of {list} changed")]
    Reordered {
        /// The list.
        list: &'static str,
    },
    /// A single value changed.
    #[error("{key} changed from {locked} to {asked}")]
    Changed {
        /// The key: `[environment] python`.
        key: &'static str,
        /// What the lock was made for.
        locked: String,
        /// What the manifest says.
        asked: String,
    },
}

/// The lock does not answer the manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("the lockfile does not answer the manifest: {}", phrases(reasons))]
pub struct Stale {
    /// Why: at least one reason.
    pub reasons: Vec<StaleReason>,
    /// Which sections of the lock that concerns.
    #[serde(skip)]
    pub affected: Affected,
}

fn phrases(reasons: &[StaleReason]) -> String {
    reasons
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl Explain for Stale {
    fn kind(&self) -> Kind {
        Kind::Stale
    }

    fn hints(&self) -> Vec<String> {
        vec!["run `envbox lock` to bring the lockfile up to date".to_owned()]
    }
}

/// Which sections of a lock a change concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affected {
    /// `[[python]]`.
    pub python: bool,
    /// `[interpreter]` and `[[debian.…]]`, which decide each other.
    pub debian: bool,
}

/// Checks whether `lock` answers `request`.
///
/// # Errors
/// Returns every reason why it does not.
pub fn satisfies(lock: &Lockfile, request: &Request) -> Result<(), Stale> {
    let mut found = Comparison::default();
    let locked = &lock.request;
    found.environment(locked, request);
    found.python(locked, request);
    found.debian(locked, request);
    if found.reasons.is_empty() {
        return Ok(());
    }
    Err(Stale {
        reasons: found.reasons,
        affected: found.affected,
    })
}

#[derive(Default)]
struct Comparison {
    reasons: Vec<StaleReason>,
    affected: Affected,
}

const BOTH: Affected = Affected {
    python: true,
    debian: true,
};
const PYTHON: Affected = Affected {
    python: true,
    debian: false,
};
const DEBIAN: Affected = Affected {
    python: false,
    debian: true,
};
const NEITHER: Affected = Affected {
    python: false,
    debian: false,
};

impl Comparison {
    fn environment(&mut self, locked: &Request, asked: &Request) {
        self.value(
            "[environment] name",
            NEITHER,
            Some(&locked.name),
            Some(&asked.name),
        );
        self.list(
            "[environment] platforms",
            BOTH,
            &locked.platforms,
            &asked.platforms,
        );
        self.value(
            "[environment] python",
            BOTH,
            locked.python.as_ref(),
            asked.python.as_ref(),
        );
        let (from, to) = (locked.python_from.map(words), asked.python_from.map(words));
        self.value(
            "[environment] python.from",
            BOTH,
            from.as_ref(),
            to.as_ref(),
        );
    }

    fn python(&mut self, locked: &Request, asked: &Request) {
        self.list(
            "[python] requirements",
            PYTHON,
            &locked.requirements,
            &asked.requirements,
        );
        self.list(
            "[python] constraints",
            PYTHON,
            &locked.constraints,
            &asked.constraints,
        );
        self.list(
            "[python] overrides",
            PYTHON,
            &locked.overrides,
            &asked.overrides,
        );
        let times = (locked.exclude_newer.as_ref(), asked.exclude_newer.as_ref());
        self.value("[python] exclude-newer", PYTHON, times.0, times.1);
        let (from, to) = (words(locked.prerelease), words(asked.prerelease));
        self.value("[python] prerelease", PYTHON, Some(&from), Some(&to));
        self.list(
            "[python] extra-index-urls",
            PYTHON,
            &locked.extra_indexes,
            &asked.extra_indexes,
        );
        self.list(
            "[python] find-links",
            PYTHON,
            &locked.find_links,
            &asked.find_links,
        );
        self.value(
            "[python] no-build",
            PYTHON,
            Some(&locked.no_build),
            Some(&asked.no_build),
        );
    }

    fn debian(&mut self, locked: &Request, asked: &Request) {
        // The suite decides the interpreter and the glibc that wheels are chosen for.
        self.value(
            "[debian] suite",
            BOTH,
            locked.suite.as_ref(),
            asked.suite.as_ref(),
        );
        self.value(
            "[debian] snapshot",
            DEBIAN,
            locked.snapshot.as_ref(),
            asked.snapshot.as_ref(),
        );
        self.value(
            "[debian] security",
            DEBIAN,
            locked.security.as_ref(),
            asked.security.as_ref(),
        );
        self.list(
            "[debian] packages",
            DEBIAN,
            &locked.packages,
            &asked.packages,
        );
    }

    fn value<T: PartialEq + Display>(
        &mut self,
        key: &'static str,
        affects: Affected,
        locked: Option<&T>,
        asked: Option<&T>,
    ) {
        if locked != asked {
            let show = |value: Option<&T>| {
                value.map_or("nothing".to_owned(), |value| format!("`{value}`"))
            };
            let (locked, asked) = (show(locked), show(asked));
            self.add(StaleReason::Changed { key, locked, asked }, affects);
        }
    }

    fn list<T: Ord + Display>(
        &mut self,
        list: &'static str,
        affects: Affected,
        locked: &[T],
        asked: &[T],
    ) {
        let before = self.reasons.len();
        for item in asked.iter().filter(|item| !locked.contains(item)) {
            self.add(
                StaleReason::Added {
                    list,
                    item: item.to_string(),
                },
                affects,
            );
        }
        for item in locked.iter().filter(|item| !asked.contains(item)) {
            self.add(
                StaleReason::Removed {
                    list,
                    item: item.to_string(),
                },
                affects,
            );
        }
        if self.reasons.len() == before && locked != asked {
            self.add(StaleReason::Reordered { list }, affects);
        }
    }

    fn add(&mut self, reason: StaleReason, affects: Affected) {
        self.reasons.push(reason);
        self.affected.python |= affects.python;
        self.affected.debian |= affects.debian;
    }
}

fn words(variant: impl serde::Serialize) -> String {
    serde_json::to_value(variant)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .expect("only unit variants are given")
}
