//! What is in a tree, as text that two hosts write alike.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use envbox_lockfiles::base::{Digest, FsError};

/// What one entry of a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size.
        size: u64,
        /// The digest of its bytes.
        digest: Digest,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, as it is written.
        target: PathBuf,
    },
    /// A device, a socket or a pipe: never in a tree that envbox built.
    Special,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The permission bits, set-id and sticky bits with them. Zero for links, which have none.
    pub mode: u32,
    /// What it is.
    pub kind: EntryKind,
}

/// Everything in a tree that a step could tell apart, by path below the tree; the tree's own
/// directory has the empty path.
///
/// Written as one line an entry, sorted by the bytes of the path, fields parted by tabs: `d` mode
/// path; `f` mode path size digest; `l` path target; `s` mode path. The mode is four octal digits;
/// bytes of names outside of `!`…`~`, and the backslash, are written `\ooo`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TreeManifest {
    /// The entries. `PathBuf` compares by components; the order of the text is that of bytes.
    pub entries: BTreeMap<Vec<u8>, TreeEntry>,
}

/// Digests of files already read, by device and inode: trees share most of their files.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<(u64, u64), Digest>>);

impl Known {
    fn digest(&self, path: &Path, metadata: &Metadata) -> io::Result<Digest> {
        let inode = (metadata.dev(), metadata.ino());
        let known = self
            .0
            .lock()
            .expect("no holder panics")
            .get(&inode)
            .copied();
        if let Some(digest) = known {
            return Ok(digest);
        }
        let (digest, _) = Digest::of_reader(File::open(path)?)?;
        self.0
            .lock()
            .expect("no holder panics")
            .insert(inode, digest);
        Ok(digest)
    }
}

/// The text is no list of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} does not describe an entry of a tree")]
pub struct InvalidManifest {
    /// The line, from one on.
    pub line: usize,
}

impl TreeManifest {
    /// Reads the tree at `directory`.
    ///
    /// # Errors
    /// Returns [`FsError`] when a part of it cannot be read.
    pub fn of(directory: &Path) -> Result<Self, FsError> {
        Self::with_known(directory, &Known::default())
    }

    pub(super) fn with_known(directory: &Path, known: &Known) -> Result<Self, FsError> {
        let mut manifest = Self::default();
        manifest.walk(directory, Vec::new(), known)?;
        Ok(manifest)
    }

    /// Notes `entry` at `path`, which is relative to the tree.
    pub fn insert(&mut self, path: &Path, entry: TreeEntry) {
        self.entries
            .insert(path.as_os_str().as_bytes().to_vec(), entry);
    }

    /// Returns the text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (path, TreeEntry { mode, kind }) in &self.entries {
            let path = escape(path);
            let line = match kind {
                EntryKind::Directory => format!("d\t{mode:04o}\t{path}"),
                EntryKind::File { size, digest } => {
                    format!("f\t{mode:04o}\t{path}\t{size}\t{digest}")
                }
                EntryKind::Symlink { target } => {
                    format!("l\t{path}\t{}", escape(target.as_os_str().as_bytes()))
                }
                EntryKind::Special => format!("s\t{mode:04o}\t{path}"),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Returns the digest of the text: the identity of the tree.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }

    /// Reads the text.
    ///
    /// # Errors
    /// Returns [`InvalidManifest`] with the line.
    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        let mut entries = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            let (path, entry) = parse_line(&fields).ok_or(InvalidManifest { line: number + 1 })?;
            entries.insert(path, entry);
        }
        Ok(Self { entries })
    }

    /// Returns the first path at which the two differ.
    pub fn difference(&self, other: &Self) -> Option<PathBuf> {
        let paths = self.entries.keys().chain(other.entries.keys());
        let first = paths
            .filter(|path| self.entries.get(*path) != other.entries.get(*path))
            .min()?;
        Some(path_of(first.clone()))
    }

    fn walk(&mut self, path: &Path, name: Vec<u8>, known: &Known) -> Result<(), FsError> {
        let metadata = fs::symlink_metadata(path).map_err(FsError::at("read", path))?;
        let kind = kind_of(path, &metadata, known).map_err(FsError::at("read", path))?;
        if kind == EntryKind::Directory {
            for entry in fs::read_dir(path).map_err(FsError::at("read", path))? {
                let entry = entry.map_err(FsError::at("read", path))?;
                let mut name = name.clone();
                if !name.is_empty() {
                    name.push(b'/');
                }
                name.extend_from_slice(entry.file_name().as_bytes());
                self.walk(&entry.path(), name, known)?;
            }
        }
        let mode = match kind {
            EntryKind::Symlink { .. } => 0,
            _ => metadata.permissions().mode() & 0o7777,
        };
        self.entries.insert(name, TreeEntry { mode, kind });
        Ok(())
    }
}

