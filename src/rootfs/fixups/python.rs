//! The interpreter's names, and the virtual environment that wheels are in.

use envbox_lockfiles::manifest::InterpreterSource;

use crate::layers::wheel::ENVIRONMENT;
use crate::layers::{PythonTarget, parent};
use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;
use crate::rootfs::merge::{Node, Source};
use crate::rootfs::parts::{Contents, Parts};

/// Makes `/opt/env` a virtual environment of the interpreter (PEP 405), so that `python` on the
/// step's `PATH` sees the wheels and nothing else but its own library.
pub(super) fn write(fixups: &mut Fixups<'_>, parts: &Parts<'_>) -> Result<(), RootfsError> {
    let (Some(interpreter), Some(python)) = (parts.interpreter, parts.python) else {
        return Ok(());
    };
    let PythonTarget { major, minor } = python;
    let path = &interpreter.path;
    if !fixups.merged.exists(path) {
        return Err(RootfsError::NoInterpreter { path: path.clone() });
    }
    let home = parent(path.as_bytes()).unwrap_or_default();
    let home = String::from_utf8_lossy(home).into_owned();
    if interpreter.from == InterpreterSource::Conda {
        return in_prefix(fixups, parts, python);
    }
    let names = [
        "python".to_owned(),
        format!("python{major}"),
        format!("python{major}.{minor}"),
    ];
    for name in &names {
        fixups.link(&format!("{ENVIRONMENT}/bin/{name}"), path);
    }
    if interpreter.from == InterpreterSource::Debian {
        fixups.link(&format!("usr/bin/python{major}"), &names[2]);
        fixups.link("usr/bin/python", &names[1]);
    }
    let version = &interpreter.version;
    fixups.file(
        &format!("{ENVIRONMENT}/pyvenv.cfg"),
        format!("home = {home}\ninclude-system-site-packages = false\nversion = {version}\n"),
    );
    let site_packages = python.site_packages();
    fixups.directory(&site_packages, 0o755);
    mark_requested(fixups, &site_packages);
    Ok(())
}

/// An interpreter in the prefix itself needs no virtual environment: its own directory of modules is
/// the one that wheels are in.
fn in_prefix(
    fixups: &mut Fixups<'_>,
    parts: &Parts<'_>,
    python: PythonTarget,
) -> Result<(), RootfsError> {
    let PythonTarget { major, minor } = python;
    let program = format!("python{major}.{minor}");
    let own = format!("/{ENVIRONMENT}/bin/{program}");
    let path = parts
        .interpreter
        .map_or(&own, |interpreter| &interpreter.path);
    if *path != own {
        return Err(RootfsError::NoInterpreter { path: path.clone() });
    }
    for name in ["python".to_owned(), format!("python{major}")] {
        fixups.link(&format!("{ENVIRONMENT}/bin/{name}"), &program);
    }
    let site_packages = python.site_packages();
    fixups.directory(&site_packages, 0o755);
    mark_requested(fixups, &site_packages);
    Ok(())
}

/// Marks the wheels that the manifest asks for by name, as installers do (PEP 376's `REQUESTED`).
/// It is not part of a wheel's tree, which serves those who ask and those who do not.
fn mark_requested(fixups: &mut Fixups<'_>, site_packages: &str) {
    let requested = |index: usize| {
        let contents = &fixups.packages[index].contents;
        matches!(
            contents,
            Contents::Wheel {
                requested: true,
                ..
            }
        )
    };
    let marks: Vec<String> = fixups
        .merged
        .children(site_packages)
        .filter(|(name, _)| name.ends_with(b".dist-info"))
        .filter(|(_, Node { source, .. })| match source {
            Source::Package(index) => requested(*index),
            Source::Generated(_) => false,
        })
        .map(|(name, _)| {
            let name = String::from_utf8_lossy(name);
            format!("{site_packages}/{name}/REQUESTED")
        })
        .collect();
    for mark in marks {
        fixups.default_file(&mark, "");
    }
}
