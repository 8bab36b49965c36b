//! Declared data, as a step sees it: read-only, at its path in the project.
//!
//! A mount needs something to be mounted on. Where the project has a file or directory of the path
//! already, that is it; else one is made in the upper directory of the overlay, and removed before
//! the outputs are looked at.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use envbox_sandbox::Bind;

use crate::data::{DataError, Input};
use crate::ops::run::binds::Bound;

/// Where the step sees the project.
const PROJECT: &str = "/project";

/// What was made to mount data on, in the order in which it was made.
#[derive(Debug, Default)]
pub(super) struct MountPoints {
    made: Vec<PathBuf>,
}

/// Returns the mounts of `inputs`. Without an `upper` directory, all that is mounted on must be in
/// the project.
///
/// # Errors
/// Returns [`DataError`] when a link is on the way, or nothing to be mounted on can be made.
pub(super) fn mounts(
    inputs: &[Input],
    project: &Path,
    upper: Option<&Path>,
) -> Result<(Vec<Bind>, MountPoints), DataError> {
    let mut points = MountPoints::default();
    let mut binds = Vec::new();
    for input in inputs {
        points.make(&input.path, input.source.is_dir(), project, upper)?;
        binds.push(Bind {
            source: input.source.clone(),
            target: Path::new(PROJECT).join(&input.path),
            writable: false,
        });
    }
    Ok((binds, points))
}

impl MountPoints {
    /// Returns the mounts of `binds`, whose targets were checked, and makes what those in the project
    /// are mounted on.
    pub(super) fn of_binds(
        &mut self,
        binds: &[Bound],
        project: &Path,
        upper: Option<&Path>,
    ) -> Result<Vec<Bind>, DataError> {
        let within = |bind: &Bound| {
            let other = |other: &&Bound| other.target != bind.target;
            let mut others = binds.iter().filter(other);
            others.any(|other| bind.target.starts_with(&other.target))
        };
        for bind in binds.iter().filter(|bind| !within(bind)) {
            if let Ok(below) = bind.target.strip_prefix(PROJECT) {
                self.make(below, bind.directory, project, upper)?;
            }
        }
        let mount = |bind: &Bound| Bind {
            source: bind.real.clone(),
            target: bind.target.clone(),
            writable: bind.writable,
        };
        Ok(binds.iter().map(mount).collect())
    }

    fn make(
        &mut self,
        path: &Path,
        directory: bool,
        project: &Path,
        upper: Option<&Path>,
    ) -> Result<(), DataError> {
        let path = &path.to_path_buf();
        for parent in path.ancestors().skip(1) {
            if fs::symlink_metadata(project.join(parent)).is_ok_and(|found| !found.is_dir()) {
                return Err(DataError::OnTheWay {
                    path: path.clone(),
                    link: parent.to_path_buf(),
                });
            }
        }
        let there = fs::symlink_metadata(project.join(path));
        if there.is_ok_and(|there| match directory {
            true => there.is_dir(),
            false => there.is_file(),
        }) {
            return Ok(());
        }
        let upper = upper.ok_or_else(|| DataError::Direct { path: path.clone() })?;
        let parents: Vec<&Path> = path.ancestors().skip(1).collect();
        for parent in parents.into_iter().rev().skip(1) {
            self.directory(&upper.join(parent), &project.join(parent))?;
        }
        let place = upper.join(path);
        match directory {
            true => self.directory(&place, &project.join(path)),
            false => {
                File::create_new(&place).map_err(FsError::at("create", &place))?;
                self.made.push(place);
                Ok(())
            }
        }
    }

    /// Makes a directory with the mode that the project's has, if it has one.
    fn directory(&mut self, place: &Path, like: &Path) -> Result<(), DataError> {
        match fs::create_dir(place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made.map_err(FsError::at("create", place))?,
        }
        self.made.push(place.to_path_buf());
        if let Ok(found) = fs::symlink_metadata(like)
            && found.is_dir()
        {
            let set = fs::set_permissions(place, found.permissions());
            set.map_err(FsError::at("create", place))?;
        }
        Ok(())
    }

    /// Removes what was made. Directories stay that the step has put something in.
    pub(super) fn remove(self) -> Result<(), FsError> {
        for path in self.made.into_iter().rev() {
            let removed = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    return Err(FsError::at("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
