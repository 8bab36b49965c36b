//! Unpacking tar streams.

use std::io::Read;

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::path::EntryPath;

/// How the members of a stream become entries of a tree.
pub(super) trait Placement {
    /// Returns where a member goes in the tree.
    fn place(&self, member: EntryPath, directory: bool) -> Result<EntryPath, LayerError>;

    /// Returns the mode that a file or directory gets.
    fn mode(&self, mode: u32, directory: bool) -> u32;
}

/// A member of a stream whose name is safe.
pub(super) struct Member<'a> {
    pub(super) path: EntryPath,
    pub(super) mode: u32,
    /// When a file was last changed, in seconds since 1970.
    pub(super) modified: u64,
    pub(super) kind: MemberKind,
    /// The content of a file; must be read before the next member is asked for.
    pub(super) content: &'a mut dyn Read,
}

/// What a member is; links with their targets as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberKind {
    Directory,
    File,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
}

/// Hands every member of a tar stream to `visit`, but for the tree's own directory.
///
/// # Errors
/// Returns [`LayerError`] at the first member that is refused.
pub(super) fn each(
    stream: impl Read,
    mut visit: impl FnMut(Member<'_>) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let Some(path) = parse(&entry.path_bytes())? else {
            continue;
        };
        let target = || entry.link_name_bytes().unwrap_or_default().into_owned();
        let kind = if kind.is_dir() {
            MemberKind::Directory
        } else if kind.is_file() || kind.is_contiguous() {
            MemberKind::File
        } else if kind.is_symlink() {
            MemberKind::Symlink(target())
        } else if kind.is_hard_link() {
            MemberKind::HardLink(target())
        } else {
            return Err(LayerError::Special {
                member: path.display(),
                kind: char::from(kind.as_byte()),
            });
        };
        visit(Member {
            path,
            mode: entry.header().mode()?,
            // Not every writer sets it.
            modified: entry.header().mtime().unwrap_or_default(),
            kind,
            content: &mut entry,
        })?;
    }
    Ok(())
}

/// Writes the members of a tar stream to `tree`.
///
/// # Errors
/// Returns [`LayerError`] at the first member that is refused.
pub(super) fn unpack(
    stream: impl Read,
    placement: &impl Placement,
    tree: &mut TreeBuilder,
) -> Result<(), LayerError> {
    each(stream, |member| {
        let name = member.path.display();
        let directory = member.kind == MemberKind::Directory;
        let path = placement.place(member.path, directory)?;
        let mode = placement.mode(member.mode, directory);
        match member.kind {
            MemberKind::Directory => tree.directory(&path, mode),
            MemberKind::File => tree.file(&path, mode, member.content).map(drop),
            MemberKind::Symlink(target) if leads_to_itself(&path, &target, placement) => Ok(()),
            MemberKind::Symlink(target) => tree.symlink(&path, &target),
            MemberKind::HardLink(target) => {
                let Some(target) = parse(&target)? else {
                    return Err(LayerError::LinkUnknown {
                        member: name,
                        target: String::from_utf8_lossy(&target).into_owned(),
                    });
                };
                tree.hard_link(&path, &placement.place(target, false)?)
            }
        }
    })
}

/// Reads a name of a member, or what a hard link names.
///
/// # Errors
/// Returns [`LayerError::Name`] for one that could lead out of the tree.
pub(super) fn parse(name: &[u8]) -> Result<Option<EntryPath>, LayerError> {
    EntryPath::parse(name).map_err(|fault| LayerError::Name {
        member: String::from_utf8_lossy(name).into_owned(),
        fault,
    })
}

/// Says whether the tree has a link and what it leads to at one path: packages link `/lib/x` to
/// `/usr/lib/x` for hosts where these are two directories.
fn leads_to_itself(path: &EntryPath, target: &[u8], placement: &impl Placement) -> bool {
    let Some(target) = target.strip_prefix(b"/") else {
        return false;
    };
    let placed = EntryPath::parse(target).ok().flatten();
    let placed = placed.and_then(|target| placement.place(target, false).ok());
    placed.as_ref() == Some(path)
}
