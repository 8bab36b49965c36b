//! Tar streams that everybody writes alike: ustar (POSIX.1-1988) with pax records
//! (POSIX.1-2001, `pax`) for what does not fit into its fields.
//!
//! Nothing but the entries themselves decides the bytes: no user or group names, one time for all,
//! device numbers zero. Reading back is `tests::others_read_it`.

use std::io::{self, Read, Write};

use crate::layers::MODIFIED;

/// Everything in a tar stream is a multiple of this long.
const BLOCK: usize = 512;

/// A name that is longer needs a pax record; so does one that is not ASCII, for which ustar names
/// no coding.
const NAME_FIELD: usize = 100;

/// The greatest size that eleven octal digits hold.
const SIZE_LIMIT: u64 = 0o777_7777_7777;

/// What an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    Directory,
    File { size: u64 },
    Symlink { target: &'a [u8] },
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Below the root, without a slash at either end.
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    /// Both the user and the group.
    pub(super) owner: u32,
    pub(super) kind: Kind<'a>,
}

/// Writes the entry; `content` must yield as many bytes as a file's entry says.
///
/// # Errors
/// Returns what `stream` or `content` returns, and [`io::ErrorKind::InvalidData`] for a content of
/// another size.
pub(super) fn write_entry(
    stream: &mut dyn Write,
    entry: &Entry<'_>,
    content: &mut dyn Read,
) -> io::Result<()> {
    let (type_flag, size, target) = match entry.kind {
        Kind::Directory => (b'5', 0, &b""[..]),
        Kind::File { size } => (b'0', size, &b""[..]),
        Kind::Symlink { target } => (b'2', 0, target),
    };
    let mut name = entry.path.to_vec();
    if type_flag == b'5' {
        name.push(b'/');
    }
    let records = records(&name, target, size);
    if !records.is_empty() {
        let header = header(b"pax", 0o644, 0, records.len() as u64, b'x', b"");
        stream.write_all(&header)?;
        stream.write_all(&records)?;
        stream.write_all(padding(records.len() as u64))?;
    }
    let size_field = if size > SIZE_LIMIT { 0 } else { size };
    let mode = if type_flag == b'2' { 0o777 } else { entry.mode };
    stream.write_all(&header(
        &name,
        mode,
        entry.owner,
        size_field,
        type_flag,
        target,
    ))?;
    let written = io::copy(&mut content.take(size), stream)?;
    // One byte more shows that the file has grown.
    let more = size > 0 && content.read(&mut [0])? != 0;
    if written != size || more {
        let message = "the file does not have the size that the list of its tree says";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    stream.write_all(padding(size))
}

/// Ends the stream: two blocks of zeros.
pub(super) fn finish(stream: &mut dyn Write) -> io::Result<()> {
    stream.write_all(&[0; 2 * BLOCK])
}

/// Returns the pax records that the entry needs, sorted by their keys.
fn records(name: &[u8], target: &[u8], size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let needs = |text: &[u8]| text.len() > NAME_FIELD || !text.is_ascii();
    if needs(target) {
        record(&mut records, "linkpath", target);
    }
    if needs(name) {
        record(&mut records, "path", name);
    }
    if size > SIZE_LIMIT {
        record(&mut records, "size", size.to_string().as_bytes());
    }
    records
}

/// Adds `length key=value\n`, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn header(
    name: &[u8],
    mode: u32,
    owner: u32,
    size: u64,
    type_flag: u8,
    target: &[u8],
) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut text = |at: usize, bytes: &[u8]| {
        let length = bytes.len().min(NAME_FIELD);
        block[at..at + length].copy_from_slice(&bytes[..length]);
    };
    text(0, name);
    text(100, format!("{mode:07o}").as_bytes());
    text(108, format!("{owner:07o}").as_bytes());
    text(116, format!("{owner:07o}").as_bytes());
    text(124, format!("{size:011o}").as_bytes());
    text(136, format!("{MODIFIED:011o}").as_bytes());
    // The checksum is taken with spaces in its own place.
    text(148, b"        ");
    text(156, &[type_flag]);
    text(157, target);
    text(257, b"ustar\x0000");
    text(329, b"0000000");
    text(337, b"0000000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let over = usize::try_from(size % BLOCK as u64).expect("less than a block");
    &ZEROS[..(BLOCK - over) % BLOCK]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &[u8], kind: Kind<'_>) -> Vec<u8> {
        let mut stream = Vec::new();
        let size = match kind {
            Kind::File { size } => size,
            _ => 0,
        };
        let content = vec![b'x'; usize::try_from(size).unwrap()];
        let entry = Entry {
            path,
            mode: 0o644,
            owner: 0,
            kind,
        };
        write_entry(&mut stream, &entry, &mut content.as_slice()).unwrap();
        finish(&mut stream).unwrap();
        stream
    }

    #[test]
    fn fields_are_where_posix_has_them() {
        let stream = entry(b"usr/bin/x", Kind::File { size: 3 });
        assert_eq!(stream.len(), 4 * BLOCK);
        assert_eq!(&stream[..10], b"usr/bin/x\0");
        assert_eq!(&stream[100..108], b"0000644\0");
        assert_eq!(&stream[124..136], b"00000000003\0");
        assert_eq!(&stream[257..265], b"ustar\x0000");
        assert_eq!(&stream[512..515], b"xxx");
    }

    #[test]
    fn a_file_of_another_size_is_no_entry() {
        for found in [2, 4] {
            let entry = Entry {
                path: b"x",
                mode: 0,
                owner: 0,
                kind: Kind::File { size: 3 },
            };
            let content = vec![0; found];
            let error = write_entry(&mut io::sink(), &entry, &mut content.as_slice()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn sizes_beyond_eight_gibibytes_get_a_record() {
        let records = records(b"x", b"", SIZE_LIMIT + 1);
        assert_eq!(records, b"19 size=8589934592\n");
    }

    proptest! {
        #[test]
        fn others_read_it(
            name in "[a-zà-ÿ]{1,60}(/[a-zA-Z0-9._-]{1,60}){0,4}",
            target in "[a-z/.é]{1,200}",
            size in 0u64..2000,
        ) {
            for kind in [
                Kind::Directory,
                Kind::File { size },
                Kind::Symlink { target: target.as_bytes() },
            ] {
                let stream = entry(name.as_bytes(), kind);
                let mut archive = tar::Archive::new(stream.as_slice());
                let mut entries = archive.entries().unwrap();
                let found = entries.next().unwrap().unwrap();
                let path = found.path_bytes().into_owned();
                prop_assert_eq!(path.strip_suffix(b"/").unwrap_or(&path), name.as_bytes());
                match kind {
                    Kind::Directory => prop_assert!(found.header().entry_type().is_dir()),
                    Kind::File { size } => prop_assert_eq!(found.size(), size),
                    Kind::Symlink { target } => {
                        let link = found.link_name_bytes().unwrap().into_owned();
                        prop_assert_eq!(link, target);
                    }
                }
                prop_assert!(entries.next().is_none());
            }
        }
    }
}
