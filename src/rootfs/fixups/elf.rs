//! The name that a shared library gives itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use envbox_lockfiles::base::Platform;

const HEADER_LENGTH: usize = 64;
const SEGMENT_LENGTH: usize = 56;
const SEGMENT_LIMIT: usize = 256;
const DYNAMIC_LIMIT: u64 = 1 << 20;
const NAME_LIMIT: usize = 255;

const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const STRING_TABLE: u64 = 5;
const SONAME: u64 = 14;

/// What the linker's cache needs to know about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Library {
    /// No shared library for the platform.
    Foreign,
    /// A shared library, with the name in it if it has one.
    Native(Option<String>),
}

/// Reads a file; one that is damaged is no library.
pub(super) fn read(path: &Path, platform: Platform) -> io::Result<Library> {
    let file = File::open(path)?;
    Ok(parse(&file, platform).unwrap_or(Library::Foreign))
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn parse(file: &File, platform: Platform) -> Option<Library> {
    let header = read_at(file, 0, HEADER_LENGTH)?;
    let machine = match platform {
        Platform::LinuxAmd64 => 62,
        Platform::LinuxArm64 => 183,
    };
    // 64 bits, little-endian, a shared object.
    let native = header.starts_with(b"\x7fELF\x02\x01")
        && u16_at(&header, 16)? == 3
        && u16_at(&header, 18)? == machine;
    if !native {
        return Some(Library::Foreign);
    }
    let count = usize::from(u16_at(&header, 56)?);
    if usize::from(u16_at(&header, 54)?) != SEGMENT_LENGTH || count > SEGMENT_LIMIT {
        return None;
    }
    let table = read_at(file, u64_at(&header, 32)?, count * SEGMENT_LENGTH)?;
    let segments = table.chunks_exact(SEGMENT_LENGTH).map(|entry| {
        Some(Segment {
            kind: u32::try_from(u64_at(entry, 0)? & 0xffff_ffff).ok()?,
            offset: u64_at(entry, 8)?,
            address: u64_at(entry, 16)?,
            size: u64_at(entry, 32)?,
        })
    });
    let segments: Vec<Segment> = segments.collect::<Option<_>>()?;
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == DYNAMIC) else {
        return Some(Library::Foreign);
    };
    let length = usize::try_from(dynamic.size.min(DYNAMIC_LIMIT)).ok()?;
    let entries = read_at(file, dynamic.offset, length)?;
    let value = |tag: u64| {
        let mut entries = entries.chunks_exact(16);
        let entry = entries.find(|entry| u64_at(entry, 0) == Some(tag))?;
        u64_at(entry, 8)
    };
    let Some(name) = value(SONAME) else {
        return Some(Library::Native(None));
    };
    let strings = value(STRING_TABLE)?;
    let home = segments.iter().find(|segment| {
        let end = segment.address.saturating_add(segment.size);
        segment.kind == LOAD && (segment.address..end).contains(&strings)
    })?;
    let offset = home
        .offset
        .checked_add(strings - home.address)?
        .checked_add(name)?;
    let mut text = [0; NAME_LIMIT];
    let read = file.read_at(&mut text, offset).ok()?;
    let end = text[..read].iter().position(|&byte| byte == 0)?;
    let name = std::str::from_utf8(&text[..end]).ok()?;
    (!name.is_empty() && !name.contains('/')).then(|| Library::Native(Some(name.to_owned())))
}

fn read_at(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
