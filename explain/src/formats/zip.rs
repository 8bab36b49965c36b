//! Zip archives: NumPy's `.npz`, torch's checkpoints, and others.

use zip::{CompressionMethod, ZipArchive};

use crate::base::{Cursor, Fault, Source, Walk};
use crate::formats::members::{self, Member, MemberKind, Members};
use crate::formats::{Pair, torch};

/// A zip archive that is open.
pub(crate) struct Zip {
    source: Source,
    archive: ZipArchive<Cursor>,
    pub(crate) members: Vec<Member>,
}

/// Tells in what two archives differ; returns what they are.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<&'static str, Fault> {
    let mut old = Zip::open(pair.old, walk.limits.members)?;
    let mut new = Zip::open(pair.new, walk.limits.members)?;
    if torch::is_checkpoint(&old) && torch::is_checkpoint(&new) {
        torch::compare(walk, pair.at, &mut old, &mut new)?;
        return Ok("torch");
    }
    members::compare(walk, pair.at, &mut old, &mut new)?;
    let arrays = |zip: &Zip| {
        zip.members
            .iter()
            .all(|member| member.name.ends_with(".npy"))
    };
    Ok(if arrays(&old) && arrays(&new) {
        "npz"
    } else {
        "zip"
    })
}

impl Zip {
    pub(crate) fn open(source: &Source, most: usize) -> Result<Self, Fault> {
        let mut archive = ZipArchive::new(source.reader()).map_err(Fault::of)?;
        if archive.len() > most {
            let what = "the number of members".to_owned();
            return Err(Fault::TooMuch {
                what,
                limit: most as u64,
            });
        }
        let mut members = Vec::new();
        for index in 0..archive.len() {
            let file = archive.by_index_raw(index).map_err(Fault::of)?;
            let mut facts = vec![("compression", file.compression().to_string())];
            let time = file.last_modified();
            facts.push((
                "time",
                time.map_or_else(String::new, |time| time.to_string()),
            ));
            facts.push((
                "mode",
                file.unix_mode()
                    .map_or_else(String::new, |mode| format!("{mode:o}")),
            ));
            facts.push(("comment", file.comment().to_owned()));
            let kind = if file.is_dir() {
                MemberKind::Directory
            } else {
                MemberKind::File
            };
            members.push(Member {
                name: file.name().to_owned(),
                kind,
                facts,
            });
        }
        Ok(Self {
            source: source.clone(),
            archive,
            members,
        })
    }
}

impl Members for Zip {
    fn list(&self) -> &[Member] {
        &self.members
    }

    fn open(&mut self, walk: &mut Walk, index: usize) -> Result<Source, Fault> {
        let file = self.archive.by_index(index).map_err(Fault::of)?;
        if file.compression() == CompressionMethod::Stored
            && !file.encrypted()
            && let Some(start) = file.data_start()
        {
            return self.source.slice(start, file.size());
        }
        walk.unpack(file)
    }
}
