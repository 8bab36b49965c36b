//! Where a symbol of a program or library is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Offset of a symbol from where its file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its value.
    pub value: u64,
    /// Whether that is an address, and not an offset.
    pub absolute: bool,
}

/// Finds a dynamic symbol in a 64-bit ELF file; none if the file is no such file, or has it not.
pub fn symbol(path: &Path, name: &str) -> Option<Symbol> {
    const EXECUTABLE: u16 = 2;
    const DYNAMIC_SYMBOLS: u32 = 11;
    const SECTION: usize = 64;
    const SYMBOL: usize = 24;
    let file = File::open(path).ok()?;
    let header = part(&file, 0, 64)?;
    if header.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let absolute = half(&header, 16) == EXECUTABLE;
    let (offset, count) = (word(&header, 40), usize::from(half(&header, 60)));
    let sections = part(&file, offset, SECTION * count)?;
    let section = |index: usize| sections.get(SECTION * index..SECTION * (index + 1));
    let of_section = |section: &[u8]| part(&file, word(section, 24), word(section, 32) as usize);
    let found = (0..count).filter_map(section);
    let table = { found }.find(|section| int(section, 4) == DYNAMIC_SYMBOLS)?;
    let names = of_section(section(int(table, 40) as usize)?)?;
    let symbols = of_section(table)?;
    let is_it = |symbol: &&[u8]| {
        let text = names.get(int(symbol, 0) as usize..).unwrap_or_default();
        text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0)
    };
    let found = symbols.chunks_exact(SYMBOL).find(is_it)?;
    // An undefined one is another file's.
    (half(found, 6) != 0).then(|| Symbol {
        value: word(found, 8),
        absolute,
    })
}

/// Reads a part of a file; none if it is not there, or too large to be true.
fn part(file: &File, offset: u64, size: usize) -> Option<Vec<u8>> {
    const MOST: usize = 64 << 20;
    let mut bytes = vec![0; Some(size).filter(|size| *size <= MOST)?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn int(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from(int(bytes, at)) | u64::from(int(bytes, at + 4)) << 32
}
