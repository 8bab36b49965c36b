//! Roots to a closure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use resolvo::{Problem, Solver, UnsolvableOrCancelled};

use crate::base::DebianName;
use crate::resolve::debian::package::Package;
use crate::resolve::debian::provider::Provider;
use crate::resolve::debian::relation::Clause;
use crate::resolve::debian::universe::Universe;
use crate::resolve::debian::{DebianError, Root};

/// How many names an error offers instead of one that does not exist.
const SUGGESTIONS: usize = 3;

/// Below this likeness (1 is the same) a name is no suggestion.
const LIKENESS: f64 = 0.8;

/// A package of a closure.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// The package.
    pub package: Package,
    /// Who asked for it.
    pub required_by: BTreeSet<String>,
}

/// Returns the packages of `universe` that `roots` need, sorted by name. Recommended packages are not
/// needed, and neither are essential ones that nothing asks for.
///
/// Among the solutions the one with the newest versions and the first alternatives is taken, but the
/// versions in `preferred` come before newer ones.
pub(super) fn solve(
    universe: &Universe<'_>,
    roots: &[Root],
    preferred: &BTreeMap<String, String>,
) -> Result<Vec<Chosen>, DebianError> {
    let mut asked: BTreeMap<DebianName, BTreeSet<String>> = BTreeMap::new();
    for root in roots {
        let name = real_name(universe, root)?;
        asked
            .entry(name)
            .or_default()
            .insert(root.required_by.clone());
    }
    let names: BTreeSet<String> = asked.keys().map(DebianName::to_string).collect();
    let provider = Provider::new(universe, &names, preferred);
    let requirements = names.iter().map(|name| provider.root(name)).collect();
    let mut solver = Solver::new(provider);
    let result = solver.solve(Problem::new().requirements(requirements));
    if let Some((package, bad)) = universe.bad() {
        return Err(DebianError::BadPackage {
            package: package.clone(),
            field: bad.field,
            found: bad.found.clone(),
        });
    }
    match result {
        Ok(solvables) => {
            let provider = solver.provider();
            let solution = solvables.into_iter().map(|one| provider.package(one));
            Ok(Pruning::new(provider, solution.collect()).run(asked))
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => Err(DebianError::Unsatisfiable {
            platform: universe.platform(),
            explanation: conflict
                .display_user_friendly(&solver)
                .to_string()
                .trim_end()
                .to_owned(),
        }),
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            unreachable!("only a bad paragraph cancels, and that was returned above")
        }
    }
}

/// Returns the package that `root` means: the one of that name, or the only one that provides it.
fn real_name(universe: &Universe<'_>, root: &Root) -> Result<DebianName, DebianError> {
    let name = root.name.as_str();
    if !universe.versions(name).is_empty() {
        return Ok(root.name.clone());
    }
    let providers = universe.providers(name);
    match providers.as_slice() {
        [] => Err(DebianError::UnknownPackage {
            name: root.name.clone(),
            required_by: root.required_by.clone(),
            platform: universe.platform(),
            nearest: nearest(universe, name),
        }),
        [only] => Ok(only.clone()),
        _ => Err(DebianError::VirtualPackage {
            name: root.name.clone(),
            providers,
        }),
    }
}

fn nearest(universe: &Universe<'_>, name: &str) -> Vec<String> {
    let names = universe.names();
    let mut scored: Vec<_> = names
        .into_iter()
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    // Highest first; equal ones stay in the order of their names.
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    let best = scored.into_iter().take(SUGGESTIONS);
    best.map(|(_, other)| other.to_owned()).collect()
}

/// Leaves out of a solution what nothing in it needs.
///
/// The solver decides `a | b` when it gets there; when `b` comes in later for another reason, `a` stays
/// although `b` would have done. Here an alternative is decided only when everything else is.
struct Pruning<'a> {
    provider: &'a Provider<'a>,
    solution: BTreeMap<DebianName, Rc<Package>>,
    needed: BTreeMap<DebianName, BTreeSet<String>>,
    /// Packages that are needed but whose own needs were not looked at yet.
    queue: VecDeque<DebianName>,
}

impl<'a> Pruning<'a> {
    fn new(provider: &'a Provider<'a>, solution: Vec<Rc<Package>>) -> Self {
        let named = |package: Rc<Package>| (package.name.clone(), package);
        Self {
            provider,
            solution: solution.into_iter().map(named).collect(),
            needed: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    fn run(mut self, roots: BTreeMap<DebianName, BTreeSet<String>>) -> Vec<Chosen> {
        for (name, required_by) in roots {
            for who in required_by {
                self.need(&name, &who);
            }
        }
        // Clauses that several packages of the solution meet, with whose they are.
        let mut open: Vec<(DebianName, Vec<DebianName>)> = Vec::new();
        loop {
            open.extend(self.look_around());
            open.retain(|(of, several)| {
                let there = several.iter().find(|one| self.needed.contains_key(one));
                there.is_none_or(|one| {
                    self.need(one, of.as_str());
                    false
                })
            });
            // The first alternative is the one that the package prefers.
            match open
                .first()
                .map(|(of, several)| (of.clone(), several[0].clone()))
            {
                Some((of, choice)) => self.need(&choice, of.as_str()),
                None => return self.finish(),
            }
        }
    }

    /// Follows the dependencies that leave no choice. Returns the others.
    fn look_around(&mut self) -> Vec<(DebianName, Vec<DebianName>)> {
        let mut open = Vec::new();
        while let Some(name) = self.queue.pop_front() {
            let package = Rc::clone(&self.solution[&name]);
            for clause in self.provider.clauses(&package) {
                match self.meeting(clause).as_slice() {
                    // Not in a solution.
                    [] => {}
                    [only] => self.need(only, name.as_str()),
                    several => open.push((name.clone(), several.to_vec())),
                }
            }
        }
        open
    }

    fn need(&mut self, name: &DebianName, who: &str) {
        if !self.needed.contains_key(name) {
            self.queue.push_back(name.clone());
        }
        let required_by = self.needed.entry(name.clone()).or_default();
        // A package that provides what it depends on is not there because of itself.
        if who != name.as_str() {
            required_by.insert(who.to_owned());
        }
    }

    /// Returns the packages of the solution that meet `clause`, in order of preference.
    fn meeting(&self, clause: &Clause) -> Vec<DebianName> {
        let mut meeting = Vec::new();
        for relation in clause {
            let by_name = self
                .solution
                .values()
                .filter(|package| package.name.as_str() == relation.name);
            let mut providers: Vec<_> = self
                .solution
                .values()
                .filter(|package| package.name.as_str() != relation.name)
                .collect();
            providers.sort_by_key(|package| package.priority);
            for package in by_name.chain(providers) {
                if package.meets(relation) && !meeting.contains(&package.name) {
                    meeting.push(package.name.clone());
                }
            }
        }
        meeting
    }

    fn finish(self) -> Vec<Chosen> {
        let Self {
            solution,
            mut needed,
            ..
        } = self;
        solution
            .into_iter()
            .filter_map(|(name, package)| {
                Some(Chosen {
                    required_by: needed.remove(&name)?,
                    package: Rc::unwrap_or_clone(package),
                })
            })
            .collect()
    }
}
