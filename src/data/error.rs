//! Why data cannot be used.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};
use envbox_lockfiles::net::NetError;

use crate::fetch::FetchError;
use crate::store::StoreError;

/// Data cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing is there.
    #[error("the data `{}` is not there", path.display())]
    Missing {
        /// The path in the project.
        path: PathBuf,
    },
    /// The bytes are others.
    #[error("the data `{}` has changed: its digest is {found}, and `[data]` has {expected}", path.display())]
    Changed {
        /// The path in the project.
        path: PathBuf,
        /// The digest in the manifest.
        expected: Digest,
        /// That of what is there.
        found: Digest,
    },
    /// There are more or fewer bytes.
    #[error("the data `{}` has changed: it has {found} bytes, and `[data]` has {expected}", path.display())]
    Size {
        /// The path in the project.
        path: PathBuf,
        /// The size in the manifest.
        expected: u64,
        /// That of what is there.
        found: u64,
    },
    /// A directory has something that is neither a file nor a directory.
    #[error("the data `{}` has `{}`, which is no file", path.display(), entry.display())]
    Entry {
        /// The path in the project.
        path: PathBuf,
        /// What is in it, relative to that.
        entry: PathBuf,
    },
    /// A pointer stands for the bytes, and its tool does not have them here.
    #[error("the data `{}` is a pointer of {tool}, which has no such object here", path.display())]
    Pointer {
        /// The path in the project.
        path: PathBuf,
        /// The tool.
        tool: &'static str,
        /// The command that brings them.
        remedy: &'static str,
    },
    /// A file of a directory of DVC's is not as DVC lists it.
    #[error("the data `{}` has changed: {}", path.display(), state.of(file))]
    Member {
        /// The path in the project.
        path: PathBuf,
        /// The file, relative to that.
        file: PathBuf,
        /// What is wrong with it.
        state: MemberState,
    },
    /// What lists a directory of DVC's cannot be used.
    #[error("DVC's list of the data `{}` {why}: `{}`", path.display(), object.display())]
    Listing {
        /// The path in the project.
        path: PathBuf,
        /// The file of the list.
        object: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What lists a directory of DVC's leads out of it.
    #[error("DVC's list of the data `{}` has `{}`, which is not inside of it", path.display(), entry.display())]
    Escape {
        /// The path in the project.
        path: PathBuf,
        /// What the list has.
        entry: PathBuf,
    },
    /// A link is on the way to it.
    #[error("`{}`, on the way to the data `{}`, is no directory", link.display(), path.display())]
    OnTheWay {
        /// The path in the project.
        path: PathBuf,
        /// What is on the way.
        link: PathBuf,
    },
    /// Data from a URL has no place in a project that the step writes to itself.
    #[error("the data `{}` cannot be mounted in a project that the step writes to itself", path.display())]
    Direct {
        /// The path in the project.
        path: PathBuf,
    },
    /// It cannot be downloaded.
    #[error("failed to get the data `{}`", path.display())]
    Fetch {
        /// The path in the project.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<FetchError>,
    },
    /// Its URL names other bytes by now.
    #[error("the data `{}` has changed: `{url}` gives other bytes than `[data]` declares", path.display())]
    Moved {
        /// The path in the project.
        path: PathBuf,
        /// The URL.
        url: String,
        /// What was expected, and what came.
        #[source]
        source: StoreError,
    },
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a file of a directory is not as DVC lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// Its bytes are others.
    Changed,
    /// It is not there.
    Missing,
    /// It is there, and not listed.
    Extra,
    /// DVC does not have its bytes here.
    NoObject,
    /// DVC has other bytes than those that it lists.
    Damaged,
}

impl MemberState {
    fn of(self, file: &Path) -> String {
        let file = file.display();
        match self {
            Self::Changed => format!("`{file}` has other bytes than DVC lists"),
            Self::Missing => format!("`{file}`, which DVC lists, is missing"),
            Self::Extra => format!("`{file}` is new: DVC does not list it"),
            Self::NoObject => format!("DVC has no object for `{file}` here"),
            Self::Damaged => format!("DVC's object for `{file}` is damaged"),
        }
    }
}

impl Explain for DataError {
    fn kind(&self) -> Kind {
        match self {
            Self::Changed { .. }
            | Self::Size { .. }
            | Self::Member { .. }
            | Self::Listing { .. }
            | Self::Moved { .. }
            | Self::Escape { .. } => Kind::Integrity,
            Self::Missing { .. }
            | Self::OnTheWay { .. }
            | Self::Entry { .. }
            | Self::Pointer { .. }
            | Self::Direct { .. } => Kind::User,
            Self::Fetch { source, .. } => source.kind(),
            Self::Fs(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Missing { .. } => {
                "put it there, or say where it is to be had: `envbox data add URL --as PATH`"
                    .to_owned()
            }
            Self::Changed { path, .. } | Self::Size { path, .. } => format!(
                "bring the old bytes back, or declare the new ones: `envbox data add {}`",
                path.display()
            ),
            Self::Entry { .. } => "replace links by what they lead to".to_owned(),
            Self::Pointer { remedy, .. } => format!("run `{remedy}`"),
            Self::Member { path, state, .. } => match state {
                MemberState::NoObject => "run `dvc pull`".to_owned(),
                MemberState::Damaged => {
                    "remove that object, which `dvc status` names too, and run `dvc pull`"
                        .to_owned()
                }
                _ => format!(
                    "run `dvc checkout`, or declare what is there: `envbox data add {}`",
                    path.display()
                ),
            },
            Self::Listing { object, .. } => {
                format!("remove `{}` and run `dvc pull`", object.display())
            }
            Self::Escape { .. } => {
                "do not use it: whoever wrote it meant to overwrite other files".to_owned()
            }
            Self::OnTheWay { link, .. } => {
                format!(
                    "declare `{}` as a whole, or make it a directory",
                    link.display()
                )
            }
            Self::Direct { .. } => "run the step without `--direct`".to_owned(),
            Self::Moved { path, url, .. } => format!(
                "bring the old file back, or declare what is there: `envbox data add {url} --as {}`",
                path.display()
            ),
            Self::Fetch { path, source } => match **source {
                FetchError::Download {
                    source: NetError::NotFound { .. },
                    ..
                } => format!(
                    "say where it is to be had now: `envbox data add URL --as {}`",
                    path.display()
                ),
                _ => return source.hints(),
            },
            Self::Fs(error) => return error.hints(),
            Self::Store(error) => return error.hints(),
        };
        vec![hint]
    }
}
