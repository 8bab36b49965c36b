//! Building trees once.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;

use envbox_lockfiles::base::FsError;
use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};

use crate::store::filelock::{self, Mode};
use crate::store::lease::entries;
use crate::store::{Object, Store, StoreError, TreeKey, remove_tree};

/// In a `.done` file: the tree is on the disk.
const DURABLE: &str = "durable\n";

/// Names this boot, or is empty on a kernel that does not say.
static BOOT: LazyLock<String> =
    LazyLock::new(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default());

/// A finished tree, in use while this value or a clone of its store's handle lives.
#[derive(Debug, Clone)]
pub struct Tree {
    store: Store,
    key: TreeKey,
}

impl Tree {
    /// Returns the directory.
    pub fn path(&self) -> PathBuf {
        self.store.place(self.key)
    }

    /// Returns the path of the file that lists what is in the tree; it is there when the builder
    /// wrote it.
    pub fn manifest_path(&self) -> PathBuf {
        beside(&self.path(), "manifest")
    }

    /// Returns the key.
    pub fn key(&self) -> TreeKey {
        self.key
    }

    /// Returns the store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// Returns the tree `key` when it is there. It is in use from here on.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the use could not be noted.
    pub fn find_tree(&self, key: TreeKey) -> Result<Option<Tree>, StoreError> {
        self.hold([Object::Tree(key)])?;
        self.finished(key)
    }

    /// Returns the tree `key`; when it is not there, has `build` make it in the empty directory it
    /// is given. When another process builds the same tree, waits and takes that one.
    ///
    /// `build` may also write a [`TreeManifest`](crate::store::TreeManifest) to
    /// `<directory>.manifest`, beside the directory.
    ///
    /// # Errors
    /// Returns what `build` returns, and [`StoreError`] when the store cannot be written. Nothing
    /// is left then.
    pub fn tree<E: From<StoreError>>(
        &self,
        key: TreeKey,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Tree, E> {
        if let Some(tree) = self.find_tree(key)? {
            return Ok(tree);
        }
        // What killed builders left takes space, maybe the space that is needed now.
        self.inner.sweep.call_once(|| drop(self.sweep_builds()));
        let lock = self.path("locks").join(key.work_name());
        let _building = filelock::lock(&lock, Mode::Exclusive).map_err(StoreError::from)?;
        if let Some(tree) = self.finished(key)? {
            return Ok(tree);
        }
        let workplace = self.path("tmp/build").join(key.work_name());
        let built = self
            .clear(key, &workplace)
            .map_err(E::from)
            .and_then(|directory| build(&directory))
            .and_then(|()| Ok(self.publish(key, &workplace)?));
        if built.is_err() {
            // The error that counts is the first; what cannot be removed is swept later.
            drop(remove_tree(&workplace));
        }
        built
    }

    /// Waits until the disk has every tree that this handle met, so that they count after a reset
    /// of the machine too. Call it when nobody waits.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the disk refuses.
    pub fn settle(&self) -> Result<(), StoreError> {
        let mut unsettled = self.inner.unsettled.lock().expect("no holder panics");
        let keys = std::mem::take(&mut *unsettled);
        drop(unsettled);
        if keys.is_empty() {
            return Ok(());
        }
        let directory = self.directory();
        let sync = || Ok(rustix::fs::syncfs(fs::File::open(directory)?)?);
        sync().map_err(FsError::at("sync", directory))?;
        for key in keys {
            let done = beside(&self.place(key), "done");
            if done.exists() {
                write_atomic(&done, DURABLE.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Does as [`Store::settle`] does on a thread of its own, for which nobody waits. When the
    /// program ends first, or the disk refuses, the next user of the trees tries again.
    pub fn settle_in_background(&self) {
        let nothing = self
            .inner
            .unsettled
            .lock()
            .expect("no holder panics")
            .is_empty();
        if !nothing {
            let store = self.clone();
            thread::spawn(move || drop(store.settle()));
        }
    }

    fn finished(&self, key: TreeKey) -> Result<Option<Tree>, StoreError> {
        let done = beside(&self.place(key), "done");
        let text = match fs::read_to_string(&done) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(FsError::at("read", &done))?,
        };
        if text != DURABLE {
            if BOOT.is_empty() || text != *BOOT {
                return Ok(None);
            }
            self.remember_unsettled(key);
        }
        Ok(Some(Tree {
            store: self.clone(),
            key,
        }))
    }

    /// Removes what earlier builders left and returns an empty directory to build in.
    fn clear(&self, key: TreeKey, workplace: &Path) -> Result<PathBuf, StoreError> {
        let place = self.place(key);
        self.remove_finished(&place)?;
        remove_tree(workplace)?;
        let directory = workplace.join("tree");
        create_dir_all(&directory)?;
        Ok(directory)
    }

    fn publish(&self, key: TreeKey, workplace: &Path) -> Result<Tree, StoreError> {
        let place = self.place(key);
        let built = workplace.join("tree");
        create_dir_all(&self.path(key.directory()))?;
        let manifest = beside(&built, "manifest");
        if manifest.exists() {
            let place = beside(&place, "manifest");
            fs::rename(&manifest, &place).map_err(FsError::at("write", &place))?;
        }
        move_directory(&built, &place)?;
        remove_tree(workplace)?;
        let done = beside(&place, "done");
        let text = if BOOT.is_empty() {
            let sync = || Ok(rustix::fs::syncfs(fs::File::open(&place)?)?);
            sync().map_err(FsError::at("sync", &place))?;
            DURABLE
        } else {
            self.remember_unsettled(key);
            BOOT.as_str()
        };
        // Not `write_atomic`: its sync is what this scheme avoids, and a half-written file does
        // not count.
        fs::write(&done, text).map_err(FsError::at("write", &done))?;
        Ok(Tree {
            store: self.clone(),
            key,
        })
    }

    /// Removes a tree from its place. The `.done` file goes first: nobody takes half a tree.
    pub(super) fn remove_finished(&self, place: &Path) -> Result<(), StoreError> {
        for file in [beside(place, "done"), beside(place, "manifest")] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FsError::at("remove", &file)(error).into());
                }
                _ => {}
            }
        }
        Ok(remove_tree(place)?)
    }

