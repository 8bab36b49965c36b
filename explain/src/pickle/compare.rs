//! Two graphs of values, walked in step.

use std::collections::{BTreeMap, BTreeSet};

use crate::array::{self, Array, Scalar, Tally};
use crate::base::{ABSENT, Difference, Fault, Source, Walk, shown};
use crate::pickle::numpy::{self, Numpy};
use crate::pickle::repr::{Key, key, repr};
use crate::pickle::torch;
use crate::pickle::{Graph, Id, Node, Object};

/// Values within values; each takes some of the program's stack.
const DEPTH: usize = 150;

/// Pairs of values that are compared: shared values may be met in many combinations.
const PAIRS: usize = 1 << 23;

/// One of the two: its values, and where the bytes of its tensors lie.
pub(crate) struct Side<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) root: Id,
    /// Torch's storages by their keys.
    pub(crate) storages: &'a BTreeMap<String, Source>,
    pub(crate) big_endian: bool,
}

/// Tells in what two pickles differ.
pub(crate) fn compare(walk: &mut Walk, at: &str, old: &Side, new: &Side) -> Result<(), Fault> {
    let mut pair = Pair {
        walk,
        old,
        new,
        seen: BTreeSet::new(),
    };
    pair.values(at, old.root, new.root, 0)
}

struct Pair<'a, 'w, 'l> {
    walk: &'a mut Walk<'l>,
    old: &'a Side<'w>,
    new: &'a Side<'w>,
    /// Pairs that were walked: values may be shared and may hold themselves.
    seen: BTreeSet<(Id, Id)>,
}

