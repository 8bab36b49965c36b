//! Files of a package's tree. The package may have put links there that lead anywhere.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use rustix::fs::{
    CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat,
};
use rustix::io::Errno;

/// More than any licence text; a file beyond is none.
const LONGEST: u64 = 4 << 20;

/// Where wheels are unpacked to; the directory of the interpreter's series is between.
const ENVIRONMENT: &str = "opt/env/lib";

/// Reads a file as text. None when it is not there, no regular file, too long, or behind a link.
pub(super) fn read_inside(tree: &Path, file: &Path) -> Result<Option<String>, FsError> {
    let at = |errno: Errno| FsError::at("read", &tree.join(file))(errno.into());
    // Without NONBLOCK, a pipe would wait for who writes to it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let Some(open) = open_inside(tree, file, flags).map_err(at)? else {
        return Ok(None);
    };
    let stat = fstat(&open).map_err(at)?;
    let size = stat.st_size.cast_unsigned();
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || size > LONGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = File::from(open).take(LONGEST).read_to_end(&mut bytes);
    read.map_err(FsError::at("read", &tree.join(file)))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Returns the name of the package whose documentation is also that of `package`.
pub(super) fn documentation_link(tree: &Path, package: &str) -> Result<Option<String>, FsError> {
    let directory = Path::new("usr/share/doc");
    let at = |errno: Errno| FsError::at("read", &tree.join(directory))(errno.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let Some(open) = open_inside(tree, directory, flags).map_err(at)? else {
        return Ok(None);
    };
    match readlinkat(&open, package, Vec::new()) {
        Ok(target) => {
            let target = target.to_str().ok();
            let target = target.filter(|target| !target.contains('/'));
            Ok(target.map(str::to_owned))
        }
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(errno) => Err(at(errno)),
    }
}

/// Returns the `METADATA` of every distribution in a wheel's tree: there is one.
pub(super) fn metadata_files(tree: &Path) -> Result<Vec<PathBuf>, FsError> {
    let mut files = Vec::new();
    for series in names_in(tree, Path::new(ENVIRONMENT))? {
        let packages = Path::new(ENVIRONMENT).join(series).join("site-packages");
        for name in names_in(tree, &packages)? {
            if name.ends_with(".dist-info") {
                files.push(packages.join(name).join("METADATA"));
            }
        }
    }
    Ok(files)
}

/// Returns the records in a conda package's tree: there is one.
pub(super) fn conda_records(tree: &Path) -> Result<Vec<PathBuf>, FsError> {
    let directory = Path::new("opt/env/conda-meta");
    let names = names_in(tree, directory)?.into_iter();
    let records = names.filter(|name| name.ends_with(".json"));
    Ok(records.map(|name| directory.join(name)).collect())
}

/// Returns the names in a directory, sorted; those that are no UTF-8 are passed by.
fn names_in(tree: &Path, directory: &Path) -> Result<Vec<String>, FsError> {
    let at = |errno: Errno| FsError::at("read", &tree.join(directory))(errno.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Some(open) = open_inside(tree, directory, flags).map_err(at)? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in Dir::new(open).map_err(at)? {
        let name = entry.map_err(at)?;
        names.extend(name.file_name().to_str().ok().map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn open_inside(tree: &Path, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
    let root = openat(
        CWD,
        tree,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(open) => Ok(Some(open)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}
