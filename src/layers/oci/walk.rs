//! Where a path of a layer leads in the tree below it.

use std::os::unix::ffi::OsStrExt as _;

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::path::{components, parent};
use crate::store::EntryKind;

/// How many links a path may lead through; the kernel's own limit.
const LINK_LIMIT: usize = 40;

/// A walk down a path by the tree's list: no link of it is ever followed by the kernel.
pub(super) struct Walk {
    pub(super) found: Vec<u8>,
    /// Components still to go, the next one last.
    ahead: Vec<Vec<u8>>,
    links: usize,
}

/// What stops a walk.
pub(super) enum Found {
    Nothing(Vec<u8>),
    NoDirectory(Vec<u8>),
}

impl Walk {
    pub(super) fn new(path: &[u8]) -> Self {
        Self {
            found: Vec::new(),
            ahead: components(path),
            links: 0,
        }
    }

    /// Walks until something stops it, or to the end. Where there was nothing, and is a directory
    /// now, it can go on.
    pub(super) fn step(&mut self, tree: &TreeBuilder) -> Result<Option<Found>, LayerError> {
        while let Some(component) = self.ahead.last() {
            if component == b".." {
                // The root's parent is the root.
                self.found = parent(&self.found).unwrap_or_default().to_vec();
                self.ahead.pop();
                continue;
            }
            let mut next = self.found.clone();
            if !next.is_empty() {
                next.push(b'/');
            }
            next.extend_from_slice(component);
            match tree.manifest().entries.get(&next).map(|entry| &entry.kind) {
                None => return Ok(Some(Found::Nothing(next))),
                Some(EntryKind::Directory) => {
                    self.found = next;
                    self.ahead.pop();
                }
                Some(EntryKind::Symlink { target }) => {
                    self.links += 1;
                    if self.links > LINK_LIMIT {
                        return Ok(Some(Found::NoDirectory(next)));
                    }
                    self.ahead.pop();
                    let target = target.as_os_str().as_bytes();
                    if target.starts_with(b"/") {
                        self.found.clear();
                    }
                    self.ahead.extend(components(target));
                }
                Some(_) => return Ok(Some(Found::NoDirectory(next))),
            }
        }
        Ok(None)
    }
}
