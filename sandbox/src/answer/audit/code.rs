//! Lines of Python: which line an instruction belongs to, as the interpreters themselves decode it.

use super::tables::Lines;

/// Returns the line of an instruction. What the position counts depends on how lines are kept.
pub fn line(lines: Lines, table: &[u8], first: u32, position: u64) -> u32 {
    let first = i64::from(first);
    let line = match lines {
        Lines::Pairs => pairs(table, first, position),
        Lines::Ranges => ranges(table, first, 2 * position),
        Lines::Locations(_) => locations(table, first, position),
    };
    u32::try_from(line).unwrap_or(0)
}

/// Each pair says how far bytecode and line advance.
fn pairs(table: &[u8], first: i64, position: u64) -> i64 {
    let (mut address, mut line) = (0, first);
    for pair in table.chunks_exact(2) {
        address += u64::from(pair[0]);
        if address > position {
            break;
        }
        line += i64::from(pair[1] as i8);
    }
    line
}

/// Each pair says how long a range is and how far its line lies from the one before.
fn ranges(table: &[u8], first: i64, position: u64) -> i64 {
    const NO_LINE: i8 = -128;
    let (mut end, mut line) = (0, first);
    for pair in table.chunks_exact(2) {
        end += u64::from(pair[0]);
        let delta = pair[1] as i8;
        if delta != NO_LINE {
            line += i64::from(delta);
        }
        if end > position {
            break;
        }
    }
    line
}

/// Each entry begins with a byte that has its high bit set, a kind and a length.
fn locations(table: &[u8], first: i64, position: u64) -> i64 {
    const LONG: u8 = 14;
    const NO_COLUMNS: u8 = 13;
    let (mut end, mut line) = (0, first);
    let mut rest = table.iter().copied().peekable();
    while let Some(head) = rest.next() {
        end += 2 * (u64::from(head & 7) + 1);
        line += match head >> 3 & 15 {
            LONG | NO_COLUMNS => signed(&mut rest),
            kind @ 10..=12 => i64::from(kind) - 10,
            _ => 0,
        };
        // Columns.
        while rest.next_if(|byte| byte & 0x80 == 0).is_some() {}
        if end > position {
            break;
        }
    }
    line
}

/// A number in groups of six bits, the sign in the lowest.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> i64 {
    let (mut number, mut shift) = (0_u64, 0);
    for byte in bytes {
        number |= u64::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    let size = (number >> 1) as i64;
    if number & 1 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::{Lines, line};

    /// Tables that CPython 3.8, 3.10 and 3.12 made of
    /// `import time\n\n\ndef f():\n    x = 1\n    time.time()\n    return x\n`, for `f`.
    const PAIRS: &[u8] = &[0, 1, 4, 1, 8, 1];
    const RANGES: &[u8] = &[4, 1, 8, 1, 4, 1];
    const LOCATIONS: &[u8] = &[
        128, 0, 216, 8, 9, 128, 65, 220, 4, 8, 135, 73, 129, 73, 132, 75, 216, 11, 12, 128, 72,
    ];

    #[test]
    fn every_kind_of_table_is_read() {
        let all = |lines, table, positions: [u64; 3]| {
            positions.map(|position| line(lines, table, 4, position))
        };
        assert_eq!(all(Lines::Pairs, PAIRS, [0, 8, 12]), [5, 6, 7]);
        assert_eq!(all(Lines::Ranges, RANGES, [0, 4, 6]), [5, 6, 7]);
        let locations = Lines::Locations(0);
        assert_eq!(all(locations, LOCATIONS, [2, 26, 60]), [5, 6, 7]);
    }

    proptest::proptest! {
        /// What is no table any more, because its code is gone, does no harm.
        #[test]
        fn any_bytes_end(table: Vec<u8>, position: u64) {
            for lines in [Lines::Pairs, Lines::Ranges, Lines::Locations(0)] {
                line(lines, &table, 1, position >> 2);
            }
        }
    }
}
