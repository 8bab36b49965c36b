//! What archives and directories have in common: members with names.

use std::collections::BTreeMap;

use crate::base::{ABSENT, Difference, Fault, Source, Walk, shown};
use crate::formats::{Pair, compare as compare_any};

/// A member of an archive or a directory.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) kind: MemberKind,
    /// What says nothing about the content, as name and value (`time`, `mode`).
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    Directory,
    /// A link, and what it points to.
    Link(String),
    /// A device, a pipe and the like.
    Other(String),
}

impl MemberKind {
    fn title(&self) -> String {
        match self {
            Self::File => "file".to_owned(),
            Self::Directory => "directory".to_owned(),
            Self::Link(target) => format!("link to {}", shown(target)),
            Self::Other(what) => what.clone(),
        }
    }
}

/// One side: an archive or a directory that is open.
pub(crate) trait Members {
    /// Returns the members, in their order.
    fn list(&self) -> &[Member];

    /// Returns the content of one.
    fn open(&mut self, walk: &mut Walk, index: usize) -> Result<Source, Fault>;
}

/// Tells in what the members differ, each after its kind.
pub(crate) fn compare(
    walk: &mut Walk,
    at: &str,
    old: &mut dyn Members,
    new: &mut dyn Members,
) -> Result<(), Fault> {
    compare_named(walk, at, old, new, |_| true)
}

/// The same, of those members alone whose name is wanted.
pub(crate) fn compare_named(
    walk: &mut Walk,
    at: &str,
    old: &mut dyn Members,
    new: &mut dyn Members,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), Fault> {
    let (left, right) = (named(old.list()), named(new.list()));
    order(walk, at, &left, &right);
    facts(walk, at, (old.list(), &left), (new.list(), &right));
    let after: BTreeMap<&str, usize> = right.iter().map(|(name, at)| (&**name, *at)).collect();
    let before: BTreeMap<&str, usize> = left.iter().map(|(name, at)| (&**name, *at)).collect();
    for (name, index) in left.iter().filter(|(name, _)| wanted(name)) {
        let kind = old.list()[*index].kind.clone();
        let place = format!("{at}member {}: ", shown(name));
        let Some(other) = after.get(&**name) else {
            walk.push(Difference::new(&place, kind.title(), ABSENT));
            continue;
        };
        let other_kind = &new.list()[*other].kind;
        if kind != *other_kind {
            walk.push(Difference::new(&place, kind.title(), other_kind.title()));
        } else if kind == MemberKind::File {
            content(walk, (&place, name), (old, *index), (new, *other))?;
        }
    }
    for (name, index) in right.iter().filter(|(name, _)| wanted(name)) {
        if !before.contains_key(&**name) {
            let title = new.list()[*index].kind.title();
            let place = format!("{at}member {}: ", shown(name));
            walk.push(Difference::new(&place, ABSENT, title));
        }
    }
    Ok(())
}

fn content(
    walk: &mut Walk,
    (place, name): (&str, &str),
    (old, index): (&mut dyn Members, usize),
    (new, other): (&mut dyn Members, usize),
) -> Result<(), Fault> {
    let (left, right) = match (old.open(walk, index), new.open(walk, other)) {
        (Ok(left), Ok(right)) => (left, right),
        (left, right) => {
            let state = |side: Result<Source, Fault>| match side {
                Ok(source) => format!("{} bytes", source.len()),
                Err(fault) => shown(&fault.to_string()),
            };
            let difference = Difference::new(place, state(left), state(right));
            walk.push(difference.note("could not be opened, so it is not compared"));
            return Ok(());
        }
    };
    compare_any(
        walk,
        Pair {
            at: place,
            name,
            old: &left,
            new: &right,
        },
    )?;
    Ok(())
}

/// Returns names with the members they stand for. Of a name that is there twice, the later ones
/// have their count behind it.
fn named(members: &[Member]) -> Vec<(String, usize)> {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let named = members.iter().enumerate().map(|(index, member)| {
        let count = seen.entry(&member.name).or_default();
        *count += 1;
        let name = match *count {
            1 => member.name.clone(),
            count => format!("{} ({count})", member.name),
        };
        (name, index)
    });
    named.collect()
}

fn order(walk: &mut Walk, at: &str, old: &[(String, usize)], new: &[(String, usize)]) {
    let listed = |names: &[(String, usize)], other: &[(String, usize)]| -> Vec<String> {
        let other: std::collections::BTreeSet<&str> =
            other.iter().map(|(name, _)| &**name).collect();
        let common = names.iter().filter(|(name, _)| other.contains(&**name));
        common.map(|(name, _)| name.clone()).collect()
    };
    let (was, is) = (listed(old, new), listed(new, old));
    if let Some((was, is)) = was.iter().zip(&is).find(|(was, is)| was != is) {
        let difference = Difference::new(at, shown(was), shown(is));
        walk.push(difference.note("order of members").metadata());
    }
}

/// Tells each fact that differs once, with the first member and how many there are.
fn facts(
    walk: &mut Walk,
    at: &str,
    (old, left): (&[Member], &[(String, usize)]),
    (new, right): (&[Member], &[(String, usize)]),
) {
    let after: BTreeMap<&str, usize> = right.iter().map(|(name, at)| (&**name, *at)).collect();
    let mut found: BTreeMap<&str, (u64, Difference)> = BTreeMap::new();
    for (name, index) in left {
        let Some(other) = after.get(&**name) else {
            continue;
        };
        let other: BTreeMap<&str, &String> = new[*other]
            .facts
            .iter()
            .map(|(fact, value)| (*fact, value))
            .collect();
        for (fact, value) in &old[*index].facts {
            let Some(now) = other.get(fact).filter(|now| **now != value) else {
                continue;
            };
            let place = format!("{at}member {}", shown(name));
            let first = || Difference::new(&place, shown(value), shown(now)).metadata();
            found.entry(fact).or_insert_with(|| (0, first())).0 += 1;
        }
    }
    for (fact, (count, difference)) in found {
        let note = if count == 1 {
            fact.to_owned()
        } else {
            format!("{fact}, of {count} members")
        };
        walk.push(difference.note(note));
    }
}
