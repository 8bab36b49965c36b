//! Bytecode that packages bring.
//!
//! It holds the time and size of its module, and Python takes it when the module still has them. In
//! a tree all files have one time, so such bytecode would never be taken. What Python would take in
//! an ordinary installation is therefore marked as bytecode that is checked by nothing (PEP 552):
//! nothing below it ever changes. What it would not take is left out.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use crate::layers::bytecode::module_of;
use crate::layers::path::EntryPath;
use crate::layers::{LayerError, parent};
use crate::store::{EntryKind, TreeManifest};

/// Magic number, kind, and 8 bytes that depend on the kind.
const HEADER: usize = 16;

/// The kind of bytecode that is checked by nothing.
const UNCHECKED: [u8; 4] = [1, 0, 0, 0];

/// What is known of bytecode and modules while a package is unpacked.
#[derive(Debug, Default)]
pub(super) struct Bytecode {
    /// The time and size of its module that bytecode holds, by its path.
    stamps: BTreeMap<Vec<u8>, (u32, u32)>,
    /// When modules were last changed.
    modules: BTreeMap<Vec<u8>, u32>,
    /// Modules that differ from what bytecode was made of, and bytecode that is no more what it was.
    changed: Vec<Vec<u8>>,
}

impl Bytecode {
    /// Notes when a file was last changed, if it is a module.
    pub(super) fn module(&mut self, place: &EntryPath, modified: u64) {
        // As Python takes it: the lowest 32 bits.
        let low = u32::try_from(modified & u64::from(u32::MAX));
        if let (Ok(modified), true) = (low, place.as_bytes().ends_with(b".py")) {
            self.modules.insert(place.as_bytes().to_vec(), modified);
        }
    }

    /// Notes the bytecode that is written to `place`, and returns what is to be written.
    pub(super) fn reader<'a>(
        &mut self,
        place: &EntryPath,
        mut content: impl Read + 'a,
    ) -> Result<Box<dyn Read + 'a>, LayerError> {
        let path = place.as_bytes();
        let mut header = Vec::with_capacity(HEADER);
        content
            .by_ref()
            .take(HEADER as u64)
            .read_to_end(&mut header)?;
        let field = |at: usize| {
            let bytes = header.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        if let (Some(0), Some(time), Some(size)) = (field(4), field(8), field(12)) {
            self.stamps.insert(path.to_vec(), (time, size));
            header[4..8].copy_from_slice(&UNCHECKED);
            // No digest of the module: who asks Python to check all the same gets it compiled.
            header[8..].fill(0);
        }
        Ok(Box::new(Cursor::new(header).chain(content)))
    }

    /// Notes that the file at `place` is not written as it was.
    pub(super) fn differs(&mut self, place: &EntryPath) {
        self.changed.push(place.as_bytes().to_vec());
    }

    /// Returns the paths of the bytecode that Python would not take, and of directories that have
    /// nothing else, these last.
    pub(super) fn useless(self, tree: &TreeManifest) -> Vec<Vec<u8>> {
        let changed = |path: &[u8]| self.changed.iter().any(|changed| changed == path);
        let is_useless = |path: &[u8]| {
            let Some(module) = module_of(path) else {
                return false;
            };
            let size = match tree.entries.get(&module).map(|entry| &entry.kind) {
                Some(EntryKind::File { size, .. }) => *size,
                // Nothing imports it by itself.
                _ => return false,
            };
            if changed(path) || changed(&module) {
                return true;
            }
            let Some((time, length)) = self.stamps.get(path) else {
                return false;
            };
            let same_size = u32::try_from(size).is_ok_and(|size| size == *length);
            !same_size || self.modules.get(&module) != Some(time)
        };
        let mut useless: Vec<Vec<u8>> = tree
            .entries
            .keys()
            .filter(|path| is_useless(path))
            .cloned()
            .collect();
        let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
        for path in tree.entries.keys() {
            let directory = parent(path).unwrap_or_default();
            if directory.ends_with(b"__pycache__") {
                *left.entry(directory).or_default() += 1;
            }
        }
        let mut empty = Vec::new();
        for path in &useless {
            let directory = parent(path).unwrap_or_default();
            if let Some(count) = left.get_mut(directory) {
                *count -= 1;
                if *count == 0 {
                    empty.push(directory.to_vec());
                }
            }
        }
        useless.append(&mut empty);
        useless
    }
}
