//! Writing a tree so that no member of an archive can reach out of it.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, FsError, Hasher};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::layers::LayerError;
use crate::layers::limits::{Exceeded, Limits};
use crate::layers::path::{EntryPath, parent, stays_inside};
use crate::store::{EntryKind, TreeEntry, TreeManifest};

/// When every file of a tree was last changed, in seconds since 1970: the start of 2020, which is
/// the epoch that a step sees unless its manifest says otherwise. Part of the rules: changing it
/// changes what steps observe.
pub const MODIFIED: i64 = 1_577_836_800;

/// How much of a file is written at once.
pub(super) const WRITE_BUFFER: usize = 128 * 1024;

/// Writes a tree entry by entry into an empty directory and keeps its list.
///
/// The list is how links are never followed: the directory was empty and nobody else writes there,
/// so a path is safe when the list says that each part before its last is a directory.
pub struct TreeBuilder {
    directory: PathBuf,
    root: OwnedFd,
    manifest: TreeManifest,
    limits: Limits,
    bytes: u64,
    buffer: Vec<u8>,
}

impl TreeBuilder {
    /// Starts in `directory`, which must be empty.
    ///
    /// # Errors
    /// Returns [`LayerError::File`] when it cannot be opened.
    pub fn new(directory: &Path, limits: Limits) -> Result<Self, LayerError> {
        let open = || -> std::io::Result<OwnedFd> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(directory, flags, Mode::empty())?;
            rustix::fs::fchmod(&root, Mode::RWXU)?;
            Ok(root)
        };
        let mut builder = Self {
            root: open().map_err(FsError::at("open", directory))?,
            directory: directory.to_path_buf(),
            manifest: TreeManifest::default(),
            limits,
            bytes: 0,
            buffer: vec![0; WRITE_BUFFER],
        };
        builder.note(b"", 0o755, EntryKind::Directory);
        Ok(builder)
    }

    /// Returns what was written so far.
    pub fn manifest(&self) -> &TreeManifest {
        &self.manifest
    }

    /// Makes a directory, or gives one that was made for its children its mode.
    ///
    /// # Errors
    /// Returns [`LayerError`] when something else is there.
    pub fn directory(&mut self, path: &EntryPath, mode: u32) -> Result<(), LayerError> {
        match self.kind(path.as_bytes()) {
            Some(EntryKind::Directory) => {}
            Some(_) => return Err(duplicate(path)),
            None => {
                self.make_room(path)?;
                self.make_directory(path.as_bytes())?;
            }
        }
        self.note(path.as_bytes(), mode, EntryKind::Directory);
        Ok(())
    }

    /// Writes a file with everything that `content` yields and returns its digest.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the name is taken, or the content is too much or unreadable.
    pub fn file(
        &mut self,
        path: &EntryPath,
        mode: u32,
        mut content: impl Read,
    ) -> Result<Digest, LayerError> {
        self.make_room(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, path.as_bytes(), flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(|errno| self.failed(path.as_bytes(), errno))?);
        let host = self.host(path.as_bytes());
        let (bytes, limit) = (&mut self.bytes, self.limits.bytes);
        let count = |more| {
            *bytes += more;
            match *bytes > limit {
                true => Err(Exceeded { limit }),
                false => Ok(()),
            }
        };
        let content = &mut content;
        let written = write_content(file, &host, mode, content, &mut self.buffer, count);
        let (digest, size) = written?;
        self.note(path.as_bytes(), mode, EntryKind::File { size, digest });
        Ok(digest)
    }

    /// Takes a file in that was written beside the tree, on the same file system.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the name is taken or the file system refuses.
    pub(super) fn adopt(
        &mut self,
        path: &EntryPath,
        from: &Path,
        entry: TreeEntry,
    ) -> Result<(), LayerError> {
        self.make_room(path)?;
        rustix::fs::renameat(CWD, from, &self.root, path.as_bytes())
            .map_err(|errno| self.failed(path.as_bytes(), errno))?;
        self.manifest
            .entries
            .insert(path.as_bytes().to_vec(), entry);
        Ok(())
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the name is taken or the link would lead out of the tree.
    pub fn symlink(&mut self, path: &EntryPath, target: &[u8]) -> Result<(), LayerError> {
        let unusable = target.is_empty() || target.iter().any(u8::is_ascii_control);
        if unusable || !stays_inside(path, target) {
            return Err(LayerError::LinkLeaves {
                member: path.display(),
                target: String::from_utf8_lossy(target).into_owned(),
            });
        }
        self.make_room(path)?;
        rustix::fs::symlinkat(target, &self.root, path.as_bytes())
            .map_err(|errno| self.failed(path.as_bytes(), errno))?;
        self.set_modified(path.as_bytes())?;
        let target = Path::new(std::ffi::OsStr::from_bytes(target)).to_path_buf();
        self.note(path.as_bytes(), 0, EntryKind::Symlink { target });
        Ok(())
    }

    /// Makes another name for a file that is there.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the name is taken or there is no such file.
    pub fn hard_link(&mut self, path: &EntryPath, target: &EntryPath) -> Result<(), LayerError> {
        let entry = self.manifest.entries.get(target.as_bytes());
        let Some(
            entry @ TreeEntry {
                kind: EntryKind::File { .. },
                ..
            },
        ) = entry
        else {
            return Err(LayerError::LinkUnknown {
                member: path.display(),
                target: target.display(),
            });
        };
        let entry = entry.clone();
        self.make_room(path)?;
        let (from, to) = (target.as_bytes(), path.as_bytes());
        rustix::fs::linkat(&self.root, from, &self.root, to, AtFlags::empty())
            .map_err(|errno| self.failed(to, errno))?;
        self.note(path.as_bytes(), entry.mode, entry.kind);
        Ok(())
    }

    /// Takes a file of another tree in: as another name of it, or as a copy where the file system
    /// gives it no more names.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the name is taken or the file cannot be read.
    pub fn share(
        &mut self,
        path: &EntryPath,
        source: &Path,
        entry: &TreeEntry,
    ) -> Result<(), LayerError> {
        self.make_room(path)?;
        let linked = rustix::fs::linkat(CWD, source, &self.root, path.as_bytes(), AtFlags::empty());
        match linked {
            Ok(()) => {
                self.note(path.as_bytes(), entry.mode, entry.kind.clone());
                Ok(())
            }
            // Too many names, another file system, or a file of another user's.
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM) => {
                let content = File::open(source).map_err(FsError::at("read", source))?;
                self.file(path, entry.mode, content).map(drop)
            }
            Err(errno) => Err(self.failed(path.as_bytes(), errno)),
        }
    }

    /// Returns the paths directly in a directory.
    pub(super) fn children(&self, directory: &[u8]) -> Vec<Vec<u8>> {
        let start = prefix(directory).len();
        let mut below = self.below(directory);
        below.retain(|path| !path[start..].contains(&b'/'));
        below
    }

    /// Returns the paths of everything below `path`, directories before what is in them.
    pub(super) fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let start = prefix(path);
        let range = self.manifest.entries.range(start.clone()..);
        range
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&start))
            .filter(|path| !path.is_empty())
            .cloned()
            .collect()
    }

    /// Removes the entry at `path`, a directory only when it is empty.
    ///
    /// # Errors
    /// Returns [`LayerError::File`] when the file system refuses.
    pub fn remove(&mut self, path: &[u8]) -> Result<(), LayerError> {
        let flags = match self.kind(path) {
            Some(EntryKind::Directory) => AtFlags::REMOVEDIR,
            Some(_) => AtFlags::empty(),
            None => return Ok(()),
        };
        rustix::fs::unlinkat(&self.root, path, flags).map_err(|errno| self.failed(path, errno))?;
        self.manifest.entries.remove(path);
        Ok(())
    }

    /// Gives every directory its mode and time, and returns the list.
    ///
    /// # Errors
    /// Returns [`LayerError::File`] when the file system refuses.
    pub fn finish(self) -> Result<TreeManifest, LayerError> {
        // Children first: a directory that may not be written takes no more changes below it.
        for (path, entry) in self.manifest.entries.iter().rev() {
            if entry.kind != EntryKind::Directory {
                continue;
            }
            self.set_modified(path)?;
            self.set_mode(path, entry.mode)?;
        }
        Ok(self.manifest)
    }

    /// Checks that `path` is free, and makes the directories that it lies in.
    fn make_room(&mut self, path: &EntryPath) -> Result<(), LayerError> {
        if self.manifest.entries.len() > self.limits.entries {
            return Err(LayerError::TooMany {
                limit: self.limits.entries,
            });
        }
        if self.kind(path.as_bytes()).is_some() {
            return Err(duplicate(path));
        }
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(directory) = above {
            match self.kind(directory) {
                Some(EntryKind::Directory) => break,
                Some(_) => {
                    return Err(LayerError::Through {
                        member: path.display(),
                        parent: String::from_utf8_lossy(directory).into_owned(),
                    });
                }
                None => missing.push(directory.to_vec()),
            }
            above = parent(directory);
        }
        for directory in missing.iter().rev() {
            self.make_directory(directory)?;
            self.note(directory, 0o755, EntryKind::Directory);
        }
        Ok(())
    }

    /// Makes a directory that we may write in, whatever the umask is; its mode comes at the end.
    fn make_directory(&self, path: &[u8]) -> Result<(), LayerError> {
        rustix::fs::mkdirat(&self.root, path, Mode::RWXU)
            .map_err(|errno| self.failed(path, errno))?;
        self.set_mode(path, 0o700)
    }

    fn set_mode(&self, path: &[u8], mode: u32) -> Result<(), LayerError> {
        let mode = Mode::from_raw_mode(mode);
        let set = match path {
            b"" => rustix::fs::fchmod(&self.root, mode),
            _ => rustix::fs::chmodat(&self.root, path, mode, AtFlags::empty()),
        };
        set.map_err(|errno| self.failed(path, errno))
    }

    fn set_modified(&self, path: &[u8]) -> Result<(), LayerError> {
        let set = match path {
            b"" => rustix::fs::futimens(&self.root, &modified()),
            _ => {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(&self.root, path, &modified(), flags)
            }
        };
        set.map_err(|errno| self.failed(path, errno))
    }

    fn kind(&self, path: &[u8]) -> Option<&EntryKind> {
        self.manifest.entries.get(path).map(|entry| &entry.kind)
    }

    fn note(&mut self, path: &[u8], mode: u32, kind: EntryKind) {
        let entry = TreeEntry { mode, kind };
        self.manifest.entries.insert(path.to_vec(), entry);
    }

    fn host(&self, path: &[u8]) -> PathBuf {
        self.directory.join(std::ffi::OsStr::from_bytes(path))
    }

    fn failed(&self, path: &[u8], errno: Errno) -> LayerError {
        FsError::at("write", &self.host(path))(errno.into()).into()
    }
}