    /// Removes what killed builders left behind.
    pub fn sweep_builds(&self) -> Result<(), StoreError> {
        for workplace in entries(&self.path("tmp/build"))? {
            let name = workplace.file_name().unwrap_or_default();
            let lock = self.path("locks").join(name);
            // The file must be there to be locked: without it, a builder could begin here meanwhile.
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&lock)
                .map_err(FsError::at("lock", &lock))?;
            if let Some(_nobody_builds) = filelock::try_lock(&lock)? {
                remove_tree(&workplace)?;
            }
        }
        Ok(())
    }

    fn remember_unsettled(&self, key: TreeKey) {
        let mut unsettled = self.inner.unsettled.lock().expect("no holder panics");
        unsettled.insert(key);
    }
}

/// Returns the path of a tree's companion.
pub(super) fn beside(tree: &Path, extension: &str) -> PathBuf {
    let mut path = tree.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// Renames a directory to another parent. That changes its `..`, for which the kernel wants the
/// directory itself to be writable.
pub(super) fn move_directory(from: &Path, to: &Path) -> Result<(), FsError> {
    let rename = || {
        let mode = fs::symlink_metadata(from)?.permissions().mode();
        let writable = mode & 0o200 != 0;
        if !writable {
            fs::set_permissions(from, Permissions::from_mode(mode | 0o700))?;
        }
        fs::rename(from, to)?;
        if !writable {
            fs::set_permissions(to, Permissions::from_mode(mode))?;
        }
        Ok(())
    };
    rename().map_err(FsError::at("write", to))
}
