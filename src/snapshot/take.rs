//! A project's files to a list, and their content to the store.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use envbox_lockfiles::base::{Digest, FsError};
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};

use crate::snapshot::known::{Content, Known};
use crate::snapshot::made::Made;
use crate::snapshot::secret::{self, LOOKED_AT};
use crate::snapshot::walk::{Found, SnapshotError, Stamp, bytes};
use crate::store::{Deposit, EntryKind, Store, TreeEntry, TreeManifest, escape};

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
    /// The list of its code.
    pub list: TreeManifest,
    /// The digest of that list.
    pub digest: Digest,
    /// The digest of the list of what earlier steps made, if there is any of that.
    pub products: Option<Digest>,
    /// How many files of code there are.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files whose content is not kept, sorted by path.
    pub left_out: Vec<LeftOut>,
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

/// Reads what of `found` was not read before, `jobs` files side by side, and keeps it in the store.
/// What steps made, below one of `outputs` or as they left it, is listed apart: it is no code.
///
/// # Errors
/// Returns [`SnapshotError`] when a file cannot be read or the store can not be written.
pub fn take(
    store: &Store,
    project: &Path,
    found: &[Found],
    outputs: &[PathBuf],
    limits: Limits,
    now: Timestamp,
    jobs: usize,
) -> Result<Snapshot, SnapshotError> {
    let taker = Taker {
        project,
        known: Known::load(store, project),
        limits,
        deposit: store.deposit(),
        store,
    };
    let rooms = taker.rooms(found);
    let contents = taker.contents(found, &rooms, jobs)?;
    let mut snapshot = Snapshot {
        list: TreeManifest::default(),
        digest: Digest::of(b""),
        products: None,
        files: 0,
        bytes: 0,
        left_out: Vec::new(),
    };
    let mut noted = Known::default();
    let made = Made::load(store, project);
    let mut kept = Vec::with_capacity(found.len());
    let mut products = TreeManifest::default();
    for ((one, content), room) in found.iter().zip(contents).zip(rooms) {
        let kind = taker.kind(one, content)?;
        let fits = content.filter(|content| room.is_none() && !content.secret);
        kept.push(fits.map(|content| content.digest));
        if let Some(content) = content {
            noted.note(
                &one.path,
                Stamp::of(&one.metadata),
                content,
                now.as_nanosecond(),
            );
            let reason = room.or(content.secret.then_some(LeftOutReason::Secret));
            snapshot.left_out.extend(reason.map(|reason| LeftOut {
                path: escape(bytes(&one.path)),
                reason,
            }));
        }
        let mode = match kind {
            EntryKind::Symlink { .. } => 0,
            _ => one.metadata.permissions().mode() & 0o7777,
        };
        let declared = outputs.iter().any(|output| one.path.starts_with(output));
        let list = match declared || made.has(&one.path, &kind) {
            true => &mut products,
            false => {
                if let EntryKind::File { size, .. } = kind {
                    snapshot.files += 1;
                    snapshot.bytes += size;
                }
                &mut snapshot.list
            }
        };
        list.insert(&one.path, TreeEntry { mode, kind });
    }
    move_empty(&mut snapshot.list, &mut products);
    let (code, products) = (snapshot.list.to_text(), products.to_text());
    snapshot.digest = Digest::of(code.as_bytes());
    let mut lists = vec![&*code];
    if !products.is_empty() {
        snapshot.products = Some(Digest::of(products.as_bytes()));
        lists.push(&products);
    }
    if !lists.iter().all(|list| taker.has_list(list)) {
        taker.keep_known(found, &kept)?;
    }
    let Taker { known, deposit, .. } = taker;
    deposit.commit(&lists)?;
    if !noted.is_as(&known) {
        noted.save(store, project)?;
    }
    Ok(snapshot)
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
    limits: Limits,
    deposit: Deposit,
}

impl Taker<'_> {
    /// Returns for each file whether there is no room for it, which depends on names and sizes alone.
    fn rooms(&self, found: &[Found]) -> Vec<Option<LeftOutReason>> {
        let mut total = 0;
        let room = |one: &Found| {
            let size = one.metadata.len();
            if !one.metadata.is_file() {
                return None;
            }
            if size > self.limits.file {
                return Some(LeftOutReason::Large);
            }
            total += size;
            (total > self.limits.total).then_some(LeftOutReason::Full)
        };
        found.iter().map(room).collect()
    }

    fn contents(
        &self,
        found: &[Found],
        rooms: &[Option<LeftOutReason>],
        jobs: usize,
    ) -> Result<Vec<Option<Content>>, SnapshotError> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![None; found.len()]);
        let failed = Mutex::new(None);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(one) = found.get(index) else { break };
                match self.content(one, rooms[index].is_none()) {
                    Ok(content) => results.lock().expect("no holder panics")[index] = content,
                    Err(error) => {
                        next.store(found.len(), Ordering::Relaxed);
                        *failed.lock().expect("no holder panics") = Some(error);
                    }
                }
            }
        };
        // Most projects have so few files that starting a thread takes longer than looking at them.
        let jobs = jobs.min(found.len() / 64).max(1);
        thread::scope(|scope| {
            for _ in 1..jobs {
                scope.spawn(work);
            }
            work();
        });
        match failed.into_inner().expect("no holder panicked") {
            Some(error) => Err(error),
            None => Ok(results.into_inner().expect("no holder panicked")),
        }
    }

    /// Returns what is in a regular file. One that is read goes to the store, with `room` and unless
    /// it is a secret.
    fn content(&self, one: &Found, room: bool) -> Result<Option<Content>, SnapshotError> {
        if !one.metadata.is_file() {
            return Ok(None);
        }
        if let Some(known) = self.known.content(&one.path, &Stamp::of(&one.metadata)) {
            return Ok(Some(known));
        }
        let path = self.project.join(&one.path);
        let file = open_regular(&path).map_err(FsError::at("read", &path))?;
        let mut head = Vec::new();
        let read = (&file).take(LOOKED_AT as u64).read_to_end(&mut head);
        read.map_err(FsError::at("read", &path))?;
        let secret = secret::by_name(&one.path) || secret::by_content(&head);
        let whole = head.as_slice().chain(&file);
        let digest = match room && !secret {
            true => self.deposit.add(whole, &path)?.0,
            false => {
                Digest::of_reader(whole)
                    .map_err(FsError::at("read", &path))?
                    .0
            }
        };
        Ok(Some(Content { digest, secret }))
    }

    /// Says whether the store has a list, and with it all that it names.
    fn has_list(&self, text: &str) -> bool {
        let digest = Digest::of(text.as_bytes());
        self.store.snapshot(digest).is_ok_and(|list| list.is_some())
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
        let kind = one.metadata.file_type();
        Ok(match content {
            Some(Content { digest, .. }) => EntryKind::File {
                size: one.metadata.len(),
                digest,
            },
            None if kind.is_dir() => EntryKind::Directory,
            None if kind.is_symlink() => {
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
