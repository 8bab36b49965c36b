//! Where runs are made: copies of the project, and the store by other names.
//!
//! ```text
//! <scratch>/
//! ├── run/                       the place of every run but those of another user
//! │   ├── project/               the copy
//! │   ├── result.json
//! │   ├── audit.json
//! │   └── record.json
//! │   └── another place/…/project/   the copy when its path is varied
//! ├── user/                      mounted at `/mnt` for a run of an ordinary user
//! └── kept/<run>/                `project` of runs that were compared, until all is told
//! ```

use std::fs::{self, File};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Event, FsError};

use crate::ops::verify::copy::{Manner, Shared, copy};
use crate::ops::verify::{Variation, VerifyError};
use crate::store::{Scratch, Store, remove_tree};

/// Who an ordinary user is that no system has.
const OTHER_USER: u32 = 54_321;

/// Where an ordinary user finds its directories: a place that every system has and that everybody
/// may pass. The mount is the run's own.
const OTHER_PLACE: &str = "/mnt";

/// When the project's files were changed last, where that is varied: in 1998.
const OTHER_TIME: i64 = 900_000_000;

/// The parts of the store that a step's environment needs. They are shared, never copied.
const SHARED: [&str; 3] = ["blobs", "rootfs", "trees"];

/// The place of a run, as the run sees it and as we do.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The directory that all of it is in.
    here: PathBuf,
    /// The same for the run.
    there: PathBuf,
    /// Where the project is below.
    project: PathBuf,
    /// The store, for the run.
    pub(super) store: PathBuf,
    /// The program, for the run.
    pub(super) program: PathBuf,
    /// What must be mounted where for that.
    pub(super) binds: Vec<(PathBuf, PathBuf)>,
    /// Who the run is, if somebody else.
    pub(super) user: Option<u32>,
}

impl Place {
    /// The project, for us.
    pub(super) fn project(&self) -> PathBuf {
        self.here.join(&self.project)
    }

    /// The project, for the run.
    pub(super) fn runs_project(&self) -> PathBuf {
        self.there.join(&self.project)
    }

    /// A file beside the project, for us.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.here.join(name)
    }

    /// A file beside the project, for the run.
    pub(super) fn runs_file(&self, name: &str) -> PathBuf {
        self.there.join(name)
    }
}

/// The lockfile of a project.
pub(super) struct Lock<'a> {
    /// Where it is below a copy of the project.
    pub(super) below: PathBuf,
    /// Where it is, if it is not in the project.
    pub(super) apart: Option<&'a Path>,
}

/// Makes places.
pub(super) struct Workplace<'a> {
    context: &'a Context,
    project: &'a Path,
    lockfile: Lock<'a>,
    program: &'a Path,
    /// Declared data of the project: paths in it, which the copies have as links. The step sees the
    /// data mounted there, and it is large.
    data: Vec<PathBuf>,
    store: Store,
    scratch: Scratch,
}

