//! The digest of a directory: that of what `sha256sum` prints for its files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, FsError, Hasher};

use crate::data::DataError;
use crate::snapshot::Digests;

/// Returns the digest of the files in `directory`: that of what
/// `find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum` prints there. Names, modes and
/// times of directories do not count. `path` is what errors call it.
///
/// # Errors
/// Returns [`DataError`] when it cannot be read, or has something that is no file.
pub fn directory_digest(
    digests: &Digests,
    directory: &Path,
    path: &Path,
) -> Result<Digest, DataError> {
    let files = files(directory, path)?.into_iter();
    let digest = |file: PathBuf| {
        let (digest, _) = digests.of(&directory.join(&file))?;
        Ok((Path::new(".").join(file), digest))
    };
    Ok(digest_of(
        files.map(digest).collect::<Result<_, DataError>>()?,
    ))
}

/// Returns the digest of files whose paths begin with `./`.
pub(super) fn digest_of(mut files: Vec<(PathBuf, Digest)>) -> Digest {
    files.sort_by(|(a, _), (b, _)| bytes(a).cmp(bytes(b)));
    let mut hasher = Hasher::new();
    for (file, digest) in files {
        hasher.update(&line(&digest, bytes(&file)));
    }
    hasher.finish().0
}

/// Returns the files in `directory` and below. `path` is what errors call it.
///
/// # Errors
/// Returns [`DataError`] when it cannot be read, or has something that is no file.
pub(super) fn files(directory: &Path, path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    collect(directory, Path::new(""), path, &mut files)?;
    Ok(files)
}

/// Returns a line as `sha256sum` writes it: names with a backslash or a line break in them are
/// marked by a backslash in front.
fn line(digest: &Digest, name: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    if name.iter().any(|byte| b"\\\n\r".contains(byte)) {
        line.push(b'\\');
    }
    line.extend_from_slice(digest.hex().as_bytes());
    line.extend_from_slice(b"  ");
    for byte in name {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

fn collect(
    root: &Path,
    below: &Path,
    path: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    let directory = root.join(below);
    let read = || fs::read_dir(&directory)?.collect::<Result<Vec<_>, _>>();
    for entry in read().map_err(FsError::at("read", &directory))? {
        let name = below.join(entry.file_name());
        let kind = entry.file_type().map_err(FsError::at("read", &directory))?;
        if kind.is_dir() {
            collect(root, &name, path, files)?;
        } else if kind.is_file() {
            files.push(name);
        } else {
            return Err(DataError::Entry {
                path: path.to_path_buf(),
                entry: name,
            });
        }
    }
    Ok(())
}

fn bytes(path: &Path) -> &[u8] {
    let text: &OsStr = path.as_os_str();
    text.as_bytes()
}
