//! Unpacking conda's packages.
//!
//! Comes in: a `.conda` or a `.tar.bz2`. Goes out: its files below `/opt/env`, which is the prefix of
//! every environment, with the prefix in place of what stood for it, programs for the entry points
//! of a `noarch: python` package, and the package's record in `conda-meta`, by which conda's tools
//! know it.
//!
//! What no list of the package names is not installed, as conda does. Bytecode that Python would
//! take is kept in a form that does not depend on the time of its module; other bytecode is left
//! out, and compiled with that of all other packages.
//!
//! **Invariant:** every file is the one that `info/paths.json` lists (`tests::lists_are_verified`).
//! **Invariant:** no host and no path of this machine is in the record
//! (`tests::records_are_read_by_conda`).

mod archive;
mod info;
mod prefix;
mod pyc;
mod record;
mod scripts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use envbox_lockfiles::base::{Digest, Hasher, package_url};
use envbox_lockfiles::lock::{LockedCondaPackage, Origin};

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::bytecode::module_of;
use crate::layers::conda::archive::Archive;
use crate::layers::conda::info::{Info, Listed, ListedKind, Noarch};
use crate::layers::conda::pyc::Bytecode;
use crate::layers::conda::record::{Installed, InstalledKind};
use crate::layers::limits::Limits;
use crate::layers::path::{EntryPath, PathFault};
use crate::layers::standalone::plain_mode;
use crate::layers::tar::{self, Member, MemberKind};
use crate::layers::wheel::{ENVIRONMENT, PythonTarget, SHEBANG};
use crate::store::{EntryKind, TreeEntry, TreeManifest};

pub use scripts::{LinkScript, link_scripts};

/// The prefix, as files name it.
const PREFIX: &str = "/opt/env";

/// What a lock says of a package.
#[derive(Debug, Clone, Copy)]
pub struct CondaPackage<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its build string.
    pub build: &'a str,
    /// The name of its channel.
    pub channel: &'a str,
    /// Its file in the channel: `linux-64/numpy-1.26.4-py312h_0.conda`.
    pub file: &'a str,
    /// The size of that file.
    pub size: u64,
    /// The digest of that file.
    pub digest: Digest,
}

impl<'a> CondaPackage<'a> {
    /// Returns what a lock says of `package`.
    pub fn of(package: &'a LockedCondaPackage) -> Self {
        Self {
            name: package.name.as_str(),
            version: &package.version,
            build: &package.build,
            channel: match &package.artifact.origin {
                Origin::Registry(channel) => channel.as_str(),
                Origin::Url(url) => url,
                Origin::Built => unreachable!("only wheels are built"),
            },
            file: &package.artifact.file,
            size: package.artifact.size,
            digest: package.artifact.digest,
        }
    }

    /// Returns the package's URL (ECMA-427, type `conda`).
    pub fn purl(&self) -> String {
        let (file, subdir) = self.place();
        let kind = match file.ends_with(".conda") {
            true => "conda",
            false => "tar.bz2",
        };
        let qualifiers = [
            ("build", self.build),
            ("channel", self.channel),
            ("subdir", subdir),
            ("type", kind),
        ];
        package_url(&["conda", self.name], self.version, &qualifiers)
    }

    /// Returns the file's name and the subdir that it is in.
    fn place(&self) -> (&'a str, &'a str) {
        let (subdir, name) = self.file.rsplit_once('/').unwrap_or(("", self.file));
        (name, subdir)
    }
}

/// Unpacks the package at `archive` into the empty directory `tree`. `python` is the environment's
/// interpreter, if it has one.
///
/// # Errors
/// Returns [`LayerError`] when the package is damaged, hostile, another one or not what its list
/// says, when a string in it has no room for the prefix, when it needs an interpreter, or when the
/// tree cannot be written.
pub fn unpack_conda(
    archive: &Path,
    package: &CondaPackage<'_>,
    python: Option<PythonTarget>,
    tree: &Path,
    limits: Limits,
) -> Result<TreeManifest, LayerError> {
    let (name, subdir) = package.place();
    let scratch = tree.parent().unwrap_or(tree);
    let archive = Archive::open(archive, name, scratch, limits)?;
    let info = Info::read(&archive, package)?;
    let site_packages = match (info.noarch, python) {
        (Noarch::Python, _) if subdir != "noarch" => {
            // Where its files go depends on the interpreter, and the key of its tree does not.
            return Err(LayerError::Malformed {
                reason: "it is `noarch: python` and not in `noarch`",
            });
        }
        (Noarch::Python, None) => return Err(LayerError::NeedsPython),
        (_, python) => python.map(PythonTarget::site_packages),
    };
    let mut installation = Installation {
        tree: TreeBuilder::new(tree, limits)?,
        info: &info,
        site_packages: site_packages.unwrap_or_default(),
        installed: BTreeMap::new(),
        bytecode: Bytecode::default(),
    };
    archive.files(|member| installation.member(member))?;
    installation.finish(package)
}

