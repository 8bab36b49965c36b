//! Directories.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::{Fault, Source, Walk};
use crate::formats::members::{self, Member, MemberKind, Members};

/// Tells in what two directories differ. Times are left out: they say when, not what.
pub(crate) fn compare(walk: &mut Walk, old: &Path, new: &Path) -> Result<(), Fault> {
    let mut old = Directory::open(old, walk.limits.members)?;
    let mut new = Directory::open(new, walk.limits.members)?;
    members::compare(walk, "", &mut old, &mut new)
}

struct Directory {
    members: Vec<Member>,
    paths: Vec<PathBuf>,
}

impl Directory {
    fn open(root: &Path, most: usize) -> Result<Self, Fault> {
        let mut found = Vec::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if found.len() >= most {
                    let what = "the number of files".to_owned();
                    return Err(Fault::TooMuch {
                        what,
                        limit: most as u64,
                    });
                }
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        let members = found.iter().map(|path| member(root, path));
        Ok(Self {
            members: members.collect::<Result<_, Fault>>()?,
            paths: found,
        })
    }
}

fn member(root: &Path, path: &Path) -> Result<Member, Fault> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = if metadata.is_dir() {
        MemberKind::Directory
    } else if metadata.is_symlink() {
        MemberKind::Link(fs::read_link(path)?.to_string_lossy().into_owned())
    } else if metadata.is_file() {
        MemberKind::File
    } else {
        MemberKind::Other("neither a file nor a directory".to_owned())
    };
    let mode = format!("{:o}", metadata.permissions().mode() & 0o7777);
    let name = path.strip_prefix(root).unwrap_or(path);
    Ok(Member {
        name: name.to_string_lossy().into_owned(),
        facts: if metadata.is_symlink() {
            Vec::new()
        } else {
            vec![("mode", mode)]
        },
        kind,
    })
}

impl Members for Directory {
    fn list(&self) -> &[Member] {
        &self.members
    }

    fn open(&mut self, _: &mut Walk, index: usize) -> Result<Source, Fault> {
        let path = self.paths.get(index);
        let path = path.ok_or_else(|| Fault::malformed("there is no such file"))?;
        Ok(Source::open(path)?)
    }
}