impl Pair<'_, '_, '_> {
    fn values(&mut self, at: &str, old: Id, new: Id, depth: usize) -> Result<(), Fault> {
        if !self.seen.insert((old, new)) {
            return Ok(());
        }
        if self.seen.len() > PAIRS {
            let what = "the number of pairs of values that are compared".to_owned();
            return Err(Fault::TooMuch {
                what,
                limit: PAIRS as u64,
            });
        }
        if depth > DEPTH {
            let deep = Difference::new(at, "…", "…");
            self.walk.push(deep.note("lies too deep to be compared"));
            return Ok(());
        }
        let (a, b) = (self.old.graph, self.new.graph);
        match (a.get(old), b.get(new)) {
            (Node::List(left), Node::List(right)) | (Node::Tuple(left), Node::Tuple(right)) => {
                self.sequence(at, left, right, depth)
            }
            (Node::Dict(left), Node::Dict(right)) => {
                self.entries(at, left, right, depth, |key| format!("[{}]", shown(key)))
            }
            (Node::Set(left), Node::Set(right)) => {
                self.set(at, left, right);
                Ok(())
            }
            (Node::Object(left), Node::Object(right)) => self.objects(at, left, right, depth),
            (Node::Array(left), Node::Array(right)) => array::compare(self.walk, at, left, right),
            (Node::Persistent(left), Node::Persistent(right)) => {
                self.elsewhere(at, *left, *right, depth)
            }
            (Node::Bytes(left), Node::Bytes(right)) => self.bytes(at, left, right),
            (left, right) => {
                self.leaves(at, (old, left), (new, right));
                Ok(())
            }
        }
    }

    /// Compares what lies elsewhere: storages of torch's that no tensor shows.
    fn elsewhere(&mut self, at: &str, old: Id, new: Id, depth: usize) -> Result<(), Fault> {
        let left = torch::storage(self.old.graph, old);
        let right = torch::storage(self.new.graph, new);
        if let (Some((element, key)), Some((other, other_key))) = (left, right)
            && let (Some(before), Some(after)) =
                (self.old.storages.get(key), self.new.storages.get(other_key))
        {
            let array = |element: array::ElementType, bytes: &Source| Array {
                shape: vec![bytes.len() / (element.size as u64).max(1)],
                element,
                layout: array::Layout::C,
                bytes: bytes.clone(),
            };
            return array::compare(self.walk, at, &array(element, before), &array(other, after));
        }
        self.values(at, old, new, depth + 1)
    }

    fn bytes(&mut self, at: &str, left: &Source, right: &Source) -> Result<(), Fault> {
        let array = |source: &Source| Array {
            element: array::ElementType::int(1, false),
            shape: vec![source.len()],
            layout: array::Layout::C,
            bytes: source.clone(),
        };
        array::compare(self.walk, at, &array(left), &array(right))
    }

    fn leaves(&mut self, at: &str, (old, left): (Id, &Node), (new, right): (Id, &Node)) {
        let same = match (left, right) {
            (Node::None, Node::None) => true,
            (Node::Bool(left), Node::Bool(right)) => left == right,
            (Node::Int(left), Node::Int(right)) => left == right,
            (Node::Long(left), Node::Long(right)) => left == right,
            (Node::Float(left), Node::Float(right)) => left.to_bits() == right.to_bits(),
            (Node::Text(left), Node::Text(right)) => left == right,
            (Node::Name(left), Node::Name(right)) => left == right,
            _ => false,
        };
        if same {
            return;
        }
        let mut difference =
            Difference::new(at, repr(self.old.graph, old), repr(self.new.graph, new));
        if let (Some(left), Some(right)) = (scalar(left), scalar(right)) {
            let mut tally = Tally::new(1);
            tally.differ(0, left, right);
            let numbers = tally.finish(at, |_| Vec::new());
            difference.numbers = numbers.and_then(|found| found.numbers);
        }
        self.walk.push(difference);
    }

    fn sequence(&mut self, at: &str, old: &[Id], new: &[Id], depth: usize) -> Result<(), Fault> {
        if old.len() != new.len() {
            let lengths = (
                format!("{} items", old.len()),
                format!("{} items", new.len()),
            );
            self.walk.push(Difference::new(at, lengths.0, lengths.1));
        }
        if self.numbers(at, old, new) {
            return Ok(());
        }
        for (position, (left, right)) in old.iter().zip(new).enumerate() {
            self.values(&format!("{at}[{position}]"), *left, *right, depth + 1)?;
        }
        Ok(())
    }

    /// Compares a list of numbers as if it were an array; returns whether it is one.
    fn numbers(&mut self, at: &str, old: &[Id], new: &[Id]) -> bool {
        let (a, b) = (self.old.graph, self.new.graph);
        let pairs = || {
            old.iter()
                .zip(new)
                .map(|(old, new)| (scalar(a.get(*old)), scalar(b.get(*new))))
        };
        if old.len() < 2 || !pairs().all(|(old, new)| old.is_some() && new.is_some()) {
            return false;
        }
        let mut tally = Tally::new(old.len().min(new.len()) as u64);
        for (position, pair) in pairs().enumerate() {
            if let (Some(old), Some(new)) = pair
                && old != new
            {
                tally.differ(position as u64, old, new);
            }
        }
        if let Some(difference) = tally.finish(at, |position| vec![position]) {
            self.walk.push(difference);
        }
        true
    }

    fn entries(
        &mut self,
        at: &str,
        old: &[(Id, Id)],
        new: &[(Id, Id)],
        depth: usize,
        place: impl Fn(&str) -> String,
    ) -> Result<(), Fault> {
        let (left, right) = (keyed(self.old.graph, old), keyed(self.new.graph, new));
        let after: BTreeMap<&str, &Entry> =
            right.iter().map(|entry| (&*entry.name, entry)).collect();
        let before: BTreeSet<&str> = left.iter().map(|entry| &*entry.name).collect();
        for entry in &left {
            let at = format!("{at}{}", place(&entry.name));
            let Some(other) = after.get(&*entry.name) else {
                let shown = repr(self.old.graph, entry.value);
                self.walk.push(Difference::new(&at, shown, ABSENT));
                continue;
            };
            if !entry.whole {
                self.values(&format!("{at}.__key__"), entry.key, other.key, depth + 1)?;
            }
            self.values(&at, entry.value, other.value, depth + 1)?;
        }
        for entry in right.iter().filter(|entry| !before.contains(&*entry.name)) {
            let shown = repr(self.new.graph, entry.value);
            let at = format!("{at}{}", place(&entry.name));
            self.walk.push(Difference::new(&at, ABSENT, shown));
        }
        let was = left.iter().filter(|entry| after.contains_key(&*entry.name));
        let is = right.iter().filter(|entry| before.contains(&*entry.name));
        if let Some((was, is)) = was.zip(is).find(|(was, is)| was.name != is.name) {
            let difference = Difference::new(at, shown(&was.name), shown(&is.name));
            self.walk.push(difference.note("order of keys").metadata());
        }
        Ok(())
    }

    fn set(&mut self, at: &str, old: &[Id], new: &[Id]) {
        let listed = |graph: &Graph, ids: &[Id]| -> (Vec<String>, bool) {
            let keys: Vec<Key> = ids.iter().map(|id| key(graph, *id)).collect();
            let whole = keys.iter().all(|key| key.whole);
            (keys.into_iter().map(|key| key.text).collect(), whole)
        };
        let (was, old_whole) = listed(self.old.graph, old);
        let (is, new_whole) = listed(self.new.graph, new);
        let sorted = |items: &[String]| {
            let mut items = items.to_vec();
            items.sort();
            items
        };
        let (left, right) = (sorted(&was), sorted(&is));
        let difference = Difference::new(at, shown(&was.join(", ")), shown(&is.join(", ")));
        if left == right {
            if !old_whole || !new_whole {
                let note =
                    "a set of objects: only what they are made of is compared, not their state";
                self.walk.push(difference.note(note));
            } else if was != is {
                let note = "order of a set: it follows the hash seed or the addresses of its items";
                self.walk.push(difference.note(note).metadata());
            }
            return;
        }
        let before = self.walk.found();
        for item in left
            .iter()
            .filter(|item| right.binary_search(item).is_err())
        {
            let gone = Difference::new(at, shown(item), ABSENT);
            self.walk.push(gone.note("item of a set"));
        }
        for item in right
            .iter()
            .filter(|item| left.binary_search(item).is_err())
        {
            let come = Difference::new(at, ABSENT, shown(item));
            self.walk.push(come.note("item of a set"));
        }
        if self.walk.found() == before {
            self.walk.push(difference.note("items of a set"));
        }
    }

    fn objects(&mut self, at: &str, old: &Object, new: &Object, depth: usize) -> Result<(), Fault> {
        let (a, b) = (self.old.graph, self.new.graph);
        if let (Some(left), Some(right)) = (numpy::array(a, old), numpy::array(b, new)) {
            match (left, right) {
                (Numpy::Array(left), Numpy::Array(right)) => {
                    return array::compare(self.walk, at, &left, &right);
                }
                (Numpy::Objects(left, from), Numpy::Objects(right, to)) if left == right => {
                    return self.values(at, from, to, depth + 1);
                }
                // Of other shapes, or objects on one side only: as what they are made of.
                _ => {}
            }
        }
        if let (Some(left), Some(right)) = (torch::tensor(a, old), torch::tensor(b, new)) {
            let storages = (
                self.old.storages.get(&left.key),
                self.new.storages.get(&right.key),
            );
            if let (Some(before), Some(after)) = storages {
                let left = left.array(before, self.old.big_endian);
                let right = right.array(after, self.new.big_endian);
                return array::compare(self.walk, at, &left, &right);
            }
        }
        if let (Some(left), Some(right)) = (numpy::encoded(a, old), numpy::encoded(b, new)) {
            return self.bytes(at, &left, &right);
        }
        self.values(
            &format!("{at}.__class__"),
            old.callable,
            new.callable,
            depth + 1,
        )?;
        // A parameter is the tensor that it was made from.
        let inner = match a.name(old.callable) {
            Some(("torch._utils", name)) if name.starts_with("_rebuild_parameter") => at.to_owned(),
            _ => format!("{at}.__args__"),
        };
        match (a.items(old.arguments), b.items(new.arguments)) {
            (Some([left, ..]), Some([right, ..])) if inner == at => {
                self.values(at, *left, *right, depth + 1)?;
            }
            _ => self.values(&inner, old.arguments, new.arguments, depth + 1)?,
        }
        self.optional(
            &format!("{at}.__kwargs__"),
            (old.keywords, new.keywords),
            depth,
        )?;
        self.state(at, (old.state, new.state), depth)?;
        self.sequence(at, &old.items, &new.items, depth)?;
        self.entries(at, &old.entries, &new.entries, depth, |key| {
            format!("[{}]", shown(key))
        })
    }

    fn optional(
        &mut self,
        at: &str,
        (old, new): (Option<Id>, Option<Id>),
        depth: usize,
    ) -> Result<(), Fault> {
        match (old, new) {
            (Some(old), Some(new)) => self.values(at, old, new, depth + 1)?,
            (Some(old), None) => {
                self.walk
                    .push(Difference::new(at, repr(self.old.graph, old), ABSENT));
            }
            (None, Some(new)) => {
                self.walk
                    .push(Difference::new(at, ABSENT, repr(self.new.graph, new)));
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Compares states; those that are dicts are attributes.
    fn state(
        &mut self,
        at: &str,
        states: (Option<Id>, Option<Id>),
        depth: usize,
    ) -> Result<(), Fault> {
        if let (Some(old), Some(new)) = states
            && let (Node::Dict(left), Node::Dict(right)) =
                (self.old.graph.get(old), self.new.graph.get(new))
        {
            return self.entries(at, left, right, depth, |key| {
                format!(".{}", shown(key.trim_matches('\'')))
            });
        }
        self.optional(&format!("{at}.__state__"), states, depth)
    }
}

/// An entry whose key can be looked up.
struct Entry {
    name: String,
    /// Whether the name tells all of the key.
    whole: bool,
    key: Id,
    value: Id,
}

/// Returns entries with keys that can be looked up; a key that is there twice is told by its count.
fn keyed(graph: &Graph, entries: &[(Id, Id)]) -> Vec<Entry> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let named = entries.iter().map(|(id, value)| {
        let Key { text, whole } = key(graph, *id);
        let count = seen.entry(text.clone()).or_default();
        *count += 1;
        let name = if *count > 1 {
            format!("{text} ({count})")
        } else {
            text
        };
        Entry {
            name,
            whole,
            key: *id,
            value: *value,
        }
    });
    named.collect()
}

fn scalar(node: &Node) -> Option<Scalar> {
    match node {
        Node::Int(value) => Some(Scalar::Int(i128::from(*value))),
        Node::Float(value) => Some(Scalar::f64(*value)),
        _ => None,
    }
}
