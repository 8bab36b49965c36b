//! Reading files of procfs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than most of them have.
const ROOM: usize = 4096;

/// Reads a file of procfs. It has no size to make room by, and without room at the beginning it would
/// be read in pieces from 32 bytes on.
///
/// # Errors
/// Passes on what the kernel says.
pub fn read_proc(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ROOM);
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`read_proc`], for one that is text.
///
/// # Errors
/// As [`read_proc`], and for what is no text.
pub fn read_proc_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read_proc(path)?).map_err(io::Error::other)
}
