//! The two formats of packages.
//!
//! A `.conda` is a zip archive of two tar streams, one of them what describes the package (conda's
//! CEP on `.conda`, format version 2); a `.tar.bz2` is one stream with both, in any order.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, Write as _};
use std::path::Path;

use bzip2::bufread::MultiBzDecoder;
use envbox_lockfiles::base::FsError;

use crate::layers::LayerError;
use crate::layers::codec::Codec;
use crate::layers::limits::{Bounded, Limits};
use crate::layers::tar::{self, Member};
use crate::layers::zip::{self, Zip};

/// The directory of what describes a package; it is not installed.
const INFO: &str = "info";

/// The member of a `.conda` that says which version of the format it has.
const METADATA: &str = "metadata.json";

/// Far more than that member has.
const METADATA_LIMIT: u64 = 1 << 20;

/// An open package.
pub(super) enum Archive {
    /// A `.conda`.
    Parts {
        zip: Zip,
        info: zip::Member,
        files: zip::Member,
        limit: u64,
    },
    /// The tar stream of a `.tar.bz2`, unpacked to a file that has no name: it is read twice, and
    /// unpacking is the slow part.
    Whole { stream: File },
}

impl Archive {
    /// Opens the package at `path`; `name` is its file name, `scratch` a directory on the disk that
    /// it is unpacked to.
    pub(super) fn open(
        path: &Path,
        name: &str,
        scratch: &Path,
        limits: Limits,
    ) -> Result<Self, LayerError> {
        let file = File::open(path).map_err(FsError::at("read", path))?;
        let packed = file.metadata().map_err(FsError::at("read", path))?.len();
        let limit = limits.unpacked(packed);
        if name.ends_with(".conda") {
            return Self::parts(Zip::open(file)?, limit);
        }
        if !name.ends_with(".tar.bz2") {
            return Err(LayerError::Compression {
                member: name.to_owned(),
            });
        }
        let packed = BufReader::with_capacity(256 * 1024, file);
        let mut content = Bounded::new(MultiBzDecoder::new(packed), limit);
        let at = || FsError::at("write", scratch);
        let mut stream = tempfile::tempfile_in(scratch).map_err(at())?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = content.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            stream.write_all(&buffer[..read]).map_err(at())?;
        }
        Ok(Self::Whole { stream })
    }

    fn parts(zip: Zip, limit: u64) -> Result<Self, LayerError> {
        let one = |start: &str| {
            let is_it = |member: &&zip::Member| {
                member.name.starts_with(start) && Codec::of_name(&member.name).is_some()
            };
            let mut found = zip.members.iter().filter(is_it);
            match (found.next(), found.next()) {
                (Some(member), None) => Ok(member.clone()),
                (None, _) => Err(LayerError::Missing {
                    member: format!("{start}*.tar.zst"),
                }),
                _ => Err(LayerError::Malformed {
                    reason: "it has two members of one kind",
                }),
            }
        };
        let (info, files) = (one("info-")?, one("pkg-")?);
        if let Some(member) = zip.members.iter().find(|member| member.name == METADATA) {
            let content = zip.content(member, METADATA_LIMIT)?;
            let version = serde_json::from_slice::<serde_json::Value>(&content);
            let version = version.ok().and_then(|all| {
                let version = all.get("conda_pkg_format_version")?;
                version.as_u64()
            });
            if version != Some(2) {
                return Err(LayerError::Malformed {
                    reason: "its format is not version 2",
                });
            }
        }
        Ok(Self::Parts {
            zip,
            info,
            files,
            limit,
        })
    }

    /// Hands every member that describes the package to `visit`.
    pub(super) fn info(
        &self,
        mut visit: impl FnMut(Member<'_>) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        self.each(true, |member| match is_info(&member) {
            true => visit(member),
            false => self.misplaced(),
        })
    }

    /// Hands every member that is installed to `visit`.
    pub(super) fn files(
        &self,
        mut visit: impl FnMut(Member<'_>) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        self.each(false, |member| match is_info(&member) {
            true => self.misplaced(),
            false => visit(member),
        })
    }

    /// A member in the wrong part of a `.conda` would be seen by some tools and not by others.
    fn misplaced(&self) -> Result<(), LayerError> {
        match self {
            Self::Whole { .. } => Ok(()),
            Self::Parts { .. } => Err(LayerError::Malformed {
                reason: "a member is in the wrong one of its two parts",
            }),
        }
    }

    fn each(
        &self,
        of_info: bool,
        visit: impl FnMut(Member<'_>) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        match self {
            Self::Parts {
                zip,
                info,
                files,
                limit,
            } => {
                let part = if of_info { info } else { files };
                let codec = Codec::of_name(&part.name).ok_or_else(|| LayerError::Compression {
                    member: part.name.clone(),
                })?;
                let packed = BufReader::with_capacity(128 * 1024, zip.read(part)?);
                tar::each(Bounded::new(codec.decode(packed)?, *limit), visit)
            }
            Self::Whole { stream } => {
                let mut stream = stream;
                stream.rewind()?;
                tar::each(BufReader::with_capacity(128 * 1024, stream), visit)
            }
        }
    }
}

fn is_info(member: &Member<'_>) -> bool {
    member.path.as_bytes() == INFO.as_bytes() || member.path.below(INFO).is_some()
}
