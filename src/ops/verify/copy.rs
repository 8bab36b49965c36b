//! Copies of the project.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::ops::verify::VerifyError;

/// How a copy is made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Whether the names are created in the reverse of their order.
    pub(super) backwards: bool,
    /// The time of last change that everything gets, in seconds since 1970; without it, what it is
    /// in the original.
    pub(super) modified: Option<i64>,
    /// Whom everything belongs to that is the caller's.
    pub(super) owner: Option<u32>,
}

/// Copies what is in the directory `from` to `to`, which is made, with modes, times and owners.
/// Returns the pipes, sockets and devices, which are left out.
///
/// # Errors
/// Returns [`VerifyError::File`] for the first entry that cannot be read or written, and what
/// `go_on` returns, which is asked before each.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    manner: Manner,
    shared: &Shared,
    go_on: &dyn Fn() -> Result<(), VerifyError>,
) -> Result<Vec<PathBuf>, VerifyError> {
    let metadata = fs::metadata(from).map_err(FsError::at("read", from))?;
    let mut copying = Copying {
        manner,
        shared,
        go_on,
        left_out: Vec::new(),
    };
    copying.directory(from, to, &metadata)?;
    Ok(copying.left_out)
}

/// What is not copied: paths of the original, and where links of the copy lead instead.
pub(super) type Shared = BTreeMap<PathBuf, PathBuf>;

struct Copying<'a> {
    manner: Manner,
    shared: &'a Shared,
    go_on: &'a dyn Fn() -> Result<(), VerifyError>,
    left_out: Vec<PathBuf>,
}

impl Copying<'_> {
    fn directory(
        &mut self,
        from: &Path,
        to: &Path,
        metadata: &Metadata,
    ) -> Result<(), VerifyError> {
        let manner = self.manner;
        fs::create_dir_all(to).map_err(FsError::at("create", to))?;
        let mut names = names(from).map_err(FsError::at("read", from))?;
        if manner.backwards {
            names.reverse();
        }
        for name in names {
            self.entry(&from.join(&name), &to.join(&name))?;
        }
        // Last: what is in it changes its time, and it may be one that nothing can be written to.
        let mode = Permissions::from_mode(metadata.mode() & 0o7777);
        let set = || {
            give(to, metadata, manner)?;
            fs::set_permissions(to, mode)?;
            date(to, metadata, manner)
        };
        Ok(set().map_err(FsError::at("write", to))?)
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), VerifyError> {
        (self.go_on)()?;
        if let Some(target) = self.shared.get(from) {
            return Ok(symlink(target, to).map_err(FsError::at("write", to))?);
        }
        let manner = self.manner;
        let metadata = fs::symlink_metadata(from).map_err(FsError::at("read", from))?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return self.directory(from, to, &metadata);
        }
        if kind.is_symlink() {
            let target = fs::read_link(from).map_err(FsError::at("read", from))?;
            symlink(target, to).map_err(FsError::at("write", to))?;
        } else if kind.is_file() {
            // Read and written at once: whichever fails, the reason tells. A full disk is the copy's.
            let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
            fs::copy(from, to).map_err(|error| {
                let path = if full(&error) { to } else { from };
                FsError::at("copy", path)(error)
            })?;
        } else {
            self.left_out.push(from.to_path_buf());
            return Ok(());
        }
        let set = || {
            give(to, &metadata, manner)?;
            date(to, &metadata, manner)
        };
        Ok(set().map_err(FsError::at("write", to))?)
    }
}

fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = fs::read_dir(directory)?;
    let mut names: Vec<OsString> = entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Gives an entry its owner, where the caller may: others' entries stay theirs.
fn give(to: &Path, metadata: &Metadata, manner: Manner) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let (uid, gid) = match manner.owner {
        Some(owner) if metadata.uid() == own => (owner, owner),
        _ => (metadata.uid(), metadata.gid()),
    };
    match own == 0 && (uid, gid) != (0, 0) {
        true => lchown(to, Some(uid), Some(gid)),
        false => Ok(()),
    }
}

fn date(to: &Path, metadata: &Metadata, manner: Manner) -> io::Result<()> {
    let time = match manner.modified {
        Some(seconds) => Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        },
        None => Timespec {
            tv_sec: metadata.mtime(),
            tv_nsec: metadata.mtime_nsec(),
        },
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_modes_times_and_links() {
        let world = tempfile::tempdir().unwrap();
        let (from, to) = (world.path().join("from"), world.path().join("to"));
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/file"), "x").unwrap();
        symlink("nowhere", from.join("link")).unwrap();
        fs::set_permissions(from.join("deep/file"), Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(from.join("deep"), Permissions::from_mode(0o550)).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        fs::write(from.join("data"), "many bytes").unwrap();
        let shared = Shared::from([(from.join("data"), PathBuf::from("/data"))]);
        for manner in [
            Manner::default(),
            Manner {
                backwards: true,
                modified: Some(86_400),
                owner: None,
            },
        ] {
            let left_out = copy(&from, &to, manner, &shared, &|| Ok(())).unwrap();
            assert_eq!(left_out, [from.join("socket")]);
            assert_eq!(fs::read_to_string(to.join("deep/file")).unwrap(), "x");
            assert_eq!(
                fs::read_link(to.join("link")).unwrap(),
                Path::new("nowhere")
            );
            assert_eq!(fs::read_link(to.join("data")).unwrap(), Path::new("/data"));
            let metadata = |path: &Path, name: &str| fs::symlink_metadata(path.join(name)).unwrap();
            for name in ["deep/file", "deep", "link", ""] {
                let (old, new) = (metadata(&from, name), metadata(&to, name));
                assert_eq!(old.mode(), new.mode(), "{name}");
                let expected = manner.modified.unwrap_or(old.mtime());
                assert_eq!(new.mtime(), expected, "{name}");
            }
            crate::store::remove_tree(&to).unwrap();
        }
    }
}
