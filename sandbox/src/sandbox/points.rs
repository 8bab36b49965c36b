//! Mount points that a rootfs lacks → the operations that put them there.
//!
//! Many sandboxes have one rootfs in common, and nothing may be written to it. An overlay has the
//! rootfs above and a tree of empty directories and files below: what the rootfs has is as before,
//! to the times of its directories. Only where a point is missing: without, there is no overlay.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::error::SandboxError;
use super::mounts::CheckedBind;
use crate::init::{Attribute, Filesystem, Operation, root_over};

/// Where the tree is made: whatever is mounted there later covers it.
const STAGE: &str = "/run";

/// A mount point that the rootfs lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The path below the root, without links on the way.
    path: PathBuf,
    /// Whether it is a directory; a file otherwise.
    directory: bool,
}

/// Returns the mount points of `binds` that the rootfs lacks. Those below `made` are made otherwise,
/// and those below another bind are that one's.
///
/// # Errors
/// Fails with [`SandboxError::MountPoint`] when something on the way is no directory.
pub fn missing(
    rootfs: &Path,
    binds: &[CheckedBind],
    made: &[&Path],
) -> Result<Vec<Missing>, SandboxError> {
    let mut all = Vec::new();
    for bind in binds {
        let within = |other: &CheckedBind| {
            other.target != bind.target && bind.target.starts_with(&other.target)
        };
        let elsewhere = made.iter().any(|path| bind.target.starts_with(path));
        if elsewhere || binds.iter().any(within) {
            continue;
        }
        let unusable = || SandboxError::MountPoint {
            rootfs: rootfs.to_owned(),
            path: bind.target.clone(),
        };
        if let Some(path) = lacking(rootfs, &bind.target).ok_or_else(unusable)? {
            all.push(Missing {
                path,
                directory: bind.directory,
            });
        }
    }
    Ok(all)
}

/// Returns the path below the root that `target` would have, unless there is one; nothing at all
/// when there cannot be one.
fn lacking(rootfs: &Path, target: &Path) -> Option<Option<PathBuf>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = openat(CWD, rootfs, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = |path: &Path| openat2(&root, path, flags, Mode::empty(), resolve).ok();
    if open(target).is_some() {
        return Some(None);
    }
    let (above, found) = target
        .ancestors()
        .skip(1)
        .find_map(|above| Some((above, open(above)?)))?;
    let path_of = |number: i32| fs::read_link(format!("/proc/self/fd/{number}")).ok();
    let (root, found) = (path_of(root.as_raw_fd())?, path_of(found.as_raw_fd())?);
    if !found.is_dir() {
        return None;
    }
    let below = found.strip_prefix(root).ok()?;
    Some(Some(below.join(target.strip_prefix(above).ok()?)))
}

/// Returns the operations that put `missing` into the root, which is mounted with `attributes`. New
/// directories have the time `epoch`.
pub fn operations(missing: &[Missing], attributes: u64, epoch: u64) -> Vec<Operation> {
    let mut entries: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for point in missing {
        let above = point.path.ancestors().skip(1);
        entries.extend(above.map(|path| (path.to_owned(), true)));
        entries.insert(point.path.clone(), point.directory);
    }
    let stage = Path::new(STAGE);
    let quiet = Attribute::NO_SET_UID | Attribute::NO_DEVICES | Attribute::NO_EXEC;
    let mut list = vec![Operation::Mount {
        filesystem: Filesystem::tmpfs(None, "755", quiet),
        target: stage.to_owned(),
        optional: false,
    }];
    list.extend(
        entries
            .iter()
            .filter_map(|(path, directory)| entry(stage, path, *directory)),
    );
    // After everything is made: that changes the times of what it is made in.
    list.extend(entries.keys().map(|path| Operation::Times {
        target: stage.join(path),
        seconds: epoch,
    }));
    list.extend(root_over(stage, attributes));
    list
}

fn entry(stage: &Path, path: &Path, directory: bool) -> Option<Operation> {
    let Some(Component::Normal(name)) = path.components().next_back() else {
        return None;
    };
    let parent = stage.join(path.parent()?);
    let name = name.to_owned();
    Some(match directory {
        true => Operation::Directory {
            parent,
            name,
            mode: 0o755,
        },
        false => Operation::File {
            parent,
            name,
            mode: 0o644,
            content: Vec::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn bind(target: &str, directory: bool) -> CheckedBind {
        CheckedBind {
            source: PathBuf::from("/"),
            target: PathBuf::from(target),
            writable: false,
            directory,
        }
    }

    #[test]
    fn only_what_the_rootfs_lacks_is_made() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/file"), "").unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        // Leads to the host's unless it is followed as inside.
        symlink("/usr", root.join("absolute")).unwrap();
        let made = [Path::new("/tmp")];
        for (target, expected) in [
            ("/usr/bin", Some(vec![])),
            ("/absolute/bin", Some(vec![])),
            ("/tmp/x", Some(vec![])),
            ("/data/x", Some(vec!["data/x"])),
            ("/bin/x/y", Some(vec!["usr/bin/x/y"])),
            ("/absolute/x", Some(vec!["usr/x"])),
            ("/usr/file/x", None),
        ] {
            let found = missing(root, &[bind(target, true)], &made).ok();
            let paths = found.map(|all| {
                let paths = all.into_iter().map(|one| one.path.display().to_string());
                paths.collect::<Vec<_>>()
            });
            let expected = expected.map(|all| all.into_iter().map(String::from).collect());
            assert_eq!(paths, expected, "{target}");
        }
        let within = [bind("/data", true), bind("/data/x", false)];
        assert_eq!(missing(root, &within, &made).unwrap().len(), 1);
    }

    #[test]
    fn the_tree_is_made_from_the_top() {
        let missing = [
            Missing {
                path: PathBuf::from("a/b"),
                directory: true,
            },
            Missing {
                path: PathBuf::from("a/c"),
                directory: false,
            },
        ];
        let list = operations(&missing, Attribute::READ_ONLY, 7);
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        mount tmpfs on `/run`
        create the directory `/run/a`
        create the directory `/run/a/b`
        create the file `/run/a/c`
        set the times of `/run/`
        set the times of `/run/a`
        set the times of `/run/a/b`
        set the times of `/run/a/c`
        open `/`
        open `/run`
        lay mount points under the rootfs
        ");
    }
}
