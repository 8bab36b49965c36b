//! `envbox add` and `envbox remove`: the manifest and its lockfile, changed together.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, FsError, GroupName, fs};
use envbox_lockfiles::lock::{Lockfile, Request};
use envbox_lockfiles::manifest::{
    Added, List, ListKind, Manifest, ManifestText, conda_name, python_name,
};
use serde::Serialize;

use crate::ops::lock::{LockOptions, LockReport, Resolved, resolved};
use crate::ops::{Error, Project};

/// Which of the manifest's lists is changed.
#[derive(Debug, Clone)]
pub struct EditOptions {
    /// What the list has.
    pub kind: ListKind,
    /// Of which group; nothing for what is always asked for.
    pub group: Option<GroupName>,
}

/// What `add` or `remove` did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EditReport {
    /// The manifest.
    pub manifest: PathBuf,
    /// The entries that are new in it.
    pub added: Vec<String>,
    /// The entries that are gone from it.
    pub removed: Vec<String>,
    /// The entries that were there already and serve.
    pub kept: Vec<String>,
    /// What became of the lockfile.
    pub lock: LockReport,
}

/// Asks for something more in the project's manifest, and locks it. A requirement or MatchSpec that
/// names no version gets the one that is locked as its lower bound, as `uv add` writes it.
///
/// Nothing is written before everything was resolved.
///
/// # Errors
/// Returns [`Error::Edit`] when the manifest cannot be changed so, [`Error::ManifestChanged`] when
/// somebody else changed it meanwhile, and what locking returns; manifest and lockfile are then as
/// they were.
pub fn add(
    context: &Context,
    project: &Project,
    entries: &[String],
    options: &EditOptions,
) -> Result<EditReport, Error> {
    let edit = Edit::of(project)?;
    let list = options.list();
    let changed = |entries: &[String]| {
        let mut text = edit.text()?;
        let added = entries.iter().map(|entry| text.add(&list, entry));
        let added = added.collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Error>((text.text(), added))
    };
    let (text, added) = changed(entries)?;
    let mut resolved = edit.resolve(context, &text)?;
    let bounded: Vec<String> = added
        .iter()
        .zip(entries)
        .map(|(added, asked)| match added {
            Added::New(entry) => bounded(list.kind, entry, &resolved.lock),
            _ => asked.clone(),
        })
        .collect();
    let (text, added) = changed(&bounded)?;
    // What is locked meets a bound that was taken from it, so nothing is to be resolved again.
    resolved.lock.request = Request::of(&edit.manifest(&text)?);
    let lock = edit.write(&text, resolved)?;
    let mut report = edit.report(lock);
    for added in added {
        match added {
            Added::New(entry) | Added::Instead(entry) => report.added.push(entry),
            Added::AlreadyThere(entry) => report.kept.push(entry),
        }
    }
    Ok(report)
}

/// Asks for something no longer, and locks what is left.
///
/// # Errors
/// As [`add`].
pub fn remove(
    context: &Context,
    project: &Project,
    names: &[String],
    options: &EditOptions,
) -> Result<EditReport, Error> {
    let edit = Edit::of(project)?;
    let list = options.list();
    let mut text = edit.text()?;
    let mut removed = Vec::new();
    for name in names {
        removed.extend(text.remove(&list, name)?);
    }
    let text = text.text();
    let resolved = edit.resolve(context, &text)?;
    let lock = edit.write(&text, resolved)?;
    Ok(EditReport {
        removed,
        ..edit.report(lock)
    })
}

impl EditOptions {
    fn list(&self) -> List {
        List {
            kind: self.kind,
            group: self.group.clone(),
        }
    }
}

/// A manifest under change.
struct Edit<'a> {
    project: &'a Project,
    before: String,
}

impl<'a> Edit<'a> {
    fn of(project: &'a Project) -> Result<Self, Error> {
        let before = read(project.manifest_file())?;
        Ok(Self { project, before })
    }

    fn text(&self) -> Result<ManifestText, Error> {
        let file = self.project.manifest_file();
        Ok(ManifestText::parse(&self.before, file)?)
    }

    fn manifest(&self, text: &str) -> Result<Manifest, Error> {
        Ok(Manifest::parse(text, self.project.manifest_file())?)
    }

    fn resolve(&self, context: &Context, text: &str) -> Result<Resolved, Error> {
        let project = self.project.with_manifest(self.manifest(text)?);
        resolved(context, &project, &LockOptions::default())
    }

    fn write(&self, text: &str, resolved: Resolved) -> Result<LockReport, Error> {
        let file = self.project.manifest_file();
        if read(file)? != self.before {
            return Err(Error::ManifestChanged {
                file: file.to_path_buf(),
            });
        }
        // Through a link, which would else be replaced by a file.
        let place = file.canonicalize().map_err(FsError::at("open", file))?;
        if text != self.before {
            fs::write_atomic(&place, text.as_bytes())?;
        }
        let written = resolved.write();
        if written.is_err() && text != self.before {
            fs::write_atomic(&place, self.before.as_bytes())?;
        }
        written
    }

    fn report(&self, lock: LockReport) -> EditReport {
        EditReport {
            manifest: self.project.manifest_file().to_path_buf(),
            added: Vec::new(),
            removed: Vec::new(),
            kept: Vec::new(),
            lock,
        }
    }
}

fn read(file: &Path) -> Result<String, Error> {
    let bytes = fs::read(file)?;
    String::from_utf8(bytes).map_err(|_| Error::ManifestChanged {
        file: file.to_path_buf(),
    })
}

/// Returns a requirement with the lowest version that is locked as its lower bound, if it is one
/// that can have such.
fn bounded(kind: ListKind, entry: &str, lock: &Lockfile) -> String {
    let versions: Vec<&str> = match kind {
        // The manifest has names of Debian packages only.
        ListKind::Debian => Vec::new(),
        ListKind::Python => {
            let name = python_name(entry);
            let wheels = lock.python.iter();
            let wheels = wheels.filter(|wheel| Some(&wheel.name) == name.as_ref());
            wheels.map(|wheel| wheel.version.as_str()).collect()
        }
        ListKind::Conda => {
            let name = conda_name(entry);
            let packages = lock.conda.packages.iter();
            let packages = packages.filter(|package| Some(&package.name) == name.as_ref());
            packages.map(|package| package.version.as_str()).collect()
        }
    };
    kind.with_lower_bound(entry, &versions)
}
