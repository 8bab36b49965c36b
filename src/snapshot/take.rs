//! A project's files to a list, and their content to the store.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, FsError};
use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags, open};
use serde::{Deserialize, Serialize};

use crate::snapshot::known::{Content, Entry, Known, Summary, is_settled, place};
use crate::snapshot::made::Made;
use crate::snapshot::secret::{self, LOOKED_AT};
use crate::snapshot::side_by_side::side_by_side;
use crate::snapshot::walk::{Found, SnapshotError, bytes};
use crate::store::{Deposit, EntryKind, Store, StoreError, TreeEntry, TreeManifest, escape};

/// How many files are worth a thread.
const FILES: usize = 64;

/// How much content is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub file: u64,
    /// All files together, in bytes.
    pub total: u64,
}

impl Default for Limits {
    /// Returns limits that code stays below, and data does not.
    fn default() -> Self {
        Self {
            file: 32 << 20,
            total: 512 << 20,
        }
    }
}

/// A project's files.
#[derive(Debug)]
pub struct Snapshot {
    /// All of them, those that steps made too.
    pub found: Vec<Found>,
    /// The digest of the list of its code.
    pub digest: Digest,
    /// The digest of the list of what earlier steps made, if there is any of that.
    pub products: Option<Digest>,
    /// How many files of code there are.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files whose content is not kept, sorted by path.
    pub left_out: Vec<LeftOut>,
    digests: Digests,
}

/// The digests of the files.
#[derive(Debug)]
enum Digests {
    /// They are as they were noted.
    Known(Known),
    /// Those of the code, in the order in which the files were found.
    Code(Vec<Option<Digest>>),
}

impl Snapshot {
    /// Returns the digest of a file of the code.
    pub fn code(&self, path: &Path) -> Option<Digest> {
        let place = |found: &Found| bytes(&found.path).cmp(bytes(path));
        match &self.digests {
            Digests::Known(known) => known.code(path),
            Digests::Code(all) => all[self.found.binary_search_by(place).ok()?],
        }
    }
}

/// A file whose content is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its path in the project, on one line.
    pub path: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why the content of a file is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutReason {
    /// It is larger than a file may be.
    Large,
    /// All files together are larger than they may be.
    Full,
    /// It looks like a key or a password.
    Secret,
}

/// What decides about a snapshot beside the project's files.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a> {
    /// What lies below them is no code.
    pub outputs: &'a [PathBuf],
    /// How much is kept.
    pub limits: Limits,
    /// Files that changed at most a moment before are not known the next time.
    pub now: Timestamp,
    /// How many files are read side by side.
    pub jobs: usize,
}

/// Reads what of `found` was not read before and keeps it in the store. What steps made, below one of
/// the outputs or as they left it, is listed apart: it is no code. Where all is as it was the last
/// time, that is all there is to find out.
///
/// # Errors
/// Returns [`SnapshotError`] when a file cannot be read or the store can not be written.
pub fn take(
    store: &Store,
    project: &Path,
    found: Vec<Found>,
    choices: Choices<'_>,
) -> Result<Snapshot, SnapshotError> {
    let made = Made::load(store, project);
    let key = key(&choices, &made);
    let place = place(store, project);
    let known = Known::load(&place);
    if let Some(summary) = known.summary()
        && summary.key == key
        && known.is_all_of(&found)
        && summary.is_kept(store)?
    {
        return Ok(summary.snapshot(found, Digests::Known(known)));
    }
    let taker = Taker {
        project,
        known,
        choices,
        made,
        deposit: store.deposit(),
        store,
    };
    taker.take(found, key, &place)
}

/// Returns the digest of all that a summary depends on beside the project's files.
fn key(choices: &Choices<'_>, made: &Made) -> Digest {
    let Limits { file, total } = choices.limits;
    let outputs = choices.outputs.iter().map(|output| escape(bytes(output)));
    let outputs = outputs.collect::<Vec<_>>().join("\n");
    let made = made.digest();
    Digest::of(format!("{file} {total} {made}\n{outputs}").as_bytes())
}

