//! What was read from archives, kept in the store.
//!
//! ```text
//! index/debian/releases/<sha256 of the URL>     "etag: …\n", then the InRelease as it came
//! index/debian/packages-1/<sha256>              an index (`index` has the format), by the digest of
//!                                               what it was made from
//! ```
//!
//! Everything here can be removed at any time; then it is downloaded again.

use std::io;
use std::path::{Path, PathBuf};

use url::Url;

use crate::base::{Digest, FsError, fs};
use crate::resolve::debian::index::Index;

const ETAG: &str = "etag: ";

/// The directory of one store.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    directory: PathBuf,
}

/// An `InRelease` that was read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CachedRelease {
    /// What the registry called this state of the file.
    pub etag: Option<String>,
    /// The file.
    pub body: Vec<u8>,
}

impl Cache {
    /// Returns the cache in the store at `store`.
    pub(super) fn new(store: &Path) -> Self {
        Self {
            directory: store.join("index").join("debian"),
        }
    }

    /// Returns the `InRelease` that was last read from `url`.
    pub(super) fn release(&self, url: &Url) -> Result<Option<CachedRelease>, FsError> {
        let Some(bytes) = read(&self.release_path(url))? else {
            return Ok(None);
        };
        let parse = || {
            let end = bytes.iter().position(|byte| *byte == b'\n')?;
            let head = std::str::from_utf8(&bytes[..end]).ok()?;
            let etag = head.strip_prefix(ETAG)?;
            Some(CachedRelease {
                etag: (!etag.is_empty()).then(|| etag.to_owned()),
                body: bytes[end + 1..].to_vec(),
            })
        };
        Ok(parse())
    }

    /// Keeps `body`, verified, as what `url` gave.
    pub(super) fn keep_release(
        &self,
        url: &Url,
        body: &[u8],
        etag: Option<&str>,
    ) -> Result<(), FsError> {
        let etag = etag.filter(|etag| !etag.contains('\n')).unwrap_or_default();
        let mut bytes = format!("{ETAG}{etag}\n").into_bytes();
        bytes.extend_from_slice(body);
        write(&self.release_path(url), &bytes)
    }

    /// Returns the index that was made from the packages of this digest.
    pub(super) fn index(&self, packages: &Digest) -> Result<Option<Index>, FsError> {
        // A damaged one is made again.
        Ok(read(&self.index_path(packages))?.and_then(Index::load))
    }

    /// Keeps `index`, made from the packages of this digest.
    pub(super) fn keep_index(&self, packages: &Digest, index: &[u8]) -> Result<(), FsError> {
        write(&self.index_path(packages), index)
    }

    fn release_path(&self, url: &Url) -> PathBuf {
        let name = Digest::of(url.as_str().as_bytes()).hex();
        self.directory.join("releases").join(name)
    }

    fn index_path(&self, packages: &Digest) -> PathBuf {
        self.directory.join("packages-1").join(packages.hex())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write_atomic(path, bytes)
}
