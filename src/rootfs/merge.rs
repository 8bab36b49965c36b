//! Many trees become one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::layers::{components, parent};
use crate::rootfs::RootfsError;
use crate::rootfs::packages::Package;
use crate::rootfs::parts::Contents;
use crate::store::{EntryKind, TreeEntry};

/// How many links a path may lead through; the kernel's own limit.
const LINK_LIMIT: usize = 40;

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The package with this index.
    Package(usize),
    /// envbox.
    Generated(Vec<u8>),
}

/// An entry of the merged tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) entry: TreeEntry,
    pub(super) source: Source,
}

/// The merged tree: what will be where, and from where.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) nodes: BTreeMap<Vec<u8>, Node>,
    /// Pairs of packages that may have different files at one path, and one such path.
    pub(super) overlaps: BTreeMap<(usize, usize), Vec<u8>>,
}

impl Merged {
    /// Merges `packages` in order.
    pub(super) fn of(packages: &[Package]) -> Result<Self, RootfsError> {
        let mut merged = Self::default();
        for (index, package) in packages.iter().enumerate() {
            for (path, entry) in &package.manifest.entries {
                merged.add(packages, path, entry, index)?;
            }
        }
        Ok(merged)
    }

    fn add(
        &mut self,
        packages: &[Package],
        path: &[u8],
        entry: &TreeEntry,
        index: usize,
    ) -> Result<(), RootfsError> {
        let source = Source::Package(index);
        let Some(node) = self.nodes.get_mut(path) else {
            let entry = entry.clone();
            self.nodes.insert(path.to_vec(), Node { entry, source });
            return Ok(());
        };
        if node.entry.kind == EntryKind::Directory && entry.kind == EntryKind::Directory {
            // Not all archives say what mode a directory has that they only pass through.
            node.entry.mode |= entry.mode;
            return Ok(());
        }
        let is_directory = |entry: &TreeEntry| entry.kind == EntryKind::Directory;
        let replaceable = !is_directory(&node.entry) && !is_directory(entry);
        let on_image = matches!(node.source, Source::Package(first)
            if matches!(packages[first].contents, Contents::Image(_)));
        if replaceable && on_image {
            let entry = entry.clone();
            *node = Node { entry, source };
            return Ok(());
        }
        if node.entry == *entry {
            return Ok(());
        }
        let Source::Package(first) = node.source else {
            unreachable!("packages are merged before anything is generated");
        };
        let kept = kept(&packages[first], &packages[index]).filter(|_| replaceable);
        if let Some(kept) = kept {
            if node.entry.kind != entry.kind {
                let overlap = self.overlaps.entry((first, index));
                overlap.or_insert_with(|| path.to_vec());
            }
            if kept == Kept::Second {
                let entry = entry.clone();
                *node = Node { entry, source };
            }
            return Ok(());
        }
        Err(RootfsError::Conflict {
            path: String::from_utf8_lossy(path).into_owned(),
            first: packages[first].name.clone(),
            second: packages[index].name.clone(),
        })
    }

    /// Returns the entry at a path, not following links.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path.as_bytes())
    }

    /// Follows all links in a path; `None` when it leads nowhere.
    pub(super) fn resolve(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut found: Vec<u8> = Vec::new();
        let mut ahead: Vec<Vec<u8>> = components(path);
        let mut links = 0;
        while let Some(component) = ahead.pop() {
            if component == b".." {
                found = parent(&found).unwrap_or_default().to_vec();
                continue;
            }
            let mut next = found.clone();
            if !next.is_empty() {
                next.push(b'/');
            }
            next.extend_from_slice(&component);
            match &self.nodes.get(&next)?.entry.kind {
                EntryKind::Symlink { target } => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return None;
                    }
                    let target = target.as_os_str().as_bytes();
                    if target.starts_with(b"/") {
                        found.clear();
                    }
                    ahead.extend(components(target));
                }
                _ => found = next,
            }
        }
        Some(found)
    }

    /// Says whether a path leads to something, following links.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.resolve(path.as_bytes()).is_some()
    }

    /// Returns the entries directly in a directory: name and entry.
    pub(super) fn children<'a>(
        &'a self,
        directory: &str,
    ) -> impl Iterator<Item = (&'a [u8], &'a Node)> + use<'a> {
        let start = format!("{directory}/").into_bytes();
        let length = start.len();
        let below = self.nodes.range(start.clone()..);
        below
            .take_while(move |(path, _)| path.starts_with(&start))
            .map(move |(path, node)| (&path[length..], node))
            .filter(|(name, _)| !name.contains(&b'/'))
    }

    /// Returns where the host has the bytes of a file that a package brought.
    pub(super) fn host_path(&self, packages: &[Package], path: &[u8]) -> Option<PathBuf> {
        match self.nodes.get(path)?.source {
            Source::Package(index) => Some(packages[index].path.join(OsStr::from_bytes(path))),
            Source::Generated(_) => None,
        }
    }

    /// Returns the pairs of packages that disagree, as sentences.
    pub(super) fn warnings(&self, packages: &[Package]) -> Vec<String> {
        let mut told = BTreeSet::new();
        for ((first, second), path) in &self.overlaps {
            told.insert(format!(
                "`{}` and `{}` have different files at `/{}`, and maybe elsewhere; those of `{}` \
                 are used",
                packages[*first].name,
                packages[*second].name,
                String::from_utf8_lossy(path),
                packages[match kept(&packages[*first], &packages[*second]) {
                    Some(Kept::First) => *first,
                    _ => *second,
                }]
                .name,
            ));
        }
        told.into_iter().collect()
    }
}

/// Whose file is used where two packages disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    First,
    Second,
}

/// Returns whose files are used where these two disagree; `None` when they may not.
fn kept(first: &Package, second: &Package) -> Option<Kept> {
    match (&first.contents, &second.contents) {
        (Contents::Wheel { .. }, Contents::Wheel { .. })
        | (Contents::Conda(_), Contents::Conda(_)) => Some(Kept::Second),
        // What the solver took from conda is what the wheels were chosen for.
        (Contents::Conda(_), Contents::Wheel { .. }) => Some(Kept::First),
        _ => None,
    }
}

/// Returns a path for messages and `Path` APIs.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