impl Summary {
    /// Says whether the store has the lists, and with them all that they name.
    fn is_kept(&self, store: &Store) -> Result<bool, StoreError> {
        for list in iter::once(self.digest).chain(self.products) {
            if !store.has_snapshot(list)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn snapshot(self, found: Vec<Found>, digests: Digests) -> Snapshot {
        Snapshot {
            found,
            digest: self.digest,
            products: self.products,
            files: self.files,
            bytes: self.bytes,
            left_out: self.left_out,
            digests,
        }
    }
}

/// Moves directories that hold products alone to their list.
fn move_empty(code: &mut TreeManifest, products: &mut TreeManifest) {
    let mut parents: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in products.entries.keys() {
        let mut path = &path[..];
        while let Some(end) = path.iter().rposition(|byte| *byte == b'/') {
            path = &path[..end];
            parents.insert(path.to_vec());
        }
    }
    // The deepest first: what was moved is no content any more.
    for path in parents.into_iter().rev() {
        let below = [&path[..], b"/"].concat();
        let mut content = code.entries.range(below.clone()..);
        let holds_code = content
            .next()
            .is_some_and(|(next, _)| next.starts_with(&below));
        if let Some(entry) = (!holds_code).then(|| code.entries.remove(&path)).flatten() {
            products.entries.insert(path, entry);
        }
    }
}

struct Taker<'a> {
    store: &'a Store,
    project: &'a Path,
    known: Known,
    choices: Choices<'a>,
    made: Made,
    deposit: Deposit,
}

/// What the files come to, one after the other.
#[derive(Default)]
struct Lists {
    code: TreeManifest,
    products: TreeManifest,
    files: u64,
    bytes: u64,
    left_out: Vec<LeftOut>,
    digests: Vec<Option<Digest>>,
}

impl Taker<'_> {
    fn take(self, found: Vec<Found>, key: Digest, place: &Path) -> Result<Snapshot, SnapshotError> {
        let rooms = self.rooms(&found);
        let contents = self.contents(&found, &rooms)?;
        let mut lists = Lists::default();
        let mut noted = Vec::with_capacity(found.len());
        let mut kept = Vec::with_capacity(found.len());
        let now = self.choices.now.as_nanosecond();
        for ((one, content), room) in found.iter().zip(contents).zip(rooms) {
            let fits = content.filter(|content| room.is_none() && !content.secret);
            kept.push(fits.map(|content| content.digest));
            let product = self.list(&mut lists, one, content, room)?;
            let written = matches!(one.kind(), FileType::RegularFile | FileType::Symlink);
            if !written || is_settled(&one.stamp, now) {
                noted.push(Entry {
                    path: bytes(&one.path),
                    mode: one.mode,
                    stamp: one.stamp,
                    content,
                    product,
                });
            }
        }
        move_empty(&mut lists.code, &mut lists.products);
        let (code, products) = (lists.code.to_text(), lists.products.to_text());
        let mut texts = vec![&*code];
        texts.extend(Some(&*products).filter(|products| !products.is_empty()));
        let summary = Summary {
            key,
            digest: Digest::of(code.as_bytes()),
            products: texts.get(1).map(|products| Digest::of(products.as_bytes())),
            files: lists.files,
            bytes: lists.bytes,
            left_out: lists.left_out,
        };
        if !summary.is_kept(self.store)? {
            self.keep_known(&found, &kept)?;
            self.deposit.commit(&texts)?;
        } else {
            self.deposit.commit(&[])?;
        }
        let noted = Known::of(&noted, Some(&summary));
        if noted != self.known {
            noted.save(place)?;
        }
        Ok(summary.snapshot(found, Digests::Code(lists.digests)))
    }

    /// Lists a file; says whether it is a product.
    fn list(
        &self,
        lists: &mut Lists,
        one: &Found,
        content: Option<Content>,
        room: Option<LeftOutReason>,
    ) -> Result<bool, SnapshotError> {
        let kind = self.kind(one, content)?;
        if let Some(content) = content {
            let reason = room.or(content.secret.then_some(LeftOutReason::Secret));
            lists.left_out.extend(reason.map(|reason| LeftOut {
                path: escape(bytes(&one.path)),
                reason,
            }));
        }
        let mode = match kind {
            EntryKind::Symlink { .. } => 0,
            _ => one.mode & 0o7777,
        };
        let mut outputs = self.choices.outputs.iter();
        let product =
            outputs.any(|output| one.path.starts_with(output)) || self.made.has(&one.path, &kind);
        let mut digest = None;
        let list = match product {
            true => &mut lists.products,
            false => {
                if let Some(content) = content {
                    digest = Some(content.digest);
                    lists.files += 1;
                    lists.bytes += one.stamp.size;
                }
                &mut lists.code
            }
        };
        lists.digests.push(digest);
        list.insert(&one.path, TreeEntry { mode, kind });
        Ok(product)
    }

