//! What packages say of their licences.

pub(super) mod copyright;
mod fields;
pub(super) mod metadata;
mod names;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, Platform};
use envbox_lockfiles::lock::Lockfile;

use crate::attest::inventory::{Component, Inventory, Kind};
use crate::attest::licence::tree::read_inside;
use crate::attest::{AttestError, LicenceError};

/// What a package says of its licence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Licence {
    /// It as an SPDX expression, when the package says it in a way that leaves nothing to guess.
    pub expression: Option<String>,
    /// Else the package's own words, if it has some.
    pub words: Option<String>,
    /// The licences in the expression that SPDX has no name for: by `LicenseRef-…`, the text, or
    /// where to find it.
    pub references: BTreeMap<String, String>,
}

impl Licence {
    fn known(expression: impl Into<String>) -> Self {
        Self {
            expression: Some(expression.into()),
            ..Self::default()
        }
    }
}

/// The licences of packages, by the digest of a package's artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Licences(BTreeMap<Digest, Licence>);

impl Licences {
    /// Reads the licences of all that `lock` has for `platform`. `trees` has the tree of every
    /// package by the digest of its artifact.
    ///
    /// # Errors
    /// Returns [`AttestError`] when a tree is not there or a file in it cannot be read.
    pub fn read(
        lock: &Lockfile,
        platform: Platform,
        trees: &BTreeMap<Digest, PathBuf>,
    ) -> Result<Self, AttestError> {
        let inventory = Inventory::of(lock, platform)?;
        let packages = inventory.components.iter();
        let mut packages = packages
            .filter(|component| component.kind != Kind::Layer && component.kind.is_installed());
        match packages.find(|package| !trees.contains_key(&package.artifact.digest)) {
            Some(package) => {
                let package = package.name.to_owned();
                Err(LicenceError { package }.into())
            }
            None => Self::read_known(lock, platform, trees),
        }
    }

    /// As [`Licences::read`]; nothing is known of packages whose tree is not there.
    ///
    /// # Errors
    /// Returns [`AttestError`] when a file in a tree cannot be read.
    pub fn read_known(
        lock: &Lockfile,
        platform: Platform,
        trees: &BTreeMap<Digest, PathBuf>,
    ) -> Result<Self, AttestError> {
        let inventory = Inventory::of(lock, platform)?;
        let mut by_name: BTreeMap<&str, &Path> = BTreeMap::new();
        let mut placed = Vec::new();
        for component in &inventory.components {
            let Some(tree) = trees.get(&component.artifact.digest) else {
                continue;
            };
            if component.kind == Kind::Debian {
                by_name.insert(component.name, tree);
            }
            placed.push((component, tree.as_path()));
        }
        let mut licences = BTreeMap::new();
        for (component, tree) in placed {
            let licence = match component.kind {
                Kind::Debian => debian(component.name, &by_name)?,
                Kind::Conda => conda(tree, component)?,
                Kind::Wheel | Kind::BuildTool => wheel(tree)?,
                Kind::Interpreter => interpreter(tree, component.version)?,
                Kind::Layer | Kind::Source => Licence::default(),
            };
            licences.insert(component.artifact.digest, licence);
        }
        Ok(Self(licences))
    }

    /// Returns the licence of the package with the artifact `digest`; for one that was not read, that
    /// nothing is known.
    pub fn of(&self, digest: &Digest) -> Licence {
        self.0.get(digest).cloned().unwrap_or_default()
    }
}

/// How many packages may refer to each other for their documentation.
const LINKS: usize = 4;

fn debian(name: &str, trees: &BTreeMap<&str, &Path>) -> Result<Licence, AttestError> {
    let mut owner = name.to_owned();
    for _ in 0..LINKS {
        let Some(tree) = trees.get(owner.as_str()) else {
            break;
        };
        // Debian Policy §12.5: packages of one source may have their documentation in common.
        if let Some(other) = tree::documentation_link(tree, &owner)? {
            owner = other;
            continue;
        }
        let file = format!("usr/share/doc/{owner}/copyright");
        let text = read_inside(tree, Path::new(&file))?;
        return Ok(text
            .map(|text| copyright::licence(&text, name))
            .unwrap_or_default());
    }
    Ok(Licence::default())
}

fn wheel(tree: &Path) -> Result<Licence, AttestError> {
    for metadata in tree::metadata_files(tree)? {
        if let Some(text) = read_inside(tree, &metadata)? {
            return Ok(metadata::licence(&text));
        }
    }
    Ok(Licence::default())
}

/// Conda packages say it in their record.
fn conda(tree: &Path, component: &Component<'_>) -> Result<Licence, AttestError> {
    for record in tree::conda_records(tree)? {
        let text = read_inside(tree, &record)?;
        let record: Option<serde_json::Value> =
            text.and_then(|text| serde_json::from_str(&text).ok());
        let name = record
            .as_ref()
            .and_then(|record| record.get("name")?.as_str());
        if name != Some(component.name) {
            continue;
        }
        let licence = record
            .as_ref()
            .and_then(|record| record.get("license")?.as_str());
        return Ok(licence.map(metadata::named).unwrap_or_default());
    }
    Ok(Licence::default())
}

/// What CPython's licence file has in every version that can be locked.
const PSF: &str = "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2";

fn interpreter(tree: &Path, version: &str) -> Result<Licence, AttestError> {
    let series: Vec<&str> = version.split('.').take(2).collect();
    let file = format!("opt/python/lib/python{}/LICENSE.txt", series.join("."));
    let text = read_inside(tree, Path::new(&file))?;
    let is_psf = text.is_some_and(|text| text.contains(PSF));
    Ok(match is_psf {
        true => Licence::known("PSF-2.0"),
        false => Licence::default(),
    })
}
