//! Tar archives.

use tar::{Archive, EntryType};

use crate::base::{Fault, Source, Walk};
use crate::formats::Pair;
use crate::formats::members::{self, Member, MemberKind, Members};

/// Tells in what two archives differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let mut old = Tar::open(pair.old, walk.limits.members)?;
    let mut new = Tar::open(pair.new, walk.limits.members)?;
    members::compare(walk, pair.at, &mut old, &mut new)
}

struct Tar {
    members: Vec<Member>,
    contents: Vec<Source>,
}

impl Tar {
    fn open(source: &Source, most: usize) -> Result<Self, Fault> {
        let mut archive = Archive::new(source.reader());
        let mut tar = Self {
            members: Vec::new(),
            contents: Vec::new(),
        };
        for entry in archive.entries_with_seek()? {
            if tar.members.len() >= most {
                let what = "the number of members".to_owned();
                return Err(Fault::TooMuch {
                    what,
                    limit: most as u64,
                });
            }
            let entry = entry?;
            let header = entry.header();
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let target = entry.link_name_bytes().map(|target| lossy(&target));
            let kind = match (header.entry_type(), target) {
                (EntryType::Regular | EntryType::Continuous, _) => MemberKind::File,
                (EntryType::Directory, _) => MemberKind::Directory,
                (EntryType::Symlink | EntryType::Link, Some(target)) => MemberKind::Link(target),
                (other, _) => MemberKind::Other(format!("{other:?}").to_lowercase()),
            };
            let owner = (
                header.uid().unwrap_or_default(),
                header.gid().unwrap_or_default(),
            );
            let names = (header.username_bytes(), header.groupname_bytes());
            let names = (
                lossy(names.0.unwrap_or_default()),
                lossy(names.1.unwrap_or_default()),
            );
            let facts = vec![
                (
                    "time (seconds since 1970)",
                    header.mtime().unwrap_or_default().to_string(),
                ),
                ("mode", format!("{:o}", header.mode().unwrap_or_default())),
                (
                    "owner",
                    format!("{}:{} {}:{}", owner.0, owner.1, names.0, names.1),
                ),
            ];
            let size = if kind == MemberKind::File {
                entry.size()
            } else {
                0
            };
            tar.contents
                .push(source.slice(entry.raw_file_position(), size)?);
            tar.members.push(Member {
                name: lossy(&entry.path_bytes()),
                kind,
                facts,
            });
        }
        Ok(tar)
    }
}

impl Members for Tar {
    fn list(&self) -> &[Member] {
        &self.members
    }

    fn open(&mut self, _: &mut Walk, index: usize) -> Result<Source, Fault> {
        let content = self.contents.get(index).cloned();
        content.ok_or_else(|| Fault::malformed("there is no such member"))
    }
}
