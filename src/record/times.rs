//! The times of outputs that have arrived.

use std::path::Path;

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT, utimensat};
use rustix::io::Errno;

use crate::record::directory::Tree;
use crate::record::write_back::{Fate, WrittenChange};
use crate::record::{ChangeKind, ProjectPath, RecordError};

/// Gives everything that `written` says was written the same time of modification. Goes on after a
/// failure: nobody misses an output because of its time.
///
/// # Errors
/// Returns [`RecordError`] when the project cannot be opened.
pub fn set_times(
    written: &[WrittenChange],
    project: &Path,
    seconds: i64,
) -> Result<(), RecordError> {
    let mut tree = Tree::open(project).map_err(RecordError::at("open", project))?;
    for WrittenChange { change, fate } in written {
        if change.kind != ChangeKind::Deleted && matches!(fate, Fate::Written) {
            let _ = set_time(&mut tree, &change.path, seconds);
        }
    }
    Ok(())
}

fn set_time(tree: &mut Tree, path: &ProjectPath, seconds: i64) -> Result<(), Errno> {
    let (directory, name) = path.split().ok_or(Errno::INVAL)?;
    let parent = tree.directory(&directory, |_, _, error| Err(error))?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        },
    };
    utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
