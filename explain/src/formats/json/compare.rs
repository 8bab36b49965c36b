//! Two documents, walked in step.

use std::collections::{BTreeMap, BTreeSet};

use crate::array::{Scalar, Tally};
use crate::base::{ABSENT, Difference, Fault, Source, Walk, nature, shown};
use crate::formats::Pair;
use crate::formats::json::parse::{Json, parse};

/// Tells in what two documents differ; returns what they are. `lines` says that there is a
/// document on each line.
pub(crate) fn compare(walk: &mut Walk, pair: Pair, lines: bool) -> Result<&'static str, Fault> {
    let read = |source: &Source| -> Result<Vec<(usize, Json)>, Fault> {
        parse(&String::from_utf8(source.whole(walk.limits.in_memory)?).map_err(Fault::of)?)
    };
    let (old, new) = (read(pair.old)?, read(pair.new)?);
    let lines = lines || old.len() != 1 || new.len() != 1;
    if old.len() != new.len() {
        let counts = (
            format!("{} documents", old.len()),
            format!("{} documents", new.len()),
        );
        walk.push(Difference::new(pair.at, counts.0, counts.1));
    }
    for ((line, left), (_, right)) in old.iter().zip(&new) {
        let at = if lines {
            format!("{}line {line}: ", pair.at)
        } else {
            pair.at.to_owned()
        };
        values(walk, &at, left, right);
    }
    Ok(if lines { "jsonl" } else { "json" })
}

fn values(walk: &mut Walk, at: &str, old: &Json, new: &Json) {
    match (old, new) {
        (Json::Object(left), Json::Object(right)) => objects(walk, at, left, right),
        (Json::Array(left), Json::Array(right)) => arrays(walk, at, left, right),
        (Json::Number(left), Json::Number(right)) => {
            let mut tally = Tally::new(1);
            number(&mut tally, 0, left, right);
            if let Some(difference) = tally.finish(at, |_| Vec::new()) {
                walk.push(difference);
            }
        }
        _ if old == new => {}
        (Json::Text(left), Json::Text(right)) => {
            let mut difference = Difference::new(at, write(old), write(new));
            difference.note = nature(left, right).map(str::to_owned);
            walk.push(difference);
        }
        _ => walk.push(Difference::new(at, write(old), write(new))),
    }
}

fn objects(walk: &mut Walk, at: &str, old: &[(String, Json)], new: &[(String, Json)]) {
    // Of a key that is there twice, the last one counts.
    let after: BTreeMap<&str, &Json> = new.iter().map(|(key, value)| (&**key, value)).collect();
    let before: BTreeMap<&str, &Json> = old.iter().map(|(key, value)| (&**key, value)).collect();
    let mut told = BTreeSet::new();
    for (key, _) in old.iter().chain(new) {
        if !told.insert(key) {
            continue;
        }
        let at = format!("{at}['{}']", shown(key));
        match (before.get(&**key), after.get(&**key)) {
            (Some(left), Some(right)) => values(walk, &at, left, right),
            (Some(left), None) => walk.push(Difference::new(&at, write(left), ABSENT)),
            (None, Some(right)) => walk.push(Difference::new(&at, ABSENT, write(right))),
            (None, None) => {}
        }
    }
    let was = old
        .iter()
        .map(|(key, _)| key)
        .filter(|key| after.contains_key(&***key));
    let is = new
        .iter()
        .map(|(key, _)| key)
        .filter(|key| before.contains_key(&***key));
    if let Some((was, is)) = was.zip(is).find(|(was, is)| was != is) {
        let difference = Difference::new(at, shown(was), shown(is));
        walk.push(difference.note("order of keys").metadata());
    }
}

fn arrays(walk: &mut Walk, at: &str, old: &[Json], new: &[Json]) {
    if old.len() != new.len() {
        let lengths = (
            format!("{} items", old.len()),
            format!("{} items", new.len()),
        );
        walk.push(Difference::new(at, lengths.0, lengths.1));
    }
    let number_of = |json: &Json| matches!(json, Json::Number(_));
    if !old.iter().chain(new).all(number_of) {
        for (position, (left, right)) in old.iter().zip(new).enumerate() {
            values(walk, &format!("{at}[{position}]"), left, right);
        }
        return;
    }
    let mut tally = Tally::new(old.len().min(new.len()) as u64);
    for (position, pair) in old.iter().zip(new).enumerate() {
        if let (Json::Number(left), Json::Number(right)) = pair {
            number(&mut tally, position as u64, left, right);
        }
    }
    if let Some(difference) = tally.finish(at, |position| vec![position]) {
        walk.push(difference);
    }
}

/// Counts two numbers, when they are not the same.
fn number(tally: &mut Tally, at: u64, old: &str, new: &str) {
    if old == new {
        return;
    }
    let (left, right) = (scalar(old), scalar(new));
    let same = match (&left, &right) {
        (Scalar::Float(_, left), Scalar::Float(_, right)) => left == right,
        (Scalar::Int(left), Scalar::Int(right)) => left == right,
        // `1` and `1.0`: readers in most languages see one number.
        _ => left.number().is_some() && left.number() == right.number(),
    };
    if !same {
        tally.differ(at, left, right);
    }
}

/// Returns the number as those who read JSON take it; one too large for that as it is spelt.
fn scalar(spelt: &str) -> Scalar {
    if let Ok(value) = spelt.parse::<i128>() {
        return Scalar::Int(value);
    }
    let whole = spelt
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-');
    match spelt.trim_start_matches('-') {
        "Infinity" if spelt.starts_with('-') => Scalar::f64(f64::NEG_INFINITY),
        "Infinity" => Scalar::f64(f64::INFINITY),
        _ if whole => Scalar::Text(spelt.to_owned()),
        _ => Scalar::f64(spelt.parse().unwrap_or(f64::NAN)),
    }
}

/// Returns the value in one short line.
fn write(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => shown(number),
        Json::Text(text) => format!("\"{}\"", shown(text)),
        Json::Array(items) => format!("array of {}", items.len()),
        Json::Object(entries) => {
            let keys: Vec<&str> = entries.iter().take(8).map(|(key, _)| &**key).collect();
            format!("object of {}: {}", entries.len(), shown(&keys.join(", ")))
        }
    }
}
