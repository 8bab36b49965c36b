//! Removing trees whose own modes are in the way.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use envbox_lockfiles::base::FsError;

/// Removes `path` and everything below it, also when directories in it may not be read, searched
/// or written. Nothing there is no error.
///
/// # Errors
/// Returns [`FsError`] with the path.
pub fn remove_tree(path: &Path) -> Result<(), FsError> {
    let remove = || match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    };
    remove().map_err(FsError::at("remove", path))
}

/// Gives the owner all permissions on every directory.
fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // `file_type` does not follow links.
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
