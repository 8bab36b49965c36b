//! `pylock.toml`: <https://packaging.python.org/en/latest/specifications/pylock-toml/> (PEP 751).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use uv_pep440::VersionSpecifiers;
use uv_pep508::{MarkerExpression, MarkerTree};

use crate::base::PythonName;
use crate::foreign::outline::Outline;
use crate::foreign::reading::{Reading, is_default_index};
use crate::foreign::{
    Choice, ForeignError, ForeignLock, Format, LeftOut, LeftOutReason, python_choice,
};
use crate::resolve::{PinSource, PinnedFile, Pins, PythonPin, Unkept};

const VERSION: &str = "1.0";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PylockWire {
    #[serde(default)]
    environments: Vec<String>,
    requires_python: Option<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependency_groups: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<PackageWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VersionWire {
    lock_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PackageWire {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    index: Option<String>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<FileWire>,
    #[serde(default)]
    wheels: Vec<FileWire>,
}

#[derive(Deserialize)]
struct FileWire {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// Reads the text of the `pylock.toml` at `file`.
pub(super) fn read(text: &str, file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let format = Format::Pylock;
    let reading = Reading { file, format };
    // First: another version may have another shape.
    let VersionWire { lock_version } = reading.toml(text)?;
    match lock_version.as_str() {
        VERSION => reading.pylock(reading.toml(text)?, choice),
        other => Err(reading.version(other, "version 1.0")),
    }
}

impl Reading<'_> {
    fn pylock(self, wire: PylockWire, choice: &Choice) -> Result<ForeignLock, ForeignError> {
        let mut left_out = Vec::new();
        let extras = self.chosen("extra", &choice.extras, &wire.extras, &mut left_out)?;
        let known = &wire.dependency_groups;
        let chosen = [&choice.groups[..], &wire.default_groups].concat();
        let groups = self.chosen("dependency group", &chosen, known, &mut left_out)?;
        let marker = |text: &String| self.value("`environments`", "a marker (PEP 508)", text);
        let environments: Result<Vec<MarkerTree>, _> =
            wire.environments.iter().map(marker).collect();
        let mut pins = Pins {
            environments: environments?,
            extras,
            groups,
            ..Pins::default()
        };
        let mut indexes = BTreeSet::new();
        for package in wire.packages {
            let index = package.index.clone();
            pins.python.push(self.pylock_pin(package, &mut left_out)?);
            indexes.extend(index.filter(|index| !is_default_index(index)));
        }
        let requires_python = wire.requires_python.as_ref().map(|text| {
            self.value::<VersionSpecifiers>("`requires-python`", "a version specifier", text)
        });
        let requires_python = requires_python.transpose()?;
        let chosen = |marker| without_choice(marker, &pins);
        let asked = pins.python.iter().filter_map(|pin| asked(pin, chosen));
        Ok(ForeignLock {
            format: Format::Pylock,
            outline: Outline {
                python: python_choice::python(requires_python.as_ref(), &pins),
                requirements: asked.collect(),
                extra_indexes: indexes.into_iter().collect(),
                ..Outline::default()
            },
            pins,
            left_out,
        })
    }

    /// Returns the names that are chosen, and tells of those that are not.
    fn chosen<T: FromStr + Ord + ToString>(
        self,
        kind: &'static str,
        chosen: &[String],
        known: &[String],
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Vec<T>, ForeignError>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let parse = |text: &String| self.value::<T>(kind, "a name", text);
        let chosen: Result<BTreeSet<T>, _> = chosen.iter().map(parse).collect();
        let known: Result<BTreeSet<T>, _> = known.iter().map(parse).collect();
        let (chosen, known) = (chosen?, known?);
        if let Some(unknown) = chosen.iter().find(|name| !known.contains(name)) {
            let known = known.iter().map(ToString::to_string);
            return Err(self.unknown(kind, &unknown.to_string(), known));
        }
        left_out.extend(known.difference(&chosen).map(|name| LeftOut {
            what: format!("{kind} {}", name.to_string()),
            reason: LeftOutReason::NotChosen,
        }));
        Ok(chosen.into_iter().collect())
    }

    fn pylock_pin(
        self,
        package: PackageWire,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<PythonPin, ForeignError> {
        let entry = format!("package `{}`", package.name);
        let name: PythonName = self.value(&entry, "a package name", &package.name)?;
        let marker = match &package.marker {
            Some(text) => self.value(&entry, "a marker (PEP 508)", text)?,
            None => MarkerTree::TRUE,
        };
        let source = source(&package);
        let files = match (&source, package.archive) {
            (PinSource::Url(_), Some(archive)) => vec![archive],
            (PinSource::Index(_), _) => package.wheels,
            _ => Vec::new(),
        };
        let mut pinned = Vec::new();
        for file in files {
            match file.hashes.get("sha256") {
                Some(hex) => pinned.push(PinnedFile {
                    digest: self.sha256(&entry, hex)?,
                    size: file.size,
                    file: file_name(file),
                }),
                None => left_out.push(LeftOut {
                    what: format!("digest of {}", file_name(file).unwrap_or_default()),
                    reason: LeftOutReason::OtherDigest,
                }),
            }
        }
        Ok(PythonPin {
            name,
            version: package.version.unwrap_or_default(),
            marker,
            source,
            files: pinned,
        })
    }
}

fn source(package: &PackageWire) -> PinSource {
    if package.vcs.is_some() {
        return PinSource::Unkept(Unkept::Repository);
    }
    if package.directory.is_some() {
        return PinSource::Unkept(Unkept::Directory);
    }
    match &package.archive {
        Some(archive) => match &archive.url {
            Some(url) if url.ends_with(".whl") => PinSource::Url(url.clone()),
            Some(_) => PinSource::Unkept(Unkept::SourceOnly),
            None => PinSource::Unkept(Unkept::File),
        },
        None if package.wheels.is_empty() => PinSource::Unkept(Unkept::SourceOnly),
        None => PinSource::Index(package.index.clone()),
    }
}

/// A wheel's name, or else the last part of where it lies.
fn file_name(file: FileWire) -> Option<String> {
    let place = file.url.or(file.path);
    let last = || {
        let place = place?;
        let path = place.split(['?', '#']).next()?;
        Some(path.rsplit('/').next()?.replace("%2B", "+"))
    };
    file.name.or_else(last)
}

/// The requirement of a manifest that has the lockfile's packages: it names all, as only some
/// lockfiles say which ask for which.
fn asked(pin: &PythonPin, chosen: impl FnOnce(MarkerTree) -> Option<MarkerTree>) -> Option<String> {
    let text = match &pin.source {
        PinSource::Url(url) => format!("{} @ {url}", pin.name),
        _ if pin.version.is_empty() => pin.name.to_string(),
        _ => format!("{}=={}", pin.name, pin.version),
    };
    match chosen(pin.marker)?.try_to_string() {
        Some(marker) => Some(format!("{text} ; {marker}")),
        None => Some(text),
    }
}

/// Returns what a marker says of the target, once extras and groups are chosen; none where the
/// choice rules it out. Requirements know neither of the two.
fn without_choice(marker: MarkerTree, pins: &Pins) -> Option<MarkerTree> {
    if marker.is_true() {
        return Some(marker);
    }
    // It decides nothing: only what does not depend on the target is asked.
    let target = python_choice::any_target();
    let mut left = MarkerTree::FALSE;
    for conjunction in marker.to_dnf() {
        let (lists, others): (Vec<_>, Vec<_>) = conjunction
            .into_iter()
            .partition(|expression| matches!(expression, MarkerExpression::List { .. }));
        let holds = |list| target.holds(MarkerTree::expression(list), &pins.extras, &pins.groups);
        if lists.into_iter().all(holds) {
            let others = others.into_iter().map(MarkerTree::expression);
            left = left.or(others.fold(MarkerTree::TRUE, MarkerTree::and));
        }
    }
    (left != MarkerTree::FALSE).then_some(left)
}
