//! What was found in files that were read before.
//!
//! A file of notes is read as a whole and never parsed: a head, which has a checksum of the rest, a
//! [`Summary`] as JSON, then a record of [`RECORD`] bytes for each file, sorted by path, then the
//! paths. Numbers have their low bytes first. Whatever is wrong with it, it is as good as none.

use std::cmp::Ordering;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Digest, FsError};
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use crate::snapshot::take::LeftOut;
use crate::snapshot::walk::{Found, Stamp, Time, bytes};
use crate::store::{Store, StoreError};

/// Begins the file; raise the number when the rules change, also those of what a secret is.
const MAGIC: &[u8; 24] = b"envbox snapshot index 2\n";

/// The magic, the checksum of what follows that, the size of the summary, and the number of records.
const HEAD: usize = MAGIC.len() + 4 + 4 + 8;

/// The size of a record: see [`Entry::write`].
const RECORD: usize = 104;

/// How long ago the last change of a file must be for its digest to be noted, in nanoseconds: a change
/// in the same tick of the file system's clock has the same time.
const SETTLED: i128 = 1_000_000_000;

/// What was found in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) digest: Digest,
    /// Whether it looks like a key or a password.
    pub(super) secret: bool,
}

/// What is noted of a file, directory or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    pub(super) stamp: Stamp,
    /// Of a file.
    pub(super) content: Option<Content>,
    /// Whether it is a file that was listed as a product.
    pub(super) product: bool,
}

/// What came of all files together when the notes were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// The digest of what decided about it beside the files.
    pub(super) key: Digest,
    pub(super) digest: Digest,
    pub(super) products: Option<Digest>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) left_out: Vec<LeftOut>,
}

/// The notes on a project's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    bytes: Vec<u8>,
    records: usize,
    /// Where the records begin.
    start: usize,
}

impl Known {
    /// Reads what was noted.
    pub(super) fn load(place: &Path) -> Self {
        Self::parse(fs::read(place).unwrap_or_default()).unwrap_or_default()
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (magic, head) = head.split_at(MAGIC.len());
        let checksum = u32_at(head, 0);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[4..]);
        hasher.update(rest);
        if magic != MAGIC || checksum != hasher.finalize() {
            return None;
        }
        let records = usize::try_from(u64_at(head, 8)).ok()?;
        let start = HEAD.checked_add(usize::try_from(u32_at(head, 4)).ok()?)?;
        let end = start.checked_add(records.checked_mul(RECORD)?)?;
        (end <= bytes.len()).then_some(Self {
            bytes,
            records,
            start,
        })
    }

    /// Notes `entries`, sorted by path.
    pub(super) fn of(entries: &[Entry<'_>], summary: Option<&Summary>) -> Self {
        let summary = serde_json::to_vec(&summary).expect("it has only text keys");
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 4]);
        let length = u32::try_from(summary.len()).expect("nobody has 4 GiB of names of secrets");
        bytes.extend(length.to_le_bytes());
        bytes.extend((entries.len() as u64).to_le_bytes());
        bytes.extend(summary);
        let start = bytes.len();
        bytes.reserve(entries.len() * RECORD);
        let mut names = 0;
        for entry in entries {
            entry.write(names, &mut bytes);
            names += entry.path.len();
        }
        bytes.reserve(names);
        entries.iter().for_each(|entry| bytes.extend(entry.path));
        let checksum = crc32fast::hash(&bytes[MAGIC.len() + 4..]);
        bytes[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&checksum.to_le_bytes());
        Self {
            bytes,
            records: entries.len(),
            start,
        }
    }

    /// Returns what came of all files together, if that was noted.
    pub(super) fn summary(&self) -> Option<Summary> {
        serde_json::from_slice(self.bytes.get(HEAD..self.start)?).ok()?
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        let record = &self.bytes[self.start + index * RECORD..][..RECORD];
        let names = &self.bytes[self.start + self.records * RECORD..];
        Entry::read(record, names)
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.records).map(|index| self.entry(index))
    }

    fn find(&self, path: &[u8]) -> Option<Entry<'_>> {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.entry(middle);
            match entry.path.cmp(path) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(entry),
            }
        }
        None
    }

    /// Returns the content of a file that is as it was when it was read.
    pub(super) fn content(&self, path: &Path, stamp: &Stamp) -> Option<Content> {
        let entry = self.find(bytes(path))?;
        entry.content.filter(|_| entry.stamp == *stamp)
    }

    /// Returns the digest of a file of code.
    pub(super) fn code(&self, path: &Path) -> Option<Digest> {
        let entry = self.find(bytes(path)).filter(|entry| !entry.product)?;
        Some(entry.content?.digest)
    }

    /// Says whether `found`, sorted by path, is what was noted, file by file.
    pub(super) fn is_all_of(&self, found: &[Found]) -> bool {
        let same = |(one, entry): (&Found, Entry<'_>)| {
            let written = matches!(one.kind(), FileType::RegularFile | FileType::Symlink);
            bytes(&one.path) == entry.path
                && one.mode == entry.mode
                && (!written || one.stamp == entry.stamp)
        };
        found.len() == self.records && found.iter().zip(self.entries()).all(same)
    }

    /// Writes the notes. Not synced: who finds less reads more.
    pub(super) fn save(&self, place: &Path) -> Result<(), StoreError> {
        replace(place, &self.bytes)
    }
}

