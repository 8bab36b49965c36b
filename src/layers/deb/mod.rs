//! Unpacking Debian packages.
//!
//! Comes in: a `.deb`. Goes out: its files with `/usr` merged, what scanners of installed packages
//! read (`var/lib/dpkg/status.d`, as images without dpkg have it), and the alternatives that it
//! offers (`var/lib/envbox/alternatives`, see [`alternatives`]).
//!
//! Maintainer scripts are read and never run.
//!
//! **Invariant:** a package whose scripts might do work that its tree then lacks is refused
//! (`tests::unknown_scripts_are_refused`).

mod allowed;
pub mod alternatives;
mod ar;
mod control;
mod scripts;
mod shell;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use envbox_lockfiles::base::{DebianName, FsError, Platform};

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::codec::Codec;
use crate::layers::deb::control::Control;
use crate::layers::limits::{Bounded, Limits};
use crate::layers::path::EntryPath;
use crate::layers::tar::{self, Placement};
use crate::store::TreeManifest;

/// Unpacks the package `name` from `deb` into the empty directory `tree`.
///
/// # Errors
/// Returns [`LayerError`] when the archive is damaged, hostile or of another package, when a
/// maintainer script does unknown work, or when the tree cannot be written.
pub fn unpack_deb(
    deb: &Path,
    name: &DebianName,
    platform: Platform,
    tree: &Path,
    limits: Limits,
) -> Result<TreeManifest, LayerError> {
    let archive = Archive::open(deb)?;
    let control = Control::read(archive.stream("control.tar", limits)?)?;
    let found = control.field("Package")?;
    if found != name.as_str() {
        return Err(LayerError::WrongPackage {
            expected: name.to_string(),
            found,
        });
    }
    let alternatives = scripts::read(name, &control)?;
    let mut builder = TreeBuilder::new(tree, limits)?;
    let files = Files { platform };
    tar::unpack(archive.stream("data.tar", limits)?, &files, &mut builder)?;
    write_description(name, &control, &mut builder)?;
    if !alternatives.is_empty() {
        let path = EntryPath::known(alternatives::DIRECTORY).join(name.as_str());
        let text = alternatives::to_text(&alternatives);
        builder.file(&path, 0o644, text.as_bytes())?;
    }
    builder.finish()
}

/// Writes what says that the package is installed.
fn write_description(
    name: &DebianName,
    control: &Control,
    tree: &mut TreeBuilder,
) -> Result<(), LayerError> {
    let directory = EntryPath::known("var/lib/dpkg/status.d");
    tree.file(&directory.join(name.as_str()), 0o644, control.stanza()?)?;
    if let Some(sums) = control.file("md5sums") {
        let path = directory.join(&format!("{name}.md5sums"));
        tree.file(&path, 0o644, sums)?;
    }
    Ok(())
}

struct Archive<'a> {
    path: &'a Path,
    members: Vec<ar::Member>,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self, LayerError> {
        let file = File::open(path).map_err(FsError::at("read", path))?;
        let members = ar::members(BufReader::new(file))?;
        match members.first() {
            Some(first) if first.name == "debian-binary" => Ok(Self { path, members }),
            _ => Err(LayerError::Missing {
                member: "debian-binary".to_owned(),
            }),
        }
    }

    /// Returns the uncompressed bytes of the member whose name without compression is `name`.
    fn stream(&self, name: &str, limits: Limits) -> Result<impl Read + 'a, LayerError> {
        let is_wanted = |member: &&ar::Member| match member.name.strip_prefix(name) {
            Some(end) => end.is_empty() || end.starts_with('.'),
            None => false,
        };
        let mut wanted = self.members.iter().filter(is_wanted);
        let missing = || LayerError::Missing {
            member: name.to_owned(),
        };
        let member = wanted.next().ok_or_else(missing)?;
        if wanted.next().is_some() {
            return Err(LayerError::Duplicate {
                member: name.to_owned(),
            });
        }
        let codec = Codec::of_name(&member.name).ok_or_else(|| LayerError::Compression {
            member: member.name.clone(),
        })?;
        let mut file = File::open(self.path).map_err(FsError::at("read", self.path))?;
        file.seek(SeekFrom::Start(member.offset))?;
        let packed = BufReader::with_capacity(256 * 1024, file.take(member.size));
        let limit = limits.unpacked(member.size);
        Ok(Bounded::new(codec.decode(packed)?, limit))
    }
}

struct Files {
    platform: Platform,
}

impl Placement for Files {
    fn place(&self, member: EntryPath, directory: bool) -> Result<EntryPath, LayerError> {
        Ok(member.merged_usr(self.platform, directory))
    }

    /// Keeps the package's modes but for set-id bits: nobody inside may become somebody else, and
    /// a store in a home directory is no place for them. Sticky directories stay so.
    fn mode(&self, mode: u32, directory: bool) -> u32 {
        if directory {
            mode & 0o1777 | 0o700
        } else {
            mode & 0o777 | 0o400
        }
    }
}
