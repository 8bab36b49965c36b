//! Conda's packages in an environment.

use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::Platform;
use envbox_lockfiles::lock::LockedCondaPackage;

/// The version of the rules by which conda packages become trees. Raise it whenever the tree of one
/// changes.
pub(super) const RULES: u32 = 1;

/// Returns the packages for `platform`, each behind those that it needs, and by name where that
/// leaves a choice. Of packages that need each other, the first by name comes first.
pub(super) fn in_order(
    packages: &[LockedCondaPackage],
    platform: Platform,
) -> Vec<&LockedCondaPackage> {
    let here = packages.iter().filter(|p| p.platforms.contains(&platform));
    let mut left: BTreeMap<&str, &LockedCondaPackage> = here
        .map(|package| (package.name.as_str(), package))
        .collect();
    // How many of what it needs are still to come.
    let mut needs: BTreeMap<&str, usize> = left.keys().map(|name| (*name, 0)).collect();
    for package in left.values() {
        for by in dependents(package) {
            if let Some(count) = needs.get_mut(by) {
                *count += 1;
            }
        }
    }
    let mut free: BTreeSet<&str> = needs
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(name, _)| *name)
        .collect();
    let mut order = Vec::with_capacity(left.len());
    while let Some(next) = free.pop_first().or_else(|| left.keys().next().copied()) {
        let Some(package) = left.remove(next) else {
            continue;
        };
        order.push(package);
        for by in dependents(package) {
            if let Some(count) = needs.get_mut(by) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    free.insert(by);
                }
            }
        }
    }
    order
}

/// Returns the names of the packages that need this one.
fn dependents(package: &LockedCondaPackage) -> impl Iterator<Item = &str> {
    let all = package.required_by.iter().map(String::as_str);
    all.filter(|by| *by != package.name.as_str())
}