fn kind_of(path: &Path, metadata: &Metadata, known: &Known) -> io::Result<EntryKind> {
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        EntryKind::Symlink {
            target: fs::read_link(path)?,
        }
    } else if kind.is_file() {
        EntryKind::File {
            size: metadata.len(),
            digest: known.digest(path, metadata)?,
        }
    } else {
        EntryKind::Special
    })
}

fn parse_line(fields: &[&str]) -> Option<(Vec<u8>, TreeEntry)> {
    let octal = |mode: &str| u32::from_str_radix(mode, 8).ok();
    let (path, mode, kind) = match fields {
        ["d", mode, path] => (path, octal(mode)?, EntryKind::Directory),
        ["s", mode, path] => (path, octal(mode)?, EntryKind::Special),
        ["f", mode, path, size, digest] => {
            let (size, digest) = (size.parse().ok()?, digest.parse().ok()?);
            (path, octal(mode)?, EntryKind::File { size, digest })
        }
        ["l", path, target] => {
            let target = path_of(unescape(target)?);
            (path, 0, EntryKind::Symlink { target })
        }
        _ => return None,
    };
    Some((unescape(path)?, TreeEntry { mode, kind }))
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// Writes a name on one line, without white space.
pub(crate) fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'!'..=b'~' if byte != b'\\' => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:03o}").expect("writing to a String cannot fail"),
        }
    }
    text
}

/// Reads what [`escape`] wrote.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'\\' {
            name.push(byte);
            rest = tail;
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..3)?).ok()?;
        name.push(u8::from_str_radix(digits, 8).ok()?);
        rest = &tail[3..];
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = TreeEntry> {
        let file = (any::<u64>(), any::<[u8; 32]>()).prop_map(|(size, digest)| EntryKind::File {
            size,
            digest: Digest::from_bytes(digest),
        });
        let link = any::<Vec<u8>>().prop_map(|target| EntryKind::Symlink {
            target: path_of(target),
        });
        let kind = prop_oneof![
            Just(EntryKind::Directory),
            Just(EntryKind::Special),
            file,
            link
        ];
        (0..0o10000u32, kind).prop_map(|(mode, kind)| {
            let link = matches!(kind, EntryKind::Symlink { .. });
            TreeEntry {
                mode: if link { 0 } else { mode },
                kind,
            }
        })
    }

    proptest! {
        #[test]
        fn text_round_trips(entries in prop::collection::btree_map(any::<Vec<u8>>(), entry(), 0..20)) {
            let manifest = TreeManifest { entries };
            prop_assert_eq!(TreeManifest::parse(&manifest.to_text()), Ok(manifest));
        }
    }

    #[test]
    fn a_tree_is_listed_in_full() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path();
        fs::create_dir(tree.join("a b")).unwrap();
        fs::write(tree.join("a b/file"), b"abc").unwrap();
        std::os::unix::fs::symlink("../x", tree.join("a b/link")).unwrap();
        for (path, mode) in [("", 0o755), ("a b", 0o555), ("a b/file", 0o444)] {
            fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        let text = TreeManifest::of(tree).unwrap().to_text();
        let abc = Digest::of(b"abc");
        assert_eq!(
            text,
            format!(
                "d\t0755\t\n\
                 d\t0555\ta\\040b\n\
                 f\t0444\ta\\040b/file\t3\t{abc}\n\
                 l\ta\\040b/link\t../x\n"
            )
        );
        fs::set_permissions(tree.join("a b"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn differences_are_found_on_both_sides() {
        let parse = |text: &str| TreeManifest::parse(text).unwrap();
        let both = parse("d\t0755\t\nd\t0755\ta\n");
        let one = parse("d\t0755\t\n");
        assert_eq!(both.difference(&both), None);
        assert_eq!(both.difference(&one), Some("a".into()));
        assert_eq!(one.difference(&both), Some("a".into()));
        for bad in [
            "x",
            "d\t0755",
            "d\t9\ta",
            "f\t0644\ta\t1\tnone",
            "l\ta\t\\0",
        ] {
            assert_eq!(TreeManifest::parse(bad), Err(InvalidManifest { line: 1 }));
        }
    }
}
