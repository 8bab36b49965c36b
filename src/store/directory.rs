//! The store's directory.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Digest, FsError};

use crate::store::lease::Lease;
use crate::store::{Object, StoreError, TreeKey};

/// The version of the layout. A change that an older envbox would misread raises it.
const VERSION: u32 = 1;

/// What CACHEDIR.TAG must begin with: <https://bford.info/cachedir/>.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # Downloads and environments of envbox. Everything here can be made again.\n";

/// An open store; cheap to clone.
///
/// What is obtained through a handle is *in use*, and no `gc` removes it, until the handle and all
/// its clones are gone. Values that depend on the store, as [`Tree`](crate::store::Tree), keep a
/// clone.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) directory: PathBuf,
    pub(super) lease: Mutex<Lease>,
    /// Trees met by this handle that the kernel may not have written out yet.
    pub(super) unsettled: Mutex<BTreeSet<TreeKey>>,
    /// Done when this handle first builds something.
    pub(super) sweep: Once,
}

impl Store {
    /// Opens the store in `directory` and creates it when there is nothing or nothing in it.
    ///
    /// # Errors
    /// Returns [`StoreError`] when `directory` is no store, or one of a later version, or cannot be
    /// read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        match read_version(directory) {
            Ok(text) => check_version(directory, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(StoreError::NotADirectory {
                    path: directory.to_path_buf(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory)?,
            Err(error) => return Err(FsError::at("read", directory)(error).into()),
        }
        Ok(Self {
            inner: Arc::new(Inner {
                directory: directory.to_path_buf(),
                lease: Mutex::default(),
                unsettled: Mutex::default(),
                sweep: Once::new(),
            }),
        })
    }

    /// Returns the store's directory.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Returns the directory that resolvers cache in; it may not exist yet.
    pub fn index(&self) -> PathBuf {
        self.path("index")
    }

    /// Returns the path of the blob with `digest` when it is there.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.place(*digest);
        path.is_file().then_some(path)
    }

    /// Returns the path that `object` has, or would have.
    pub fn place(&self, object: impl Into<Object>) -> PathBuf {
        self.path(object.into().relative())
    }

    pub(super) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.inner.directory.join(relative)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.inner.directory).finish()
    }
}

fn read_version(directory: &Path) -> io::Result<String> {
    fs::read_to_string(directory.join("version"))
}

fn check_version(directory: &Path, text: &str) -> Result<(), StoreError> {
    let path = directory.to_path_buf();
    match text.trim_end().parse() {
        Ok(VERSION) => Ok(()),
        Ok(found) if found > VERSION => Err(StoreError::Newer {
            path,
            found,
            known: VERSION,
        }),
        _ => Err(StoreError::Damaged { path }),
    }
}

fn create(directory: &Path) -> Result<(), StoreError> {
    create_dir_all(directory).map_err(|error| match error.source.kind() {
        // Something that is no directory lies at the path or on the way to it.
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => StoreError::NotADirectory {
            path: directory.to_path_buf(),
        },
        _ => error.into(),
    })?;
    if !is_blank(directory)? {
        // Another process may have created the store while we looked.
        return match read_version(directory) {
            Ok(text) => check_version(directory, &text),
            Err(_) => Err(StoreError::NotAStore {
                path: directory.to_path_buf(),
            }),
        };
    }
    write_atomic(&directory.join("CACHEDIR.TAG"), TAG.as_bytes())?;
    // Last, because it is what makes the directory a store.
    write_atomic(
        &directory.join("version"),
        format!("{VERSION}\n").as_bytes(),
    )?;
    Ok(())
}

/// Says whether nothing is in `directory` but what an interrupted creation, or the file system,
/// leaves there. Anything else is somebody's: to take `/` or a home directory for a store would be
/// to sweep its `tmp`.
fn is_blank(directory: &Path) -> Result<bool, StoreError> {
    let blank = || -> io::Result<bool> {
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let ours = name == "CACHEDIR.TAG" || name.starts_with(".envbox-");
            // A resolver may have been here before anybody needed a store.
            if !ours && name != "index" && name != "lost+found" {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(blank().map_err(FsError::at("read", directory))?)
}
