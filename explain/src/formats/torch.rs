//! Torch's checkpoints: a pickle, and the storages of its tensors beside it.
//! Source: `torch.serialization`.

use std::collections::BTreeMap;
use std::io::Read;

use crate::base::{ABSENT, Cursor, Difference, Fault, Source, Walk, shown};
use crate::formats::Pair;
use crate::formats::members::{self, Members};
use crate::formats::zip::Zip;
use crate::pickle::{self, Graph, Id, Node};

/// Bytes of a member that says how numbers are written.
const WORD: u64 = 64;

/// Members that say how torch wrote the others: no value is in them. Since torch 2 the last is there,
/// a hash over the names and checksums of all others.
const FACTS: [&str; 5] = [
    "version",
    "byteorder",
    ".format_version",
    ".storage_alignment",
    ".data/serialization_id",
];

/// Returns whether an archive is a checkpoint.
pub(crate) fn is_checkpoint(zip: &Zip) -> bool {
    prefix(zip).is_some()
}

/// Returns the directory within the archive, `model/`; torch names it after the file.
fn prefix(zip: &Zip) -> Option<String> {
    let names = zip.members.iter().map(|member| &member.name);
    let mut found = names.filter_map(|name| name.strip_suffix("data.pkl"));
    found
        .find(|prefix| prefix.matches('/').count() == 1)
        .map(str::to_owned)
}

/// Tells in what two checkpoints differ.
pub(crate) fn compare(
    walk: &mut Walk,
    at: &str,
    old: &mut Zip,
    new: &mut Zip,
) -> Result<(), Fault> {
    let (left, right) = (read(walk, old)?, read(walk, new)?);
    if left.prefix != right.prefix {
        let difference = Difference::new(at, shown(&left.prefix), shown(&right.prefix));
        let note = "directory in the archive: torch names it after the file";
        walk.push(difference.note(note).metadata());
    }
    pickle::compare(walk, at, &left.side(), &right.side())?;
    for (zip, prefix) in [(&mut *old, &left.prefix), (&mut *new, &right.prefix)] {
        for member in &mut zip.members {
            if let Some(name) = member.name.strip_prefix(&**prefix) {
                member.name = name.to_owned();
            }
        }
    }
    for name in FACTS {
        let (left, right) = (fact(walk, old, name)?, fact(walk, new, name)?);
        if left != right {
            let shown = |fact: Option<String>| fact.map_or(ABSENT.to_owned(), |text| shown(&text));
            let at = format!("{at}member {name}: ");
            let difference = Difference::new(&at, shown(left), shown(right));
            walk.push(difference.note("how torch wrote the file").metadata());
        }
    }
    let told =
        |name: &str| name == "data.pkl" || name.starts_with("data/") || FACTS.contains(&name);
    members::compare_named(walk, at, old, new, |name| !told(name))
}

/// Returns what a member says, if it is there.
fn fact(walk: &mut Walk, zip: &mut Zip, name: &str) -> Result<Option<String>, Fault> {
    let place = zip.members.iter().position(|member| member.name == name);
    let Some(index) = place else { return Ok(None) };
    let bytes = zip.open(walk, index)?.whole(WORD)?;
    Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()))
}

struct Checkpoint {
    prefix: String,
    graph: Graph,
    root: Id,
    storages: BTreeMap<String, Source>,
    big_endian: bool,
}

impl Checkpoint {
    fn side(&self) -> pickle::Side<'_> {
        pickle::Side {
            graph: &self.graph,
            root: self.root,
            storages: &self.storages,
            big_endian: self.big_endian,
        }
    }
}

fn read(walk: &mut Walk, zip: &mut Zip) -> Result<Checkpoint, Fault> {
    let prefix = prefix(zip).ok_or_else(|| Fault::malformed("there is no `data.pkl`"))?;
    let names: Vec<String> = zip
        .members
        .iter()
        .map(|member| member.name.clone())
        .collect();
    let mut storages = BTreeMap::new();
    let (mut graph, mut root, mut big_endian) = (Graph::default(), None, false);
    for (index, name) in names.iter().enumerate() {
        let Some(name) = name.strip_prefix(&prefix) else {
            continue;
        };
        if name == "data.pkl" {
            let source = zip.open(walk, index)?;
            root = Some(pickle::read(&mut source.reader(), &mut graph)?);
        } else if name == "byteorder" {
            big_endian = zip.open(walk, index)?.whole(WORD)?.starts_with(b"big");
        } else if let Some(key) = name.strip_prefix("data/") {
            storages.insert(key.to_owned(), zip.open(walk, index)?);
        }
    }
    let root = root.ok_or_else(|| Fault::malformed("there is no `data.pkl`"))?;
    Ok(Checkpoint {
        prefix,
        graph,
        root,
        storages,
        big_endian,
    })
}

/// Tells in what two checkpoints differ that were written before torch wrote zip archives: five
/// pickles (a number, the protocol, facts of the system, the object, the storages' keys), then each
/// storage with its length before it.
pub(crate) fn compare_pickles(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let (old, new) = (read_pickles(pair.old)?, read_pickles(pair.new)?);
    pickle::compare(walk, pair.at, &old.side(), &new.side())
}

fn read_pickles(source: &Source) -> Result<Checkpoint, Fault> {
    let mut graph = Graph::default();
    let mut cursor = source.reader();
    let mut roots = Vec::new();
    for _ in 0..5 {
        roots.push(pickle::read(&mut cursor, &mut graph)?);
    }
    let wrong = || Fault::malformed("the checkpoint does not list its storages");
    let [_, _, system, root, keys] = roots[..] else {
        return Err(wrong());
    };
    let keys = graph.items(keys).ok_or_else(wrong)?;
    let little = graph.attribute(system, "little_endian");
    let big_endian = matches!(little.map(|id| graph.get(id)), Some(Node::Bool(false)));
    let mut storages = BTreeMap::new();
    let sizes = sizes(&graph);
    for key in keys {
        let key = graph.text(*key).ok_or_else(wrong)?;
        let size = *sizes.get(key).ok_or_else(wrong)?;
        storages.insert(key.to_owned(), storage(&mut cursor, size)?);
    }
    Ok(Checkpoint {
        prefix: String::new(),
        graph,
        root,
        storages,
        big_endian,
    })
}

fn storage(cursor: &mut Cursor, size: u64) -> Result<Source, Fault> {
    let mut length = [0; 8];
    cursor.read_exact(&mut length)?;
    let bytes = u64::from_le_bytes(length).checked_mul(size);
    cursor.take_source(bytes.ok_or_else(|| Fault::malformed("a storage is too large"))?)
}

/// Returns the bytes of one element of each storage.
fn sizes(graph: &Graph) -> BTreeMap<String, u64> {
    let persistent = graph.ids().filter_map(|id| match graph.get(id) {
        Node::Persistent(id) => Some(*id),
        _ => None,
    });
    let storages = persistent.filter_map(|id| pickle::storage(graph, id));
    storages
        .map(|(element, key)| (key.to_owned(), element.size as u64))
        .collect()
}
