//! Scripts with inline metadata (PEP 723), which are projects of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use envbox::manifest::has_header;
use envbox::ops::{self, Project};

use crate::ambient;
use crate::args::Global;
use crate::commands::Session;
use crate::render::Failure;

/// A script with a header.
pub(super) struct Script {
    /// The script.
    file: PathBuf,
    /// The directory that is the project.
    directory: PathBuf,
    /// The script's path below it.
    below: PathBuf,
}

impl Script {
    /// Returns the script that `command` begins with, if that is one with a header. As with uv, the
    /// header decides, also in a project: without one, or with a manifest that is named, the word is
    /// a command like any other.
    pub(super) fn of(session: &Session, command: &[OsString]) -> Result<Option<Self>, Failure> {
        if session.global.manifest.is_some() {
            return Ok(None);
        }
        let Some(first) = command.first().map(Path::new) else {
            return Ok(None);
        };
        if first.extension().is_none_or(|extension| extension != "py") {
            return Ok(None);
        }
        let file = ambient::absolute(first)?;
        if !file.is_file() || !has_header(&file).map_err(ops::Error::from)? {
            return Ok(None);
        }
        Self::at(session, file).map(Some)
    }

    /// Returns the script at `file`. The project is the one around the current directory, or that
    /// directory, if the script is below it; else the script's own directory, which must also do
    /// where the store lies in the other.
    fn at(session: &Session, file: PathBuf) -> Result<Self, Failure> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let parent = file.parent().unwrap_or(Path::new("/")).to_path_buf();
        let directory = match is_script(&session.global) {
            true => parent.clone(),
            false => ambient::project(&session.global)?,
        };
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        let apart = !real(&session.context.store).starts_with(real(&directory));
        let below = match real(&file).strip_prefix(real(&directory)) {
            Ok(below) if apart => Some(below.to_path_buf()),
            _ => None,
        };
        Ok(match below {
            Some(below) => Self {
                file,
                directory,
                below,
            },
            None => Self {
                file,
                directory: parent,
                below: name,
            },
        })
    }

    /// Returns the command that runs the script inside.
    pub(super) fn command(&self, command: Vec<OsString>) -> Vec<OsString> {
        let inside = Path::new("/project").join(&self.below).into_os_string();
        let arguments = command.into_iter().skip(1);
        [OsString::from("python"), inside]
            .into_iter()
            .chain(arguments)
            .collect()
    }

    /// Returns its path below the project.
    pub(super) fn below(self) -> PathBuf {
        self.below
    }

    /// Reads its header.
    pub(super) fn open(&self, session: &Session) -> Result<Project, Failure> {
        let context = &session.context;
        Ok(Project::open_script(context, &self.directory, &self.file)?)
    }
}

/// Returns the script that `--project` names, if it names one.
pub(super) fn named(session: &Session) -> Result<Option<Script>, Failure> {
    match &session.global.project {
        Some(project) if is_script(&session.global) => {
            Script::at(session, ambient::absolute(project)?).map(Some)
        }
        _ => Ok(None),
    }
}

fn is_script(global: &Global) -> bool {
    let extension = global
        .project
        .as_ref()
        .and_then(|project| project.extension());
    extension.is_some_and(|extension| extension == "py")
}
