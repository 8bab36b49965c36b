//! How the stack is unwound from our code in the vDSO.
//!
//! A handler of a signal that came in a wait or a read of the clock may unwind the stack: the C
//! library does so to cancel a thread, C++ to throw, a profiler to tell where it is. Unwinders find
//! the description of code by a sorted table (`.eh_frame_hdr`, Linux Standard Base) that the
//! program header `PT_GNU_EH_FRAME` tells of, within what `PT_LOAD` says is loaded. So a page gets a
//! table with the kernel's entries and those of `inside/vdso.s`, which has the descriptions.

use std::ops::Range;

use super::vdso::u64_at;

const PT_LOAD: u32 = 1;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
/// Offsets in `Elf64_Phdr`, and its size.
const PLACES: [usize; 3] = [8, 16, 24];
const FILE_SIZE: usize = 32;
const MEMORY_SIZE: usize = 40;
const HEADER: usize = 56;
/// Version 1; a relative pointer, a number, and a table of numbers relative to itself, all of 32 bits.
const ENCODING: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
/// What precedes the entries of a table: the encoding, where the descriptions begin, how many.
const HEAD: usize = 12;
const ENTRY: usize = 8;

/// Gives the vDSO in `bytes` a table at `at` with more entries: where code begins, and where its
/// description is. The kernel's entries for code that was in `unused` are left out. Returns where the
/// table ends; `None`, with nothing changed, if the kernel's is of another kind or there is no room:
/// then nobody unwinds our code.
pub fn extend(
    bytes: &mut [u8],
    at: usize,
    unused: &Range<usize>,
    more: &[[u32; 2]],
) -> Option<usize> {
    let (load, frames) = (header(bytes, PT_LOAD)?, header(bytes, PT_GNU_EH_FRAME)?);
    let old = u64_at(bytes, frames + PLACES[1]) as usize;
    if bytes.get(old..old + 4)? != ENCODING {
        return None;
    }
    let count = u32_at(bytes, old + 8)? as usize;
    let place =
        |index: usize| Some(u32_at(bytes, old + HEAD + 4 * index)?.wrapping_add(old as u32));
    let kernels = (0..count).map(|index| Some([place(2 * index)?, place(2 * index + 1)?]));
    let mut entries = kernels.collect::<Option<Vec<_>>>()?;
    entries.retain(|[start, _]| !unused.contains(&(*start as usize)));
    entries.extend(more);
    entries.sort_unstable();
    let size = HEAD + ENTRY * entries.len();
    bytes.get(at..at + size)?;
    let moved = (at as u32).wrapping_sub(old as u32);
    let mut table = ENCODING.to_vec();
    let mut put = |number: u32| table.extend(number.to_le_bytes());
    put(u32_at(bytes, old + 4)?.wrapping_sub(moved));
    put(entries.len() as u32);
    for place in entries.as_flattened() {
        put(place.wrapping_sub(at as u32));
    }
    bytes[at..at + size].copy_from_slice(&table);
    let all = bytes.len();
    let mut set = |at: usize, value: usize| {
        bytes[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
    };
    PLACES.iter().for_each(|place| set(frames + place, at));
    for (header, size) in [(frames, size), (load, all)] {
        set(header + FILE_SIZE, size);
        set(header + MEMORY_SIZE, size);
    }
    Some(at + size)
}

/// Finds a program header by its type; the vDSO starts with an ELF header.
fn header(bytes: &[u8], kind: u32) -> Option<usize> {
    let table = u64_at(bytes, 32) as usize;
    let count = u16::from_le_bytes([bytes[56], bytes[57]]);
    let mut headers = (0..usize::from(count)).map(|index| table + HEADER * index);
    headers.find(|at| u32_at(bytes, *at) == Some(kind) && at + HEADER <= bytes.len())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{HEAD, extend, header, u32_at};

    /// An ELF header, two program headers, and a table at 200 with one entry.
    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 400];
        let words = [
            (32, 64),
            (56, 2),
            (64, 1),
            (120, 0x6474_e550),
            (136, 200),
            (200, 0x3b03_1b01),
            (204, 20),
            (208, 1),
            (212, 100_u32.wrapping_neg()),
            (216, 24),
        ];
        for (at, word) in words {
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
        }
        bytes
    }

    #[test]
    fn a_table_has_the_kernels_entries_and_ours() {
        let mut bytes = image();
        assert_eq!(extend(&mut bytes, 300, &(0..0), &[[260, 270]]), Some(328));
        let found = header(&bytes, 0x6474_e550).unwrap();
        assert_eq!(u32_at(&bytes, found + 16), Some(300));
        let absolute = |at: usize| u32_at(&bytes, at).unwrap().wrapping_add(300);
        // The first is relative to where it lies.
        assert_eq!(absolute(304) + 4, 224);
        let entries = (0..4).map(|index| absolute(300 + HEAD + 4 * index));
        assert_eq!(entries.collect::<Vec<_>>(), [100, 224, 260, 270]);
        assert_eq!(u32_at(&bytes, 64 + 40), Some(400));
        // In place of code that is not used any more.
        let mut bytes = image();
        assert_eq!(extend(&mut bytes, 300, &(90..110), &[[96, 270]]), Some(320));
        let entries = [312, 316].map(|at| u32_at(&bytes, at).unwrap().wrapping_add(300));
        assert_eq!(entries, [96, 270]);
    }

    #[test]
    fn what_is_not_understood_stays_as_it_is() {
        let mut bytes = image();
        assert_eq!(extend(&mut bytes, 390, &(0..0), &[[260, 270]]), None);
        bytes[201] = 0;
        let before = bytes.clone();
        assert_eq!(extend(&mut bytes, 300, &(0..0), &[[260, 270]]), None);
        assert_eq!(bytes, before);
    }
}
