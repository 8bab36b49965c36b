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
    /// header decides, also in a project: without one, the word is a command like any other.
    pub(super) fn of(global: &Global, command: &[OsString]) -> Result<Option<Self>, Failure> {
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
        Self::at(global, file).map(Some)
    }

    /// Returns the script at `file`.
    fn at(global: &Global, file: PathBuf) -> Result<Self, Failure> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let parent = file.parent().unwrap_or(Path::new("/")).to_path_buf();
        let directory = match &global.project {
            Some(project) if project.extension().is_some_and(|it| it == "py") => parent.clone(),
            _ => ambient::project(global)?,
        };
        let name = file.file_name().unwrap_or_default();
        Ok(match real(&file).strip_prefix(real(&directory)) {
            Ok(below) => Self {
                below: below.to_path_buf(),
                directory,
                file,
            },
            Err(_) => Self {
                below: PathBuf::from(name),
                directory: parent,
                file,
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

    /// Reads its header.
    pub(super) fn open(&self, session: &Session) -> Result<Project, Failure> {
        let context = &session.context;
        Ok(Project::open_script(context, &self.directory, &self.file)?)
    }
}

/// Returns the script that `--project` names, if it names one.
pub(super) fn named(global: &Global) -> Result<Option<Script>, Failure> {
    match &global.project {
        Some(project) if project.extension().is_some_and(|it| it == "py") => {
            Script::at(global, ambient::absolute(project)?).map(Some)
        }
        _ => Ok(None),
    }
}
