//! All packages that a resolution can choose from, read as they are asked for.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::{DebianName, Platform};
use crate::resolve::debian::index::Index;
use crate::resolve::debian::package::{BadParagraph, Package};

/// The packages of several archives for one platform. Where two archives have the same version of a
/// package, the first one's is taken.
pub(super) struct Universe<'a> {
    indices: Vec<&'a Index>,
    platform: Platform,
    packages: RefCell<BTreeMap<String, Versions>>,
    /// The first paragraph that could not be read, and its package.
    bad: OnceCell<(String, BadParagraph)>,
}

/// The versions of one package, the newest first.
pub(super) type Versions = Rc<[Rc<Package>]>;

impl<'a> Universe<'a> {
    /// Joins `indices`, the packages of `platform`.
    pub(super) fn new(indices: Vec<&'a Index>, platform: Platform) -> Self {
        Self {
            indices,
            platform,
            packages: RefCell::default(),
            bad: OnceCell::new(),
        }
    }

    /// Returns the platform.
    pub(super) fn platform(&self) -> Platform {
        self.platform
    }

    /// Returns the versions of the package `name`: none when there is no such package.
    pub(super) fn versions(&self, name: &str) -> Versions {
        if let Some(known) = self.packages.borrow().get(name) {
            return Rc::clone(known);
        }
        let read: Versions = self.read(name).into();
        self.packages
            .borrow_mut()
            .insert(name.to_owned(), Rc::clone(&read));
        read
    }

    /// Returns the names of packages of which some version provides `name`: the most wanted first,
    /// then by name. A package of that name is not among them.
    pub(super) fn providers(&self, name: &str) -> Vec<DebianName> {
        let names: BTreeSet<&str> = self
            .indices
            .iter()
            .flat_map(|index| index.providers(name))
            .filter(|provider| *provider != name)
            .collect();
        let mut providers: Vec<_> = names
            .into_iter()
            .filter_map(|provider| Some(Rc::clone(self.versions(provider).first()?)))
            .collect();
        providers.sort_by_key(|newest| newest.priority);
        providers.iter().map(|newest| newest.name.clone()).collect()
    }

    /// Returns the name of every package.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.indices
            .iter()
            .flat_map(|index| index.names())
            .collect()
    }

    /// Returns the first paragraph that was asked for but could not be read, and its package.
    pub(super) fn bad(&self) -> Option<&(String, BadParagraph)> {
        self.bad.get()
    }

    fn read(&self, name: &str) -> Vec<Rc<Package>> {
        let mut versions: Vec<Rc<Package>> = Vec::new();
        for (archive, index) in self.indices.iter().enumerate() {
            for paragraph in index.paragraphs(name) {
                match Package::parse(paragraph, archive) {
                    Ok(package) if self.runs(&package) => versions.push(Rc::new(package)),
                    Ok(_) => {}
                    Err(bad) => {
                        // Only the first is reported.
                        let _ = self.bad.set((name.to_owned(), bad));
                    }
                }
            }
        }
        // Stable, so that the first archive stays first.
        versions.sort_by(|left, right| right.version.cmp(&left.version));
        versions.dedup_by(|later, earlier| later.version == earlier.version);
        versions
    }

    fn runs(&self, package: &Package) -> bool {
        package.architecture == self.platform.debian() || package.architecture == "all"
    }
}
