//! The linker's cache, `/etc/ld.so.cache`, as glibc writes it since 2.2. Running `ldconfig -p`
//! would tell the same, but it is a program of the host.

use std::path::PathBuf;

/// How the part begins that all of today's linkers read.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// `FLAG_ELF_LIBC6 | FLAG_X8664_LIB64`: a library for x86_64.
const X86_64: u32 = 0x0303;

/// Returns where the x86_64 libraries of a name are, in the cache's order. Entries that point out
/// of the file are passed over, and so is a cache of another form.
pub(super) fn find(bytes: &[u8], name: &str) -> Vec<PathBuf> {
    // An older form may come first; the offsets count from here.
    let start = bytes.windows(MAGIC.len()).position(|part| part == MAGIC);
    let Some(cache) = start.and_then(|start| bytes.get(start..)) else {
        return Vec::new();
    };
    let count = number(cache, MAGIC.len()).unwrap_or(0) as usize;
    let entries = cache.get(HEADER..).unwrap_or_default();
    let entries = entries.chunks_exact(ENTRY).take(count);
    let path = |entry: &[u8]| {
        let text = |at| string(cache, number(entry, at)? as usize);
        let wanted = number(entry, 0)? == X86_64 && text(4)? == name;
        text(8).filter(|_| wanted).map(PathBuf::from)
    };
    entries.filter_map(path).collect()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

fn string(bytes: &[u8], at: usize) -> Option<&str> {
    let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(text).ok()
}
