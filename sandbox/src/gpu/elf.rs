//! The name that a library gives itself, `DT_SONAME` of a 64-bit ELF file, and where its sections are.
//! Reads a few hundred bytes of files that have a hundred megabytes.

use std::io;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const HEADER: usize = 64;
const SEGMENT: usize = 56;
const ENTRY: usize = 16;
const SECTION: usize = 64;
/// More than any library has; a file that says more is none.
const MOST_SEGMENTS: u64 = 128;
const MOST_ENTRIES: u64 = 1024;
const MOST_SECTIONS: u64 = 4096;
/// No name of a file is longer.
const MOST_NAME: usize = 255;

/// Reads bytes at an offset; fewer than asked for at the end.
pub(super) type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> io::Result<usize>;

/// A part of the file that is mapped.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

/// Returns the name, none if the file has none or is not as the format wants it.
pub(super) fn soname(read: ReadAt<'_>) -> Option<String> {
    let header = bytes(read, 0, HEADER)?;
    if !header.starts_with(b"\x7fELF\x02\x01") || word(&header, 54, 2)? != SEGMENT as u64 {
        return None;
    }
    let (table, count) = (word(&header, 32, 8)?, word(&header, 56, 2)?);
    let segments = (0..count.min(MOST_SEGMENTS))
        .map(|index| segment(read, table.checked_add(index * SEGMENT as u64)?))
        .collect::<Option<Vec<_>>>()?;
    let dynamic = segments.iter().find(|it| it.kind == PT_DYNAMIC)?;
    let (mut name, mut strings) = (None, None);
    for index in 0..(dynamic.size / ENTRY as u64).min(MOST_ENTRIES) {
        let entry = bytes(
            read,
            dynamic.offset.checked_add(index * ENTRY as u64)?,
            ENTRY,
        )?;
        let value = word(&entry, 8, 8);
        match word(&entry, 0, 8)? {
            DT_NULL => break,
            DT_SONAME => name = value,
            DT_STRTAB => strings = value,
            _ => {}
        }
    }
    let offset = offset_of(&segments, strings?)?.checked_add(name?)?;
    text(read, offset)
}

/// Returns offset and size of the section with a name, none if there is none or the file is not as the
/// format wants it.
pub(super) fn section(read: ReadAt<'_>, name: &[u8]) -> Option<(u64, u64)> {
    let header = bytes(read, 0, HEADER)?;
    if !header.starts_with(b"\x7fELF\x02\x01") || word(&header, 58, 2)? != SECTION as u64 {
        return None;
    }
    let (table, count) = (word(&header, 40, 8)?, word(&header, 60, 2)?);
    let at = |index: u64| table.checked_add(index * SECTION as u64);
    let names = bytes(read, at(word(&header, 62, 2)?)?, SECTION)?;
    let names = word(&names, 24, 8)?;
    let wanted = [name, b"\0"].concat();
    for index in 0..count.min(MOST_SECTIONS) {
        let section = bytes(read, at(index)?, SECTION)?;
        let place = names.checked_add(word(&section, 0, 4)?)?;
        // At the end of the names there may be fewer bytes than are wanted.
        if bytes(read, place, wanted.len()).is_some_and(|it| it == wanted) {
            return Some((word(&section, 24, 8)?, word(&section, 32, 8)?));
        }
    }
    None
}

fn segment(read: ReadAt<'_>, at: u64) -> Option<Segment> {
    let bytes = bytes(read, at, SEGMENT)?;
    Some(Segment {
        kind: word(&bytes, 0, 4)?,
        offset: word(&bytes, 8, 8)?,
        address: word(&bytes, 16, 8)?,
        size: word(&bytes, 32, 8)?,
    })
}

/// Returns where in the file an address is.
fn offset_of(segments: &[Segment], address: u64) -> Option<u64> {
    let inside = |it: &&Segment| {
        let into = address.checked_sub(it.address);
        it.kind == PT_LOAD && into.is_some_and(|into| into < it.size)
    };
    let segment = segments.iter().find(inside)?;
    segment.offset.checked_add(address - segment.address)
}

fn text(read: ReadAt<'_>, at: u64) -> Option<String> {
    let mut buffer = [0; MOST_NAME + 1];
    let count = read(at, &mut buffer).ok()?;
    let name = buffer.get(..count)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&name[..end]).ok()?;
    // It becomes the name of a link.
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    plain.then(|| name.to_owned())
}

pub(super) fn bytes(read: ReadAt<'_>, at: u64, count: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![0; count];
    (read(at, &mut buffer).ok()? == count).then_some(buffer)
}

pub(super) fn word(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..size].copy_from_slice(bytes.get(at..at + size)?);
    Some(u64::from_le_bytes(word))
}