impl<'a> Workplace<'a> {
    pub(super) fn new(
        context: &'a Context,
        project: &'a Path,
        lockfile: Lock<'a>,
        program: &'a Path,
        data: Vec<PathBuf>,
    ) -> Result<Self, crate::ops::Error> {
        let store = Store::open(&context.store)?;
        let scratch = store.scratch()?;
        Ok(Self {
            context,
            project,
            lockfile,
            program,
            data,
            store,
            scratch,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Makes the place of a run with these variations, with a fresh copy of the project in it.
    pub(super) fn make(
        &self,
        varied: &[Variation],
        go_on: &dyn Fn() -> Result<(), VerifyError>,
    ) -> Result<Place, VerifyError> {
        let has = |variation| varied.contains(&variation);
        let (place, shared) = match has(Variation::User) {
            true => self.of_user(varied)?,
            false => (self.of_caller(varied)?, self.data_itself()),
        };
        let manner = Manner {
            backwards: has(Variation::Order),
            modified: has(Variation::Times).then_some(OTHER_TIME),
            owner: place.user,
        };
        let project = place.project();
        // Of a run that was not to be kept.
        remove_tree(&project)?;
        let left_out = copy(self.project, &project, manner, &shared, go_on)?;
        if let Some(lockfile) = self.lockfile.apart {
            let to = project.join(&self.lockfile.below);
            fs::copy(lockfile, &to).map_err(FsError::at("copy", &to))?;
            give(&to, place.user)?;
        }
        for path in left_out {
            self.context.report(Event::Warning {
                message: format!(
                    "`{}` is a pipe, a socket or a device: the runs do not have it",
                    path.display()
                ),
            });
        }
        for name in ["result.json", "audit.json", "record.json"] {
            let file = place.file(name);
            if file.exists() {
                fs::remove_file(&file).map_err(FsError::at("remove", &file))?;
            }
        }
        Ok(place)
    }

    fn of_caller(&self, varied: &[Variation]) -> Result<Place, VerifyError> {
        let here = self.path().join("run");
        create(&here)?;
        let project = project_in(&here, varied)?;
        let store = match varied.contains(&Variation::Store) {
            true => self.other_name_of_store(&here)?,
            false => self.context.store.clone(),
        };
        Ok(Place {
            there: here.clone(),
            here,
            project,
            store,
            program: self.program.to_path_buf(),
            binds: Vec::new(),
            user: None,
        })
    }

    fn other_name_of_store(&self, here: &Path) -> Result<PathBuf, VerifyError> {
        let link = here.join("store by another name");
        if fs::symlink_metadata(&link).is_err() {
            symlink(&self.context.store, &link).map_err(FsError::at("create", &link))?;
        }
        Ok(link)
    }

    /// A directory of the user's own, with a store of its own that has the environments of this
    /// one: the user need not be able to look into any directory of ours.
    fn of_user(&self, varied: &[Variation]) -> Result<(Place, Shared), VerifyError> {
        let (here, there) = (self.path().join("user"), PathBuf::from(OTHER_PLACE));
        let store = PathBuf::from(match varied.contains(&Variation::Store) {
            true => "store by another name",
            false => "store",
        });
        create(&here.join(&store))?;
        let mut binds = vec![(here.clone(), there.clone())];
        for name in SHARED {
            let place = here.join(&store).join(name);
            create(&place)?;
            let real = self.context.store.join(name);
            if real.is_dir() {
                binds.push((real, there.join(&store).join(name)));
            }
        }
        for name in ["version", "CACHEDIR.TAG"] {
            let (from, to) = (self.context.store.join(name), here.join(&store).join(name));
            fs::copy(&from, &to).map_err(FsError::at("copy", &from))?;
            give(&to, Some(OTHER_USER))?;
        }
        let program = here.join("envbox");
        mount_point(self.program, &program)?;
        binds.push((self.program.to_path_buf(), there.join("envbox")));
        let mut shared = Shared::new();
        for (number, path) in self.data.iter().enumerate() {
            let name = format!("data-{number}");
            mount_point(path, &here.join(&name))?;
            binds.push((path.clone(), there.join(&name)));
            shared.insert(path.clone(), there.join(&name));
        }
        let project = project_in(&here, varied)?;
        let above = here.join(&project);
        for own in above
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(&here))
        {
            give(own, Some(OTHER_USER))?;
        }
        give(&here.join(&store), Some(OTHER_USER))?;
        let place = Place {
            project,
            store: there.join(store),
            program: there.join("envbox"),
            here,
            there,
            binds,
            user: Some(OTHER_USER),
        };
        Ok((place, shared))
    }

    fn data_itself(&self) -> Shared {
        let data = self.data.iter();
        data.map(|path| (path.clone(), path.clone())).collect()
    }

    /// Takes the project of a run out of its place, and returns where it is now.
    pub(super) fn keep(&self, place: &Place, run: u32) -> Result<PathBuf, VerifyError> {
        let kept = self.path().join("kept").join(run.to_string());
        create(&kept)?;
        let (from, to) = (place.project(), kept.join("project"));
        // The run has noted that this copy needs the environment.
        self.store.unpin(&from.join(&self.lockfile.below));
        fs::rename(&from, &to).map_err(FsError::at("move", &from))?;
        Ok(kept)
    }
}

/// Returns where below `here` the project is.
fn project_in(here: &Path, varied: &[Variation]) -> Result<PathBuf, VerifyError> {
    let parent = match varied.contains(&Variation::Path) {
        true => PathBuf::from("another place/für/a/copy that is deeper"),
        false => PathBuf::new(),
    };
    create(&here.join(&parent))?;
    Ok(parent.join("project"))
}

/// Makes what `what` can be mounted on.
fn mount_point(what: &Path, place: &Path) -> Result<(), FsError> {
    match what.is_dir() {
        true => create(place),
        false => File::create(place)
            .map(drop)
            .map_err(FsError::at("create", place)),
    }
}

fn create(path: &Path) -> Result<(), FsError> {
    fs::create_dir_all(path).map_err(FsError::at("create", path))
}

fn give(path: &Path, user: Option<u32>) -> Result<(), FsError> {
    match user {
        Some(user) => chown(path, Some(user), Some(user)).map_err(FsError::at("write", path)),
        None => Ok(()),
    }
}
