//! What a package says of itself in `info/`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::str::FromStr as _;

use envbox_lockfiles::base::Digest;
use rattler_conda_types::package::{FileMode, HasPrefixEntry};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::layers::LayerError;
use crate::layers::conda::CondaPackage;
use crate::layers::conda::archive::Archive;
use crate::layers::entry_points::{self, EntryPoint};
use crate::layers::path::EntryPath;
use crate::layers::tar::{self, MemberKind};

/// The longest file that is read whole; the list of a package with a million files has less.
const LONGEST: u64 = 512 << 20;

/// The files that are read.
const WANTED: [&str; 5] = [
    "index.json",
    "paths.json",
    "link.json",
    "files",
    "has_prefix",
];

/// How a package does without a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noarch {
    /// It is for one.
    No,
    /// It has the same files everywhere.
    Generic,
    /// Where its files go depends on the interpreter.
    Python,
}

/// What `info/` holds.
#[derive(Debug)]
pub(super) struct Info {
    /// `index.json`.
    pub(super) index: Map<String, Value>,
    pub(super) noarch: Noarch,
    /// What is to be installed, by name in the package.
    pub(super) paths: BTreeMap<EntryPath, Listed>,
    /// Programs to make.
    pub(super) entry_points: Vec<EntryPoint>,
}

/// What a list says of a file; older packages say less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) kind: ListedKind,
    pub(super) digest: Option<Digest>,
    pub(super) size: Option<u64>,
    pub(super) placeholder: Option<Placeholder>,
}

/// What a list says that a path is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ListedKind {
    #[default]
    HardLink,
    SoftLink,
    Directory,
}

/// What stands in a file for the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placeholder {
    pub(super) text: String,
    pub(super) binary: bool,
}

#[derive(Deserialize)]
struct PathsWire {
    paths: Vec<PathWire>,
}

#[derive(Deserialize)]
struct PathWire {
    #[serde(rename = "_path")]
    path: String,
    path_type: ListedKind,
    sha256: Option<String>,
    size_in_bytes: Option<u64>,
    prefix_placeholder: Option<String>,
    file_mode: Option<FileModeWire>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum FileModeWire {
    Text,
    Binary,
}

#[derive(Deserialize)]
struct LinkWire {
    noarch: LinkNoarchWire,
}

#[derive(Deserialize)]
struct LinkNoarchWire {
    #[serde(default)]
    entry_points: Vec<String>,
}

impl Info {
    /// Reads what an archive says of itself, which must be what was asked for.
    pub(super) fn read(archive: &Archive, package: &CondaPackage<'_>) -> Result<Self, LayerError> {
        let mut files = wanted(archive)?;
        let index = files.remove("index.json").ok_or_else(missing_index)?;
        let index = serde_json::from_slice(&index).map_err(|_| LayerError::Malformed {
            reason: "`info/index.json` is not what it should be",
        })?;
        check(&index, package)?;
        let noarch = noarch(&index)?;
        let paths = match files.remove("paths.json") {
            Some(bytes) => listed(&bytes)?,
            None => listed_in_older(&files)?,
        };
        let entry_points = match (noarch, files.remove("link.json")) {
            (Noarch::Python, Some(bytes)) => entry_points(&bytes)?,
            _ => Vec::new(),
        };
        Ok(Self {
            index,
            noarch,
            paths,
            entry_points,
        })
    }
}

fn wanted(archive: &Archive) -> Result<BTreeMap<&'static str, Vec<u8>>, LayerError> {
    let mut files = BTreeMap::new();
    archive.info(|member| {
        let name = member.path.below("info");
        let is_it = |wanted: &&&str| {
            let name = name.as_ref().map(EntryPath::as_bytes);
            name == Some(wanted.as_bytes())
        };
        let Some(wanted) = WANTED.iter().find(is_it) else {
            return Ok(());
        };
        if member.kind != MemberKind::File {
            return Err(LayerError::Malformed {
                reason: "a file of `info` is no regular file",
            });
        }
        let mut content = Vec::new();
        member.content.take(LONGEST).read_to_end(&mut content)?;
        if files.insert(*wanted, content).is_some() {
            return Err(LayerError::Duplicate {
                member: member.path.display(),
            });
        }
        Ok(())
    })?;
    Ok(files)
}