    /// Returns for each file whether there is no room for it, which depends on names and sizes alone.
    fn rooms(&self, found: &[Found]) -> Vec<Option<LeftOutReason>> {
        let limits = self.choices.limits;
        let mut total = 0;
        let room = |one: &Found| {
            if one.kind() != FileType::RegularFile {
                return None;
            }
            let size = one.stamp.size;
            if size > limits.file {
                return Some(LeftOutReason::Large);
            }
            total += size;
            (total > limits.total).then_some(LeftOutReason::Full)
        };
        found.iter().map(room).collect()
    }

    fn contents(
        &self,
        found: &[Found],
        rooms: &[Option<LeftOutReason>],
    ) -> Result<Vec<Option<Content>>, SnapshotError> {
        let files: Vec<_> = found.iter().zip(rooms).collect();
        side_by_side(self.choices.jobs, FILES, &files, |(one, room)| {
            self.content(one, room.is_none())
        })
    }

    /// Returns what is in a regular file. One that is read goes to the store, with `room` and unless
    /// it is a secret.
    fn content(&self, one: &Found, room: bool) -> Result<Option<Content>, SnapshotError> {
        if one.kind() != FileType::RegularFile {
            return Ok(None);
        }
        if let Some(known) = self.known.content(&one.path, &one.stamp) {
            return Ok(Some(known));
        }
        let path = self.project.join(&one.path);
        let file = open_regular(&path).map_err(FsError::at("read", &path))?;
        // One byte more than is expected, so that the end shows.
        let size = usize::try_from(one.stamp.size).map_or(LOOKED_AT, |size| size.saturating_add(1));
        let mut head = Vec::with_capacity(size.min(LOOKED_AT));
        let read = (&file).take(LOOKED_AT as u64).read_to_end(&mut head);
        read.map_err(FsError::at("read", &path))?;
        let secret = secret::by_name(&one.path) || secret::by_content(&head);
        let whole = head.len() < LOOKED_AT;
        let digest = match (room && !secret, whole) {
            (true, true) => self.deposit.add_whole(&head)?,
            (true, false) => self.deposit.add(head.as_slice().chain(&file), &path)?.0,
            (false, _) => {
                let digest = Digest::of_reader(head.as_slice().chain(&file));
                digest.map_err(FsError::at("read", &path))?.0
            }
        };
        Ok(Some(Content { digest, secret }))
    }

    /// Keeps what is known of old and the store has not, or not any more.
    fn keep_known(&self, found: &[Found], kept: &[Option<Digest>]) -> Result<(), SnapshotError> {
        for (one, digest) in found.iter().zip(kept) {
            let Some(digest) = digest else { continue };
            if self.store.blob(digest).is_none() && !self.deposit.has(digest) {
                let path = self.project.join(&one.path);
                let file = open_regular(&path).map_err(FsError::at("read", &path))?;
                self.deposit.add(file, &path)?;
            }
        }
        Ok(())
    }

    fn kind(&self, one: &Found, content: Option<Content>) -> Result<EntryKind, SnapshotError> {
        Ok(match content {
            Some(Content { digest, .. }) => EntryKind::File {
                size: one.stamp.size,
                digest,
            },
            None if one.kind() == FileType::Directory => EntryKind::Directory,
            None if one.kind() == FileType::Symlink => {
                let path = self.project.join(&one.path);
                let target = std::fs::read_link(&path).map_err(FsError::at("read", &path))?;
                EntryKind::Symlink { target }
            }
            None => EntryKind::Special,
        })
    }
}

/// Opens a file that was regular when it was found: what has taken its place meanwhile must not
/// make us wait.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?.into())
}