/// Returns what the package at `archive` says that it is: `info/index.json`. `scratch` is a directory on a
/// disk with room for it.
///
/// # Errors
/// Returns [`LayerError`] when the package is damaged, hostile or another one.
pub fn conda_index(
    archive: &Path,
    package: &CondaPackage<'_>,
    scratch: &Path,
    limits: Limits,
) -> Result<serde_json::Map<String, serde_json::Value>, LayerError> {
    let (name, _) = package.place();
    let archive = Archive::open(archive, name, scratch, limits)?;
    Ok(Info::read(&archive, package)?.index)
}

struct Installation<'a> {
    tree: TreeBuilder,
    info: &'a Info,
    /// Where modules of a `noarch: python` package go.
    site_packages: String,
    /// By name in the package; programs of entry points by their place below the prefix.
    installed: BTreeMap<EntryPath, Installed>,
    bytecode: Bytecode,
}

impl Installation<'_> {
    fn member(&mut self, member: Member<'_>) -> Result<(), LayerError> {
        let Some(listed) = self.info.paths.get(&member.path) else {
            return Ok(());
        };
        let place = self.place(&member.path)?;
        let differs = || LayerError::PathsMismatch {
            member: member.path.display(),
        };
        let (name, mode, modified) = (member.path.clone(), member.mode, member.modified);
        let installed = match member.kind {
            MemberKind::Directory => {
                // Others are made for what is in them.
                if listed.kind != ListedKind::Directory {
                    return Err(differs());
                }
                self.tree.directory(&place, 0o755)?;
                Installed::new(InstalledKind::Directory)
            }
            MemberKind::Symlink(target) => {
                if listed.kind == ListedKind::Directory {
                    return Err(differs());
                }
                self.tree.symlink(&place, &target)?;
                Installed::new(InstalledKind::SoftLink)
            }
            MemberKind::HardLink(target) => self.hard_link(&name, &place, &target, listed)?,
            MemberKind::File => {
                if listed.kind != ListedKind::HardLink {
                    return Err(differs());
                }
                let mode = plain_mode(mode, false);
                self.file(&name, &place, mode, modified, listed, member.content)?
            }
        };
        self.installed.insert(name, installed);
        Ok(())
    }

    fn file(
        &mut self,
        name: &EntryPath,
        place: &EntryPath,
        mode: u32,
        modified: u64,
        listed: &Listed,
        content: &mut dyn Read,
    ) -> Result<Installed, LayerError> {
        let mut original = Original::new(content);
        let there = match &listed.placeholder {
            None if module_of(place.as_bytes()).is_none() => {
                // It is written as it is: one digest is enough.
                self.bytecode.module(place, modified);
                let there = self.tree.file(place, mode, &mut *original.content)?;
                let size = self.size(place);
                return Self::verified(name, listed, there, there, size);
            }
            None => {
                let content = self.bytecode.reader(place, &mut original)?;
                self.tree.file(place, mode, content)?
            }
            Some(placeholder) if placeholder.binary => {
                if placeholder.text.len() < PREFIX.len() {
                    return Err(LayerError::Placeholder {
                        member: name.display(),
                        placeholder: placeholder.text.clone(),
                        prefix: PREFIX,
                    });
                }
                self.bytecode.differs(place);
                let content = prefix::in_binary(&mut original, &placeholder.text, PREFIX);
                self.tree.file(place, mode, content)?
            }
            Some(placeholder) => {
                self.bytecode.differs(place);
                let content = prefix::in_text(&mut original, &placeholder.text, PREFIX);
                self.tree.file(place, mode, content)?
            }
        };
        let (digest, size) = original.finish();
        Self::verified(name, listed, digest, there, size)
    }

    /// Compares a file's digest and size in the package with what the list says.
    fn verified(
        name: &EntryPath,
        listed: &Listed,
        digest: Digest,
        there: Digest,
        size: u64,
    ) -> Result<Installed, LayerError> {
        let kept = listed.digest.is_none_or(|promised| promised == digest)
            && listed.size.is_none_or(|promised| promised == size);
        if !kept {
            return Err(LayerError::PathsMismatch {
                member: name.display(),
            });
        }
        Ok(Installed {
            kind: InstalledKind::File,
            digest: Some(digest),
            there: Some(there),
            size: Some(size),
            placeholder: listed.placeholder.clone(),
        })
    }

    /// Returns the size of a file in the tree.
    fn size(&self, place: &EntryPath) -> u64 {
        match self.tree.manifest().entries.get(place.as_bytes()) {
            Some(TreeEntry {
                kind: EntryKind::File { size, .. },
                ..
            }) => *size,
            _ => 0,
        }
    }

    fn hard_link(
        &mut self,
        name: &EntryPath,
        place: &EntryPath,
        target: &[u8],
        listed: &Listed,
    ) -> Result<Installed, LayerError> {
        let unknown = || LayerError::LinkUnknown {
            member: name.display(),
            target: String::from_utf8_lossy(target).into_owned(),
        };
        let target = tar::parse(target)?.ok_or_else(unknown)?;
        let first = self.installed.get(&target).ok_or_else(unknown)?.clone();
        // Two names of one file cannot have two contents.
        let same = listed.placeholder == first.placeholder
            && listed
                .digest
                .is_none_or(|digest| first.digest == Some(digest))
            && listed.size.is_none_or(|size| first.size == Some(size));
        if !same || listed.kind != ListedKind::HardLink {
            return Err(LayerError::PathsMismatch {
                member: name.display(),
            });
        }
        self.tree.hard_link(place, &self.place(&target)?)?;
        Ok(first)
    }

    /// Returns where a file of the package goes.
    fn place(&self, name: &EntryPath) -> Result<EntryPath, LayerError> {
        if self.info.noarch == Noarch::Python {
            if let Some(below) = name.below("site-packages") {
                return Ok(below.under(&self.site_packages));
            }
            if let Some(below) = name.below("python-scripts") {
                return Ok(below.under(&format!("{ENVIRONMENT}/bin")));
            }
        }
        let place = name.under(ENVIRONMENT);
        match name.as_bytes() {
            // A package that could write others' records could be taken for them.
            b"conda-meta" => Err(refused(name)),
            _ if name.below("conda-meta").is_some() => Err(refused(name)),
            _ => Ok(place),
        }
    }

    fn finish(mut self, package: &CondaPackage<'_>) -> Result<TreeManifest, LayerError> {
        let missing = |path: &&EntryPath| {
            let listed = &self.info.paths[*path];
            listed.kind != ListedKind::Directory && !self.installed.contains_key(*path)
        };
        if let Some(path) = self.info.paths.keys().find(missing) {
            return Err(LayerError::Missing {
                member: path.display(),
            });
        }
        for path in std::mem::take(&mut self.bytecode).useless(self.tree.manifest()) {
            self.tree.remove(&path)?;
        }
        self.entry_points()?;
        let mut by_place = BTreeMap::new();
        for (name, installed) in &self.installed {
            let place = self.place(name)?;
            if self.tree.manifest().entries.contains_key(place.as_bytes()) {
                let below = place.below(ENVIRONMENT).expect("all is placed below it");
                by_place.insert(below.display(), installed.clone());
            }
        }
        let (path, text) = record::record(package, &self.info.index, &by_place)?;
        self.tree.file(&path, 0o644, text.as_bytes())?;
        self.tree.finish()
    }

    fn entry_points(&mut self) -> Result<(), LayerError> {
        for entry in &self.info.entry_points {
            let name = format!("bin/{}", entry.name);
            let path = tar::parse(name.as_bytes())?.ok_or(LayerError::Name {
                member: name,
                fault: PathFault::Empty,
            })?;
            let place = path.under(ENVIRONMENT);
            // A file of the package with that name is what its author wants.
            if self.tree.manifest().entries.contains_key(place.as_bytes()) {
                continue;
            }
            let script = entry.script(SHEBANG);
            let there = self.tree.file(&place, 0o755, script.as_bytes())?;
            let installed = Installed {
                there: Some(there),
                size: Some(script.len() as u64),
                ..Installed::new(InstalledKind::EntryPoint)
            };
            self.installed.insert(path, installed);
        }
        Ok(())
    }
}

fn refused(name: &EntryPath) -> LayerError {
    LayerError::CondaMeta {
        member: name.display(),
    }
}

/// Takes the digest and the size of what is read.
struct Original<'a> {
    content: &'a mut dyn Read,
    hasher: Hasher,
}

impl<'a> Original<'a> {
    fn new(content: &'a mut dyn Read) -> Self {
        Self {
            content,
            hasher: Hasher::new(),
        }
    }

    fn finish(self) -> (Digest, u64) {
        self.hasher.finish()
    }
}

impl Read for Original<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
