//! Pickles, one after another in a file; joblib's too.

use std::collections::BTreeMap;

use crate::base::{Difference, Fault, Source, Walk};
use crate::formats::Pair;
use crate::pickle::{self, Graph, Id};

/// Tells in what two pickles differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let (old, old_roots) = read(pair.old, walk.limits.members)?;
    let (new, new_roots) = read(pair.new, walk.limits.members)?;
    if old_roots.len() != new_roots.len() {
        let counts = (old_roots.len().to_string(), new_roots.len().to_string());
        walk.push(Difference::new(pair.at, counts.0, counts.1).note("pickles in the file"));
    }
    let none = BTreeMap::new();
    for (position, (left, right)) in old_roots.iter().zip(&new_roots).enumerate() {
        let at = if old_roots.len() > 1 {
            format!("{}pickle {position}: ", pair.at)
        } else {
            pair.at.to_owned()
        };
        let side = |graph, root| pickle::Side {
            graph,
            root,
            storages: &none,
            big_endian: false,
        };
        pickle::compare(walk, &at, &side(&old, *left), &side(&new, *right))?;
    }
    Ok(())
}

fn read(source: &Source, most: usize) -> Result<(Graph, Vec<Id>), Fault> {
    let mut graph = Graph::default();
    let mut cursor = source.reader();
    let mut roots = Vec::new();
    while cursor.position() < source.len() {
        if roots.len() >= most {
            let what = "the number of pickles in one file".to_owned();
            return Err(Fault::TooMuch {
                what,
                limit: most as u64,
            });
        }
        roots.push(pickle::read(&mut cursor, &mut graph)?);
    }
    Ok((graph, roots))
}
