//! Text, line by line.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::array::{Scalar, Tally};
use crate::base::{ABSENT, Difference, Fault, Source, Walk, nature, shown};
use crate::formats::Pair;

/// Lines between the first and the last that differ, up to which the shortest edit is looked for:
/// its search takes the square of them.
const LINES: usize = 5000;

/// Lines that are shown of a block.
const SHOWN: usize = 5;

/// Returns whether both are text as a whole.
pub(crate) fn both_are_text(pair: Pair) -> Result<bool, Fault> {
    let text = |source: &Source| -> Result<bool, Fault> {
        let head = source.head(8 << 10)?;
        Ok(!head.contains(&0) && std::str::from_utf8(&head).is_ok_and(|text| !text.is_empty()))
    };
    Ok(text(pair.old)? && text(pair.new)?)
}

/// Tells in what two texts differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let read = |source: &Source| -> Result<String, Fault> {
        String::from_utf8(source.whole(walk.limits.in_memory)?).map_err(Fault::of)
    };
    let (old, new) = (read(pair.old)?, read(pair.new)?);
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let prefix = old
        .iter()
        .zip(&new)
        .take_while(|(old, new)| old == new)
        .count();
    let tails = old[prefix..].iter().rev().zip(new[prefix..].iter().rev());
    let suffix = tails.take_while(|(old, new)| old == new).count();
    let left = &old[prefix..old.len() - suffix];
    let right = &new[prefix..new.len() - suffix];
    for (from, to) in blocks(left, right) {
        let at = prefix + from.start;
        changed(walk, pair.at, at, &left[from], &right[to]);
    }
    Ok(())
}

type Block = (std::ops::Range<usize>, std::ops::Range<usize>);

/// Returns the blocks of lines that differ.
fn blocks(old: &[&str], new: &[&str]) -> Vec<Block> {
    if old.len().max(new.len()) > LINES {
        let common = old.len().min(new.len());
        let mut blocks: Vec<Block> = (0..common)
            .filter(|line| old[*line] != new[*line])
            .map(|line| (line..line + 1, line..line + 1))
            .collect();
        if old.len() != new.len() {
            blocks.push((common..old.len(), common..new.len()));
        }
        return blocks;
    }
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for line in old.iter().chain(new) {
        let next = known.len();
        known.entry(line).or_insert(next);
    }
    let numbered = |lines: &[&str]| -> Vec<Option<usize>> {
        lines.iter().map(|line| known.get(line).copied()).collect()
    };
    let (left, right) = (numbered(old), numbered(new));
    let operations = capture_diff_slices(Algorithm::Myers, &left, &right);
    let changes = operations
        .iter()
        .filter(|operation| !matches!(operation, DiffOp::Equal { .. }));
    changes
        .map(|operation| (operation.old_range(), operation.new_range()))
        .collect()
}

/// Tells one block. Blocks of as many lines on both sides are told line by line.
fn changed(walk: &mut Walk, at: &str, line: usize, old: &[&str], new: &[&str]) {
    if old.len() == new.len() {
        for (position, (left, right)) in old.iter().zip(new).enumerate() {
            let place = format!("{at}line {}", line + position + 1);
            walk.push(changed_line(&place, left, right));
        }
        return;
    }
    let place = match old.len() {
        0 => format!("{at}after line {line}"),
        1 => format!("{at}line {}", line + 1),
        lines => format!("{at}lines {} to {}", line + 1, line + lines),
    };
    let all = |lines: &[&str]| -> String {
        let text: String = lines.iter().take(SHOWN).copied().collect();
        if lines.is_empty() {
            ABSENT.to_owned()
        } else {
            shown(&text)
        }
    };
    let counts = format!("{} lines became {}", old.len(), new.len());
    walk.push(Difference::new(&place, all(old), all(new)).note(counts));
}

/// Returns how a line differs; in its numbers, when it differs only in them.
fn changed_line(place: &str, old: &str, new: &str) -> Difference {
    let (left, right) = (
        old.trim_end_matches(['\n', '\r']),
        new.trim_end_matches(['\n', '\r']),
    );
    let mut difference = Difference::new(place, shown(left), shown(right));
    if left == right {
        return difference
            .note("only the end of the line differs")
            .metadata();
    }
    difference.note = nature(left, right).map(str::to_owned);
    if difference.note.is_none() {
        difference.numbers = numbers(left, right);
    }
    difference
}

fn numbers(old: &str, new: &str) -> Option<crate::Numbers> {
    let (left, right) = (numbers_of(old), numbers_of(new));
    if left.0 != right.0 || left.1.len() != right.1.len() {
        return None;
    }
    let mut tally = Tally::new(left.1.len() as u64);
    for (position, (old, new)) in left.1.iter().zip(&right.1).enumerate() {
        if old.to_bits() != new.to_bits() {
            tally.differ(position as u64, Scalar::f64(*old), Scalar::f64(*new));
        }
    }
    tally
        .finish("", |position| vec![position])
        .and_then(|difference| difference.numbers)
}

/// Returns a line without its numbers, and the numbers.
fn numbers_of(line: &str) -> (String, Vec<f64>) {
    let (mut frame, mut numbers) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let word = frame
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        match number(rest) {
            Some((value, length)) if !word => {
                frame.push('\0');
                numbers.push(value);
                rest = &rest[length..];
            }
            _ => {
                frame.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    (frame, numbers)
}

/// Returns the number that a text begins with, and its length.
fn number(text: &str) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut end = sign + digits(sign);
    if end == sign {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits((end + 1 + signed).min(bytes.len()));
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    text[..end].parse().ok().map(|value| (value, end))
}
