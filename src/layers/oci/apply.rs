//! The members of a layer, applied to the tree below it (image-spec, `layer.md`).

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::limits::Limits;
use crate::layers::oci::Notes;
use crate::layers::oci::names::{clamped, join, member_path, refused_name, split};
use crate::layers::oci::reader::{Member, MemberKind};
use crate::layers::oci::spool::{Content, Spooled};
use crate::layers::oci::walk::{Found, Walk};
use crate::layers::path::{EntryPath, PathFault, parent};
use crate::store::EntryKind;

/// What the names of whiteouts begin with.
const WHITEOUT: &[u8] = b".wh.";

/// The whiteout that hides all that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What the names of AUFS's own files begin with; no tool unpacks them.
const AUFS: &[u8] = b".wh..wh.";

/// What is kept of the mode of a directory.
const DIRECTORY_MODE: u32 = 0o1777;

/// How often an entry may be looked at by opaque whiteouts, over all layers and on average.
const SCANS: usize = 16;

/// How long the paths of all entries may be together, for each that is allowed: they are in memory.
const PATH_BYTES: usize = 256;

/// A tree, while layers are applied to it.
pub(super) struct Apply<'a> {
    tree: &'a mut TreeBuilder,
    limits: Limits,
    /// What the current layer brought: its own whiteouts spare it.
    fresh: BTreeSet<Vec<u8>>,
    members: usize,
    scanned: usize,
    /// The length of all paths that were made.
    path_bytes: usize,
    notes: Notes,
}

impl<'a> Apply<'a> {
    pub(super) fn new(tree: &'a mut TreeBuilder, limits: Limits) -> Self {
        Self {
            tree,
            limits,
            fresh: BTreeSet::new(),
            members: 0,
            scanned: 0,
            path_bytes: 0,
            notes: Notes::default(),
        }
    }

    pub(super) fn finish(self) -> Notes {
        self.notes
    }

    /// Applies one layer.
    pub(super) fn layer(
        &mut self,
        members: &mut dyn Iterator<Item = Spooled>,
    ) -> Result<(), LayerError> {
        self.fresh.clear();
        for spooled in members {
            self.members += 1;
            if self.members > self.limits.entries {
                return Err(self.too_many());
            }
            self.member(spooled)?;
        }
        Ok(())
    }

    fn member(&mut self, Spooled { member, content }: Spooled) -> Result<(), LayerError> {
        let Some(path) = member_path(&member.name)? else {
            // The root's own mode is ours.
            return match member.kind {
                MemberKind::Directory => Ok(()),
                _ => Err(refused_name(&member.name, PathFault::Empty)),
            };
        };
        let (directory, name) = split(&path);
        if directory
            .split(|&byte| byte == b'/')
            .any(|component| component.starts_with(WHITEOUT))
        {
            return Err(bad_whiteout(&path, "its name is reserved for whiteouts"));
        }
        if name.starts_with(WHITEOUT) {
            return self.whiteout(&member, &path);
        }
        if member.kind == MemberKind::Special('3', true) {
            // What overlayfs keeps in the place of a whiteout.
            return self.hide(directory, name);
        }
        let path = self.place(&path)?;
        self.count(&path)?;
        match &member.kind {
            MemberKind::Directory => self.directory(&path, &member)?,
            MemberKind::File => {
                self.clear(&path)?;
                match content.expect("files have content") {
                    Content::Held(bytes, mode) => {
                        self.tree.file(&path, mode, bytes.as_slice()).map(drop)?;
                    }
                    Content::Written(file, entry) => self.tree.adopt(&path, &file, entry)?,
                }
            }
            MemberKind::Symlink(target) => {
                self.clear(&path)?;
                self.tree.symlink(&path, &clamped(&path, target)?)?;
            }
            MemberKind::HardLink(target) => self.hard_link(&path, target)?,
            MemberKind::Special(kind, _) => return self.special(&path, *kind),
        }
        self.notes.member(&path, &member);
        self.fresh.insert(path.as_bytes().to_vec());
        Ok(())
    }

    fn directory(&mut self, path: &EntryPath, member: &Member) -> Result<(), LayerError> {
        if self.kind(path.as_bytes()) != Some(&EntryKind::Directory) {
            self.clear(path)?;
        }
        let mode = member.mode & DIRECTORY_MODE | 0o700;
        self.tree.directory(path, mode)
    }

    fn hard_link(&mut self, path: &EntryPath, target: &[u8]) -> Result<(), LayerError> {
        let unknown = || LayerError::LinkUnknown {
            member: path.display(),
            target: String::from_utf8_lossy(target).into_owned(),
        };
        let target = member_path(target)?.ok_or_else(unknown)?;
        let (directory, name) = split(&target);
        let target = self.resolve(directory)?.ok_or_else(unknown)?;
        let target = join(&target, name).ok_or_else(unknown)?;
        if target == *path {
            let there = self.kind(path.as_bytes()).is_some();
            return if there { Ok(()) } else { Err(unknown()) };
        }
        // First, so that what is cleared away cannot be the target.
        self.clear(path)?;
        match self.kind(target.as_bytes()) {
            Some(EntryKind::File { .. }) => self.tree.hard_link(path, &target),
            Some(EntryKind::Symlink { target }) => {
                let target = target.as_os_str().as_bytes().to_vec();
                self.tree.symlink(path, &clamped(path, &target)?)
            }
            _ => Err(unknown()),
        }
    }

