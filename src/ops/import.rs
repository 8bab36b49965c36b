//! `envbox import`: another tool's lockfile to `envbox.lock`, with its exact pins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, fs};
use envbox_lockfiles::foreign::{
    Choice, ForeignLock, Format, LeftOut, LeftOutReason, Outline, RequirementsFrom, read,
};
use envbox_lockfiles::lock::{Change, Lockfile};
use envbox_lockfiles::manifest::{MANIFEST, Manifest, PYPROJECT, names_project};
use envbox_lockfiles::resolve::{PinSource, PythonPin};
use serde::Serialize;

use crate::ops::lock::{LockOptions, LockOutcome, resolved};
use crate::ops::{Error, Project};

/// What was imported.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The kind of lockfile.
    pub format: Format,
    /// The manifest that was written, when there was none.
    pub manifest: Option<PathBuf>,
    /// The lockfile that was written.
    pub lockfile: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// What became of it.
    pub outcome: LockOutcome,
    /// What changed in it.
    pub changes: Vec<Change>,
    /// How many packages are as the other tool's lockfile has them.
    pub kept: usize,
    /// Packages that the environment needs and the other tool's lockfile does not pin.
    pub added: Vec<Added>,
    /// What was not kept.
    pub left_out: Vec<LeftOut>,
}

/// A package that only a registry decided.
#[derive(Debug, Clone, Serialize)]
pub struct Added {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Locks the project in `directory` to what the lockfile `file` of another tool has chosen. A
/// manifest is made of it where there is none.
///
/// # Errors
/// Returns [`Error`]; nothing was written then.
pub fn import(
    context: &Context,
    directory: &Path,
    file: &Path,
    choice: &Choice,
) -> Result<ImportReport, Error> {
    let foreign = read(file, choice)?;
    let (project, text) = project(directory, file, &foreign, choice)?;
    let options = LockOptions {
        pins: foreign.pins.clone(),
        ..LockOptions::default()
    };
    let done = resolved(context, &project, &options)?;
    if let Some(text) = &text {
        fs::write_atomic(project.manifest_file(), text.as_bytes())?;
    }
    let format = foreign.format;
    let (kept, added) = compared(&foreign, &done.lock);
    let left_out = left_out(foreign, &done.lock);
    let report = done.write()?;
    Ok(ImportReport {
        format,
        manifest: text.map(|_| project.manifest_file().to_path_buf()),
        lockfile: report.lockfile,
        digest: report.digest,
        outcome: report.outcome,
        changes: report.changes,
        kept,
        added,
        left_out,
    })
}

/// Opens the project in `directory`, or makes one, and then returns its manifest's text as well.
fn project(
    directory: &Path,
    file: &Path,
    foreign: &ForeignLock,
    choice: &Choice,
) -> Result<(Project, Option<String>), Error> {
    match Project::open(directory) {
        Err(Error::Manifest(error)) if error.is_missing() => {}
        other => return Ok((other?, None)),
    }
    let outline = outline(directory, file, foreign, choice)?;
    let comment = format!("Made of `{}` by `envbox import`.", name(file));
    let text = outline.manifest(&comment, &name(directory));
    let manifest_file = directory.join(MANIFEST);
    let manifest = Manifest::parse(&text, &manifest_file)?;
    let project = Project::made(directory, manifest, manifest_file);
    Ok((project, Some(text)))
}

/// Returns what the manifest says. The project's own file says what is asked for better than a
/// lockfile does, where it is there.
fn outline(
    directory: &Path,
    file: &Path,
    foreign: &ForeignLock,
    choice: &Choice,
) -> Result<Outline, Error> {
    let mut outline = foreign.outline.clone();
    let own = match foreign.format {
        Format::Requirements => below(directory, file),
        Format::UvLock if has_project(directory)? => Some(PYPROJECT.to_owned()),
        _ => None,
    };
    if let Some(file) = own {
        outline.requirements.clear();
        outline.requirements_from = vec![RequirementsFrom {
            file,
            extras: choice.extras.clone(),
            groups: choice.groups.clone(),
        }];
    }
    Ok(outline)
}

/// Returns the path of `file` from `directory`, when it is in it.
fn below(directory: &Path, file: &Path) -> Option<String> {
    let below = file.strip_prefix(directory).ok()?;
    below.to_str().map(str::to_owned)
}

fn has_project(directory: &Path) -> Result<bool, Error> {
    let file = directory.join(PYPROJECT);
    match file.is_file() {
        true => Ok(names_project(&file)?),
        false => Ok(false),
    }
}

/// Counts the packages of `lock` that are as they are pinned, and lists those that are not pinned.
fn compared(foreign: &ForeignLock, lock: &Lockfile) -> (usize, Vec<Added>) {
    let pins = &foreign.pins;
    let python: BTreeSet<_> = pins.python.iter().map(|pin| &pin.name).collect();
    let conda: BTreeSet<_> = pins.conda.iter().map(|pin| &pin.name).collect();
    let added = |name: &str, version: &String| Added {
        name: name.to_owned(),
        version: version.clone(),
    };
    let wheels = lock
        .python
        .iter()
        .filter(|wheel| !python.contains(&wheel.name));
    let wheels = wheels.map(|wheel| added(wheel.name.as_str(), &wheel.version));
    let packages = lock
        .conda
        .packages
        .iter()
        .filter(|package| !conda.contains(&package.name));
    let packages = packages.map(|package| added(package.name.as_str(), &package.version));
    let added: Vec<_> = packages.chain(wheels).collect();
    let all = lock.python.len() + lock.conda.packages.len();
    (all - added.len(), added)
}

/// Returns everything of the other tool's lockfile that is not in `lock`.
fn left_out(foreign: ForeignLock, lock: &Lockfile) -> Vec<LeftOut> {
    let has = |pin: &&PythonPin| {
        lock.python
            .iter()
            .any(|wheel| wheel.name == pin.name && pin.is_version(&wheel.version))
    };
    let mut left_out: BTreeSet<_> = foreign.left_out.into_iter().collect();
    for pin in foreign.pins.python.iter().filter(|pin| !has(pin)) {
        let reason = match pin.source {
            PinSource::Unkept(reason) => LeftOutReason::from(reason),
            PinSource::Index(_) | PinSource::Url(_) => LeftOutReason::NotNeeded,
        };
        let what = format!("{} {}", pin.name, pin.version);
        left_out.insert(LeftOut {
            what: what.trim_end().to_owned(),
            reason,
        });
    }
    for pin in &foreign.pins.conda {
        let mut packages = lock.conda.packages.iter();
        if !packages.any(|package| package.name == pin.name && package.version == pin.version) {
            left_out.insert(LeftOut {
                what: format!("{} {}", pin.name, pin.version),
                reason: LeftOutReason::NotNeeded,
            });
        }
    }
    left_out.into_iter().collect()
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
