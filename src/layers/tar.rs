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

/// Writes the members of a tar stream to `tree`.
///
/// # Errors
/// Returns [`LayerError`] at the first member that is refused.
pub(super) fn unpack(
    stream: impl Read,
    placement: &impl Placement,
    tree: &mut TreeBuilder,
) -> Result<(), LayerError> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let member = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(path) = place(&entry.path_bytes(), kind.is_dir(), placement)? else {
            continue;
        };
        let mode = entry.header().mode()?;
        if kind.is_dir() {
            tree.directory(&path, placement.mode(mode, true))?;
        } else if kind.is_file() || kind.is_contiguous() {
            tree.file(&path, placement.mode(mode, false), &mut entry)?;
        } else if kind.is_symlink() {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            if !leads_to_itself(&path, &target, placement) {
                tree.symlink(&path, &target)?;
            }
        } else if kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            let Some(target) = place(&target, false, placement)? else {
                return Err(LayerError::LinkUnknown {
                    member,
                    target: String::from_utf8_lossy(&target).into_owned(),
                });
            };
            tree.hard_link(&path, &target)?;
        } else {
            let kind = char::from(kind.as_byte());
            return Err(LayerError::Special { member, kind });
        }
    }
    Ok(())
}

fn place(
    name: &[u8],
    directory: bool,
    placement: &impl Placement,
) -> Result<Option<EntryPath>, LayerError> {
    let path = EntryPath::parse(name).map_err(|fault| LayerError::Name {
        member: String::from_utf8_lossy(name).into_owned(),
        fault,
    })?;
    path.map(|path| placement.place(path, directory))
        .transpose()
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
