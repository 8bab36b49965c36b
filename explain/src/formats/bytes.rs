//! Bytes whose meaning nobody knows.

use crate::base::{ABSENT, Difference, Fault, Source, Walk, hex};
use crate::formats::{Pair, diffoscope};

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// Bytes that are shown.
const SHOWN: usize = 16;

/// Calls for each pair of blocks, as long as both last; stops when told to.
fn blocks(
    old: &Source,
    new: &Source,
    mut each: impl FnMut(u64, &[u8], &[u8]) -> bool,
) -> Result<(), Fault> {
    let length = old.len().min(new.len());
    let (mut left, mut right) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut at = 0;
    while at < length {
        let now = usize::try_from(length - at).unwrap_or(BLOCK).min(BLOCK);
        old.read_exact_at(at, &mut left[..now])?;
        new.read_exact_at(at, &mut right[..now])?;
        if !each(at, &left[..now], &right[..now]) {
            break;
        }
        at += now as u64;
    }
    Ok(())
}

/// Returns whether all bytes are the same.
pub(crate) fn same(old: &Source, new: &Source) -> Result<bool, Fault> {
    if old.len() != new.len() {
        return Ok(false);
    }
    let mut same = true;
    blocks(old, new, |_, left, right| {
        same = left == right;
        same
    })?;
    Ok(same)
}

/// Returns where the first byte differs; the shorter length when one begins the other.
pub(crate) fn first_difference(old: &Source, new: &Source) -> Result<u64, Fault> {
    let mut first = old.len().min(new.len());
    blocks(old, new, |at, left, right| {
        let found = left
            .iter()
            .zip(right)
            .position(|(left, right)| left != right);
        if let Some(found) = found {
            first = at + found as u64;
        }
        found.is_none()
    })?;
    Ok(first)
}

/// Tells where bytes differ, and asks whoever may know more.
pub(crate) fn compare_asking(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let start = walk.mark();
    compare(walk, pair)?;
    diffoscope::ask(walk, pair, start);
    Ok(())
}

/// Tells where bytes differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let Pair { at, old, new, .. } = pair;
    let (mut differing, mut first) = (0_u64, None);
    blocks(old, new, |start, left, right| {
        if left != right {
            for (position, (left, right)) in left.iter().zip(right).enumerate() {
                if left != right {
                    differing += 1;
                    first.get_or_insert(start + position as u64);
                }
            }
        }
        true
    })?;
    if old.len() != new.len() {
        let sizes = (
            format!("{} bytes", old.len()),
            format!("{} bytes", new.len()),
        );
        walk.push(Difference::new(at, sizes.0, sizes.1));
        first.get_or_insert(old.len().min(new.len()));
    }
    let Some(first) = first else { return Ok(()) };
    let around = |source: &Source| -> Result<String, Fault> {
        let mut bytes = [0; SHOWN];
        let read = source.read_at(first, &mut bytes)?;
        Ok(if read == 0 {
            ABSENT.to_owned()
        } else {
            hex(&bytes[..read])
        })
    };
    let place = format!("{at}byte {first}");
    let difference = Difference::new(&place, around(old)?, around(new)?);
    let common = old.len().min(new.len());
    walk.push(difference.note(format!("{differing} of {common} bytes differ")));
    Ok(())
}