    /// Passes over a device or pipe where every sandbox has its own, and refuses others.
    fn special(&mut self, path: &EntryPath, kind: char) -> Result<(), LayerError> {
        if path.below("dev").is_none() {
            let member = path.display();
            return Err(LayerError::Special { member, kind });
        }
        self.clear(path)?;
        self.notes.device(path);
        Ok(())
    }

    fn whiteout(&mut self, member: &Member, path: &EntryPath) -> Result<(), LayerError> {
        let (directory, name) = split(path);
        if member.kind != MemberKind::File {
            return Err(bad_whiteout(path, "a whiteout is a file"));
        }
        if name == OPAQUE {
            return self.hide_all(directory);
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        match &name[WHITEOUT.len()..] {
            b"" | b"." | b".." => Err(bad_whiteout(path, "it names nothing that could be hidden")),
            hidden => self.hide(directory, hidden),
        }
    }

    /// Hides what lower layers have at one name.
    fn hide(&mut self, directory: &[u8], name: &[u8]) -> Result<(), LayerError> {
        let Some(directory) = self.resolve(directory)? else {
            return Ok(());
        };
        let Some(path) = join(&directory, name) else {
            return Ok(());
        };
        self.remove_stale(path.as_bytes())
    }

    /// Hides what lower layers have in a directory.
    fn hide_all(&mut self, directory: &[u8]) -> Result<(), LayerError> {
        let Some(directory) = self.resolve(directory)? else {
            return Ok(());
        };
        if self.kind(&directory) != Some(&EntryKind::Directory) {
            return Ok(());
        }
        for child in self.tree.children(&directory) {
            self.remove_stale(&child)?;
        }
        Ok(())
    }

    /// Removes the entry at `path` and what is below, but for what this layer brought.
    fn remove_stale(&mut self, path: &[u8]) -> Result<(), LayerError> {
        // Last first: a directory comes before what is in it.
        let mut below = self.tree.below(path);
        self.scanned += below.len() + 1;
        if self.scanned > self.limits.entries.saturating_mul(SCANS) {
            return Err(self.too_many());
        }
        below.reverse();
        below.push(path.to_vec());
        let mut kept: BTreeSet<Vec<u8>> = BTreeSet::new();
        for entry in below {
            if self.kind(&entry).is_none() {
                continue;
            }
            if self.fresh.contains(&entry) || kept.contains(&entry) {
                if let Some(directory) = parent(&entry) {
                    kept.insert(directory.to_vec());
                }
                continue;
            }
            self.tree.remove(&entry)?;
        }
        Ok(())
    }

    /// Removes whatever is at `path`.
    fn clear(&mut self, path: &EntryPath) -> Result<(), LayerError> {
        if self.kind(path.as_bytes()).is_none() {
            return Ok(());
        }
        for entry in self.tree.below(path.as_bytes()).into_iter().rev() {
            self.fresh.remove(&entry);
            self.tree.remove(&entry)?;
        }
        self.tree.remove(path.as_bytes())
    }

    /// Returns where a member goes: links in its directories are followed as they would be with
    /// the tree for the root, and directories that are missing are made.
    fn place(&mut self, path: &EntryPath) -> Result<EntryPath, LayerError> {
        let (directory, name) = split(path);
        let mut walk = Walk::new(directory);
        while let Some(next) = walk.step(self.tree)? {
            let through = |at: &[u8]| LayerError::Through {
                member: path.display(),
                parent: String::from_utf8_lossy(at).into_owned(),
            };
            match next {
                Found::Nothing(at) => {
                    let directory = EntryPath::parse(&at).ok().flatten();
                    let directory =
                        directory.ok_or_else(|| refused_name(&at, PathFault::TooLong))?;
                    self.count(&directory)?;
                    self.tree.directory(&directory, 0o755)?;
                    self.fresh.insert(at);
                }
                Found::NoDirectory(at) => return Err(through(&at)),
            }
        }
        let placed = join(&walk.found, name);
        placed.ok_or_else(|| refused_name(path.as_bytes(), PathFault::TooLong))
    }

    /// Returns the directory that a path leads to, links followed; `None` when it leads to none.
    fn resolve(&self, directory: &[u8]) -> Result<Option<Vec<u8>>, LayerError> {
        let mut walk = Walk::new(directory);
        Ok(match walk.step(self.tree)? {
            None => Some(walk.found),
            Some(_) => None,
        })
    }

    fn kind(&self, path: &[u8]) -> Option<&EntryKind> {
        let entry = self.tree.manifest().entries.get(path);
        entry.map(|entry| &entry.kind)
    }

    fn count(&mut self, path: &EntryPath) -> Result<(), LayerError> {
        self.path_bytes += path.as_bytes().len();
        match self.path_bytes > self.limits.entries.saturating_mul(PATH_BYTES) {
            true => Err(self.too_many()),
            false => Ok(()),
        }
    }

    fn too_many(&self) -> LayerError {
        LayerError::TooMany {
            limit: self.limits.entries,
        }
    }
}

fn bad_whiteout(path: &EntryPath, reason: &'static str) -> LayerError {
    LayerError::Whiteout {
        member: path.display(),
        reason,
    }
}
