//! Debian's relations as the solver wants them.
//!
//! A dependency is a union of version sets in order of preference: for each alternative the versions of
//! the package of that name, then those versions of each provider that provide it. So a virtual package
//! needs no candidate of its own, and a versioned `Provides` no rule of its own. `Conflicts` and `Breaks`
//! become constraints: the versions of the other package that are *not* meant.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::rc::Rc;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    Interner, KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId,
    VersionSetId, VersionSetUnionId,
};

use crate::resolve::debian::assumed::assumed;
use crate::resolve::debian::package::Package;
use crate::resolve::debian::relation::{Clause, Relation};
use crate::resolve::debian::universe::Universe;

/// Answers the solver's questions.
pub(super) struct Provider<'a> {
    universe: &'a Universe<'a>,
    /// The packages asked for by name: a dependency on one of them is never assumed.
    roots: &'a BTreeSet<String>,
    /// Versions to stay with where that is possible, by package.
    preferred: &'a BTreeMap<String, String>,
    tables: RefCell<Tables>,
}

/// What the solver's numbers stand for.
#[derive(Default)]
struct Tables {
    names: Numbered<String>,
    sets: Numbered<Set>,
    unions: Numbered<Vec<VersionSetId>>,
    solvables: Vec<(NameId, Rc<Package>)>,
    candidates: BTreeMap<u32, Vec<SolvableId>>,
}

/// The versions of one package that meet a relation, or that do not.
#[derive(Clone)]
struct Set {
    package: NameId,
    relation: Rc<Relation>,
    inverse: bool,
}

/// Values with numbers; the same key has the same number.
struct Numbered<T> {
    values: Vec<T>,
    numbers: BTreeMap<String, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }
}

impl<T> Numbered<T> {
    fn number(&mut self, key: String, value: T) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            self.values.push(value);
            u32::try_from(self.values.len() - 1).expect("memory ends before numbers do")
        })
    }
}

