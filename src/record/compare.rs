//! Two records, block by block.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::record::{Block, BlockName, Ending, Firmness, Output, RunId, RunRecord};

/// How two runs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The old run.
    pub old: RunId,
    /// The new run.
    pub new: RunId,
    /// The blocks, the highest first.
    pub blocks: Vec<BlockComparison>,
    /// The lowest block that differs in what a step could see: each stands on those after it, so
    /// a difference there may be why all above differ.
    pub lowest: Option<BlockName>,
    /// Whether the steps ended alike.
    pub ended: Option<Difference>,
    /// Outputs that differ, sorted by path; nothing is known when a run did not note them.
    pub outputs: Option<Vec<OutputDifference>>,
}

/// How a block differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlockComparison {
    /// Which.
    pub block: BlockName,
    /// Whether the steps could see the same.
    pub same: bool,
    /// How firm it was in the old run.
    pub old: Firmness,
    /// How firm it was in the new run.
    pub new: Firmness,
    /// What the steps saw that differs.
    pub seen: Vec<Difference>,
    /// What differs and the steps could not see.
    pub noted: Vec<Difference>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What.
    pub name: String,
    /// What it was in the old run; nothing if it was not there.
    pub old: Option<String>,
    /// What it was in the new run.
    pub new: Option<String>,
}

/// An output that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputDifference {
    /// Its path.
    pub path: String,
    /// What the old run made.
    pub old: Option<Output>,
    /// What the new run made.
    pub new: Option<Output>,
}

impl Comparison {
    /// Says whether what came out is the same.
    pub fn is_same(&self) -> bool {
        self.ended.is_none() && self.outputs.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Compares two records.
pub fn compare(old: &RunRecord, new: &RunRecord) -> Comparison {
    let (a, b) = (&old.tower, &new.tower);
    let blocks = vec![
        block(BlockName::Code, &a.code, &b.code),
        block(BlockName::Parameters, &a.parameters, &b.parameters),
        block(BlockName::Libraries, &a.libraries, &b.libraries),
        block(BlockName::Compute, &a.compute, &b.compute),
        block(BlockName::Data, &a.data, &b.data),
        block(BlockName::Entropy, &a.entropy, &b.entropy),
    ];
    let differ = blocks.iter().rev().find(|block| !block.same);
    Comparison {
        old: old.run,
        new: new.run,
        lowest: differ.map(|block| block.block),
        ended: ended(old, new),
        outputs: outputs(old, new),
        blocks,
    }
}

fn block<S: Serialize, N: Serialize>(
    block: BlockName,
    old: &Block<S, N>,
    new: &Block<S, N>,
) -> BlockComparison {
    BlockComparison {
        block,
        same: old.digest == new.digest,
        old: old.state,
        new: new.state,
        seen: differences(&old.seen, &new.seen),
        noted: differences(&old.noted, &new.noted),
    }
}

/// Returns the leaves at which two values differ.
fn differences(old: &impl Serialize, new: &impl Serialize) -> Vec<Difference> {
    pairs(leaves(old), leaves(new))
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| Difference { name, old, new })
        .collect()
}

fn leaves(value: &impl Serialize) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let value = serde_json::to_value(value).expect("all keys are text");
    collect(&value, String::new(), &mut leaves);
    leaves
}

/// A list is one leaf: what shifts in it would look as if all after it differed.
fn collect(value: &Value, name: String, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (member, value) in members {
                let name = match name.is_empty() {
                    true => member.clone(),
                    false => format!("{name}.{member}"),
                };
                collect(value, name, leaves);
            }
        }
        Value::String(text) => drop(leaves.insert(name, text.clone())),
        Value::Array(items) if items.is_empty() => {}
        other => drop(leaves.insert(name, other.to_string())),
    }
}

/// Walks two maps side by side.
fn pairs<K: Ord + Clone, V>(
    old: BTreeMap<K, V>,
    mut new: BTreeMap<K, V>,
) -> impl Iterator<Item = (K, Option<V>, Option<V>)> {
    let mut all: Vec<_> = old
        .into_iter()
        .map(|(key, value)| {
            let other = new.remove(&key);
            (key, Some(value), other)
        })
        .collect();
    all.extend(new.into_iter().map(|(key, value)| (key, None, Some(value))));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.into_iter()
}

fn ended(old: &RunRecord, new: &RunRecord) -> Option<Difference> {
    let text = |record: &RunRecord| {
        Some(match record.ended.as_ref()?.exit {
            Ending::Code(code) => format!("status {code}"),
            Ending::Signal(signal) => format!("signal {signal}"),
        })
    };
    let (old, new) = (text(old), text(new));
    (old != new).then(|| Difference {
        name: "exit".to_owned(),
        old,
        new,
    })
}

fn outputs(old: &RunRecord, new: &RunRecord) -> Option<Vec<OutputDifference>> {
    let known = |record: &RunRecord| record.ended.as_ref()?.outputs.as_ref().map(drop);
    known(old).and_then(|()| known(new))?;
    let results = |record: &RunRecord| -> BTreeMap<String, Output> {
        let results = record
            .results()
            .map(|output| (output.path.to_string(), output.clone()));
        results.collect()
    };
    let differ = |old: &Option<Output>, new: &Option<Output>| match (old, new) {
        // Whether something was there before is up to the project that the run found.
        (Some(old), Some(new)) => {
            let what = |one: &Output| {
                let Output {
                    r#type,
                    sha256,
                    mode,
                    target,
                    ..
                } = one.clone();
                (r#type, sha256, mode, target)
            };
            what(old) != what(new)
        }
        _ => true,
    };
    let pairs = pairs(results(old), results(new)).filter(|(_, old, new)| differ(old, new));
    Some(
        pairs
            .map(|(path, old, new)| OutputDifference { path, old, new })
            .collect(),
    )
}