/// Writes a file of a tree: all that `content` yields, its mode, and the one time. `count` is told
/// of every piece before it is written. Returns digest and size.
///
/// # Errors
/// Returns [`LayerError`] when the content is unreadable, or the file, which is at `place`, cannot
/// be written.
pub(super) fn write_content(
    mut file: File,
    place: &Path,
    mode: u32,
    content: &mut dyn Read,
    buffer: &mut [u8],
    mut count: impl FnMut(u64) -> Result<(), Exceeded>,
) -> Result<(Digest, u64), LayerError> {
    let mut hasher = Hasher::new();
    loop {
        let read = content.read(buffer)?;
        if read == 0 {
            break;
        }
        count(read as u64).map_err(LayerError::Exceeded)?;
        let chunk = &buffer[..read];
        hasher.update(chunk);
        let written = file.write_all(chunk);
        written.map_err(FsError::at("write", place))?;
    }
    let finish = rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
        .and_then(|()| rustix::fs::futimens(&file, &modified()));
    finish.map_err(|errno| FsError::at("write", place)(errno.into()))?;
    Ok(hasher.finish())
}

/// Returns the one time that all files of a tree have.
pub fn modified() -> Timestamps {
    let time = Timespec {
        tv_sec: MODIFIED,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Returns what the paths of everything in a directory begin with.
fn prefix(directory: &[u8]) -> Vec<u8> {
    match directory {
        b"" => Vec::new(),
        _ => [directory, b"/"].concat(),
    }
}

fn duplicate(path: &EntryPath) -> LayerError {
    LayerError::Duplicate {
        member: path.display(),
    }
}