fn missing_index() -> LayerError {
    LayerError::Missing {
        member: "info/index.json".to_owned(),
    }
}

/// Compares what the package says that it is with what the lock says.
fn check(index: &Map<String, Value>, package: &CondaPackage<'_>) -> Result<(), LayerError> {
    let field = |name: &str| index.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = [field("name"), field("version"), field("build")];
    let expected = [package.name, package.version, package.build];
    if found == expected {
        return Ok(());
    }
    Err(LayerError::WrongPackage {
        expected: expected.join("-"),
        found: found.join("-"),
    })
}

fn noarch(index: &Map<String, Value>) -> Result<Noarch, LayerError> {
    match index.get("noarch") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Noarch::No),
        Some(Value::String(kind)) if kind == "python" => Ok(Noarch::Python),
        // As old packages have it.
        Some(Value::Bool(true)) => Ok(Noarch::Generic),
        Some(Value::String(kind)) if kind == "generic" => Ok(Noarch::Generic),
        Some(_) => Err(LayerError::Malformed {
            reason: "`info/index.json` has a kind of `noarch` that is not known",
        }),
    }
}

fn listed(bytes: &[u8]) -> Result<BTreeMap<EntryPath, Listed>, LayerError> {
    let malformed = || LayerError::Malformed {
        reason: "`info/paths.json` is not what it should be",
    };
    let wire: PathsWire = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    let mut paths = BTreeMap::new();
    for path in wire.paths {
        let digest = path.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
        let digest = digest.map(|digest| digest.parse::<Digest>()).transpose();
        let binary = path.file_mode == Some(FileModeWire::Binary);
        let placeholder = path.prefix_placeholder;
        let listed = Listed {
            kind: path.path_type,
            digest: digest.map_err(|_| malformed())?,
            size: path.size_in_bytes,
            // Some writers have an empty one where there is none.
            placeholder: placeholder
                .filter(|text| !text.is_empty())
                .map(|text| Placeholder { text, binary }),
        };
        insert(&mut paths, &path.path, listed)?;
    }
    Ok(paths)
}

/// Reads the lists that packages had before there was `paths.json`.
fn listed_in_older(
    files: &BTreeMap<&str, Vec<u8>>,
) -> Result<BTreeMap<EntryPath, Listed>, LayerError> {
    let malformed = |reason| LayerError::Malformed { reason };
    let Some(list) = files.get("files") else {
        return Err(LayerError::Missing {
            member: "info/paths.json".to_owned(),
        });
    };
    let text = std::str::from_utf8(list).map_err(|_| malformed("`info/files` is not UTF-8"))?;
    let mut paths = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        insert(&mut paths, line, Listed::default())?;
    }
    let prefixes = files.get("has_prefix").map_or(&[][..], Vec::as_slice);
    let damaged = || malformed("`info/has_prefix` is not what it should be");
    let text = std::str::from_utf8(prefixes).map_err(|_| damaged())?;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let entry = HasPrefixEntry::from_str(line).map_err(|_| damaged())?;
        let path = entry.relative_path.to_str().ok_or_else(damaged)?;
        let path = tar::parse(path.as_bytes())?.ok_or_else(damaged)?;
        let listed = paths.get_mut(&path).ok_or_else(damaged)?;
        listed.placeholder = Some(Placeholder {
            text: entry.prefix.into_owned(),
            binary: entry.file_mode == FileMode::Binary,
        });
    }
    Ok(paths)
}

fn insert(
    paths: &mut BTreeMap<EntryPath, Listed>,
    name: &str,
    listed: Listed,
) -> Result<(), LayerError> {
    let path = tar::parse(name.as_bytes())?.ok_or(LayerError::Malformed {
        reason: "a path that is listed is empty",
    })?;
    match paths.insert(path.clone(), listed) {
        None => Ok(()),
        Some(_) => Err(LayerError::Duplicate {
            member: path.display(),
        }),
    }
}

fn entry_points(bytes: &[u8]) -> Result<Vec<EntryPoint>, LayerError> {
    let wire: LinkWire = serde_json::from_slice(bytes).map_err(|_| LayerError::Malformed {
        reason: "`info/link.json` is not what it should be",
    })?;
    entry_points::sorted(wire.noarch.entry_points.iter().map(String::as_str))
}
