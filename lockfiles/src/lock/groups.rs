//! `[request.groups.NAME]`: what is asked for at times only, as the lock writes, reads and compares
//! it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::base::{DebianName, GroupName};
use crate::lock::order::{Disorder, words};
use crate::lock::reason::StaleReason;
use crate::lock::request::sorted;
use crate::lock::schema::GroupRequest;
use crate::lock::write::list;
use crate::manifest::Group;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupWire {
    requirements: Vec<String>,
    conda: Vec<String>,
    packages: Vec<DebianName>,
}

/// By name.
pub(super) type Groups = BTreeMap<GroupName, GroupRequest>;

impl GroupWire {
    pub(super) fn into_request(self) -> GroupRequest {
        GroupRequest {
            requirements: self.requirements,
            conda: self.conda,
            packages: self.packages,
        }
    }
}

impl GroupRequest {
    pub(super) fn of(group: &Group) -> Self {
        Self {
            requirements: sorted(&group.requirements),
            conda: sorted(&group.conda),
            packages: sorted(&group.debian),
        }
    }

    fn disorder(&self) -> Option<Disorder> {
        words("`requirements` of a group", &self.requirements)
            .or_else(|| words("`conda` of a group", &self.conda))
            .or_else(|| words("`packages` of a group", &self.packages))
    }
}

/// Writes the tables.
pub(super) fn group_tables(text: &mut String, groups: &Groups) {
    for (name, group) in groups {
        text.push_str(&format!("\n[request.groups.{name}]\n"));
        list(text, "requirements", &group.requirements);
        list(text, "conda", &group.conda);
        list(text, "packages", &group.packages);
    }
}

/// Returns the first entry that is out of order. Names are sorted: they are keys.
pub(super) fn disorder(groups: &Groups) -> Option<Disorder> {
    groups.values().find_map(GroupRequest::disorder)
}

/// Names every change.
pub(super) fn compare(locked: &Groups, asked: &Groups, reasons: &mut Vec<StaleReason>) {
    let nothing = GroupRequest::default();
    let names = locked
        .keys()
        .chain(asked.keys().filter(|name| !locked.contains_key(*name)));
    for name in names {
        let group = name.clone();
        match (locked.contains_key(name), asked.contains_key(name)) {
            (false, true) => reasons.push(StaleReason::GroupAdded { group }),
            (true, false) => reasons.push(StaleReason::GroupRemoved { group }),
            _ => {}
        }
        let before = locked.get(name).unwrap_or(&nothing);
        let now = asked.get(name).unwrap_or(&nothing);
        items(name, before, now, reasons);
    }
}

fn items(
    name: &GroupName,
    before: &GroupRequest,
    now: &GroupRequest,
    reasons: &mut Vec<StaleReason>,
) {
    let group = || name.clone();
    for requirement in added(&before.requirements, &now.requirements) {
        let group = group();
        reasons.push(StaleReason::GroupRequirementAdded { group, requirement });
    }
    for requirement in added(&now.requirements, &before.requirements) {
        let group = group();
        reasons.push(StaleReason::GroupRequirementRemoved { group, requirement });
    }
    for dependency in added(&before.conda, &now.conda) {
        let group = group();
        reasons.push(StaleReason::GroupCondaAdded { group, dependency });
    }
    for dependency in added(&now.conda, &before.conda) {
        let group = group();
        reasons.push(StaleReason::GroupCondaRemoved { group, dependency });
    }
    for package in added(&before.packages, &now.packages) {
        let group = group();
        reasons.push(StaleReason::GroupPackageAdded { group, package });
    }
    for package in added(&now.packages, &before.packages) {
        let group = group();
        reasons.push(StaleReason::GroupPackageRemoved { group, package });
    }
}

/// Returns what `now` has and `before` has not.
fn added<T: Clone + PartialEq>(before: &[T], now: &[T]) -> Vec<T> {
    let new = now.iter().filter(|item| !before.contains(item));
    new.cloned().collect()
}