impl<'a> Provider<'a> {
    /// Returns a provider of what is in `universe`.
    pub(super) fn new(
        universe: &'a Universe<'a>,
        roots: &'a BTreeSet<String>,
        preferred: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            universe,
            roots,
            preferred,
            tables: RefCell::default(),
        }
    }

    /// Returns the requirement that some version of the package `name` is there.
    pub(super) fn root(&self, name: &str) -> ConditionalRequirement {
        self.requirement(&vec![Relation::to(name)]).into()
    }

    /// Returns the package that `solvable` stands for.
    pub(super) fn package(&self, solvable: SolvableId) -> Rc<Package> {
        Rc::clone(&self.tables.borrow().solvables[solvable.into_raw() as usize].1)
    }

    /// Returns the clauses that the dependencies of `package` leave to be met.
    pub(super) fn clauses<'p>(&self, package: &'p Package) -> impl Iterator<Item = &'p Clause> {
        let of = package.name.as_str();
        package.depends.iter().filter(move |clause| {
            !clause.iter().any(|relation| {
                assumed(of, &relation.name).is_some() && !self.roots.contains(&relation.name)
            })
        })
    }

    fn requirement(&self, clause: &Clause) -> Requirement {
        let sets: Vec<_> = clause
            .iter()
            .flat_map(|relation| self.sets(relation))
            .collect();
        match sets.as_slice() {
            [only] => Requirement::Single(*only),
            _ => {
                let unions = &mut self.tables.borrow_mut().unions;
                Requirement::Union(VersionSetUnionId(unions.number(format!("{sets:?}"), sets)))
            }
        }
    }

    /// Returns the sets of packages that meet `relation`, in order of preference; at least one.
    fn sets(&self, relation: &Relation) -> Vec<VersionSetId> {
        let providers = self.universe.providers(&relation.name);
        let relation = Rc::new(relation.clone());
        let mut sets = Vec::with_capacity(providers.len() + 1);
        // A name that nothing has is there for the message.
        if providers.is_empty() || !self.universe.versions(&relation.name).is_empty() {
            sets.push(self.set(&relation.name, &relation, false));
        }
        for provider in &providers {
            sets.push(self.set(provider.as_str(), &relation, false));
        }
        sets
    }

    /// Returns the sets that leave out what `relation`, a conflict of `package`, means.
    fn constraints(&self, package: &Package, relation: &Relation) -> Vec<VersionSetId> {
        let providers = self.universe.providers(&relation.name);
        let relation = Rc::new(relation.clone());
        let real = (!self.universe.versions(&relation.name).is_empty()).then_some(&relation.name);
        let real = real.map(String::as_str);
        providers
            .iter()
            .map(|provider| provider.as_str())
            .chain(real)
            // Who conflicts with what it provides itself wants to be the only provider.
            .filter(|name| *name != package.name.as_str())
            .map(|name| self.set(name, &relation, true))
            .collect()
    }

    fn set(&self, package: &str, relation: &Rc<Relation>, inverse: bool) -> VersionSetId {
        let key = format!("{package} {relation} {inverse}");
        let package = self.name(package);
        let set = Set {
            package,
            relation: Rc::clone(relation),
            inverse,
        };
        VersionSetId(self.tables.borrow_mut().sets.number(key, set))
    }

    fn name(&self, name: &str) -> NameId {
        let names = &mut self.tables.borrow_mut().names;
        NameId::from_raw(names.number(name.to_owned(), name.to_owned()))
    }

    fn text(&self, name: NameId) -> String {
        self.tables.borrow().names.values[name.into_raw() as usize].clone()
    }

    fn set_of(&self, set: VersionSetId) -> Set {
        self.tables.borrow().sets.values[set.0 as usize].clone()
    }

    /// Returns the versions of `name`, the newest first.
    fn solvables(&self, name: NameId) -> Vec<SolvableId> {
        if let Some(known) = self.tables.borrow().candidates.get(&name.into_raw()) {
            return known.clone();
        }
        let versions = self.universe.versions(&self.text(name));
        let mut tables = self.tables.borrow_mut();
        let mut solvables = Vec::with_capacity(versions.len());
        for package in versions.iter() {
            let number = u32::try_from(tables.solvables.len());
            let number = number.expect("memory ends before numbers do");
            tables.solvables.push((name, Rc::clone(package)));
            solvables.push(SolvableId::from_raw(number));
        }
        tables.candidates.insert(name.into_raw(), solvables.clone());
        solvables
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = self.package(solvable);
        format!("{} {}", package.name, package.version)
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let packages: Vec<_> = solvables.iter().map(|one| self.package(*one)).collect();
        let versions: Vec<_> = packages
            .iter()
            .map(|package| package.version.to_string())
            .collect();
        let name = packages.first().map(|package| package.name.to_string());
        format!("{} {}", name.unwrap_or_default(), versions.join(" | "))
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.text(name)
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        let set = self.set_of(set);
        let by_name = self.text(set.package) == set.relation.name;
        let bound = set.relation.bound.as_ref();
        match (by_name, set.inverse, bound) {
            (true, false, None) => String::new(),
            (true, false, Some(bound)) => bound.to_string(),
            (true, true, None) => "absent".to_owned(),
            (true, true, Some(bound)) => match bound.operator.negated() {
                Some(operator) => bound.with(operator).to_string(),
                None => format!("not {bound}"),
            },
            (false, false, _) => format!("providing {}", set.relation),
            (false, true, _) => format!("not providing {}", set.relation),
        }
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        // No reasons are given to the solver as strings.
        ""
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.tables.borrow().sets.values[set.0 as usize].package
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.tables.borrow().solvables[solvable.into_raw() as usize].0
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.tables.borrow().unions.values[union.0 as usize]
            .clone()
            .into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement is made with a condition")
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let set = self.set_of(set);
        let wanted = set.inverse == inverse;
        candidates
            .iter()
            .copied()
            .filter(|one| self.package(*one).meets(&set.relation) == wanted)
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates = self.solvables(name);
        let preferred = self.preferred.get(&self.text(name));
        let favored = candidates
            .iter()
            .copied()
            .find(|one| preferred.is_some_and(|v| self.package(*one).version.to_string() == *v));
        (!candidates.is_empty()).then(|| Candidates {
            candidates,
            favored,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let tables = self.tables.borrow();
        let version = |one: &SolvableId| &tables.solvables[one.into_raw() as usize].1.version;
        solvables.sort_by(|left, right| version(right).cmp(version(left)));
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let package = self.package(solvable);
        let requirements = self
            .clauses(&package)
            .map(|clause| self.requirement(clause).into())
            .collect();
        let constrains = package
            .conflicts
            .iter()
            .flat_map(|relation| self.constraints(&package, relation))
            .collect();
        Dependencies::Known(KnownDependencies {
            requirements,
            constrains,
        })
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        let bad = self.universe.bad()?;
        Some(Box::new(bad.0.clone()))
    }
}