impl<'a> Entry<'a> {
    /// Appends the record; its path is to come at `name` among the paths.
    fn write(&self, name: usize, to: &mut Vec<u8>) {
        let stamp = &self.stamp;
        for number in [stamp.device, stamp.inode, stamp.size] {
            to.extend(number.to_le_bytes());
        }
        for (seconds, nanoseconds) in [stamp.modified, stamp.changed] {
            to.extend(seconds.to_le_bytes());
            to.extend(nanoseconds.to_le_bytes());
        }
        to.extend(self.mode.to_le_bytes());
        let secret = self.content.is_some_and(|content| content.secret);
        let flags = [self.content.is_some(), secret, self.product, false];
        to.extend(flags.map(u8::from));
        to.extend((name as u64).to_le_bytes());
        to.extend((self.path.len() as u64).to_le_bytes());
        let digest = self
            .content
            .map_or([0; 32], |content| *content.digest.bytes());
        to.extend(digest);
    }

    fn read(record: &[u8], names: &'a [u8]) -> Self {
        let time = |at| -> Time { (u64_at(record, at).cast_signed(), u32_at(record, at + 8)) };
        let [is_file, secret, product] = [52, 53, 54].map(|at| record[at] != 0);
        let number = |at| usize::try_from(u64_at(record, at)).ok();
        let path = || names.get(number(56)?..)?.get(..number(64)?);
        let digest: [u8; 32] = record[72..].try_into().expect("a record ends with it");
        Self {
            path: path().unwrap_or_default(),
            mode: u32_at(record, 48),
            stamp: Stamp {
                device: u64_at(record, 0),
                inode: u64_at(record, 8),
                size: u64_at(record, 16),
                modified: time(24),
                changed: time(36),
            },
            content: is_file.then(|| Content {
                digest: Digest::from_bytes(digest),
                secret,
            }),
            product,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Says whether a file that was looked at after `now`, in nanoseconds since 1970, cannot change any
/// more without that being seen.
pub(super) fn is_settled(stamp: &Stamp, now: i128) -> bool {
    let (seconds, rest) = stamp.changed.max(stamp.modified);
    i128::from(seconds) * 1_000_000_000 + i128::from(rest) + SETTLED < now
}

/// Replaces a file of notes.
pub(super) fn replace(place: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let directory = place.parent().unwrap_or(Path::new("."));
    create_dir_all(directory)?;
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.persist(place).map_err(|error| error.error)?;
        Ok(())
    };
    Ok(write().map_err(FsError::at("write", place))?)
}

/// Returns the file of notes on a project.
pub(super) fn place(store: &Store, project: &Path) -> PathBuf {
    let name = Digest::of(bytes(project)).hex();
    store.index().join("snapshots").join(name)
}
