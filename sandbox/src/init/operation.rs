//! Operations on the tree of mounts, as printable data.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// Attributes of a mount, from `linux/mount.h`.
pub struct Attribute;

impl Attribute {
    /// Nothing can be written through the mount.
    pub const READ_ONLY: u64 = 1;
    /// Set-user-id bits and file capabilities have no effect.
    pub const NO_SET_UID: u64 = 2;
    /// Device nodes cannot be opened.
    pub const NO_DEVICES: u64 = 4;
    /// Nothing can be executed.
    pub const NO_EXEC: u64 = 8;
}

/// One operation. Targets are guest paths and resolved inside the rootfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Binds a host path.
    Bind {
        source: PathBuf,
        target: PathBuf,
        attributes: u64,
    },
    /// Binds a guest path, if the target exists.
    Rebind {
        source: PathBuf,
        target: PathBuf,
        attributes: u64,
    },
    /// Mounts a new filesystem.
    Mount {
        filesystem: Filesystem,
        target: PathBuf,
        /// Whether it is no error that the target does not exist.
        optional: bool,
    },
    /// Opens a path under a fixed number, for filesystems that take a path as a parameter: they
    /// are given `/proc/self/fd/N`, in which no character of the path can be special.
    Hold { source: Held, descriptor: i32 },
    /// Creates a directory.
    Directory {
        parent: PathBuf,
        name: OsString,
        mode: u32,
    },
    /// Creates a file.
    File {
        parent: PathBuf,
        name: OsString,
        mode: u32,
        content: Vec<u8>,
    },
    /// Creates a FIFO.
    Fifo {
        parent: PathBuf,
        name: OsString,
        mode: u32,
    },
    /// Creates a symbolic link.
    Link {
        parent: PathBuf,
        name: OsString,
        content: PathBuf,
    },
    /// Sets attributes on a mount.
    Attributes { target: PathBuf, attributes: u64 },
    /// Mounts a new filesystem over the root; guest paths are resolved in it from then on.
    Root { filesystem: Filesystem },
    /// Sets the times of a file or directory, in seconds since 1970.
    Times { target: PathBuf, seconds: u64 },
}

/// A filesystem that is made for the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Its type.
    pub kind: &'static str,
    /// What `fsconfig` is told of it.
    pub parameters: Vec<(&'static str, Option<String>)>,
    /// The attributes of the mount.
    pub attributes: u64,
}

impl Filesystem {
    /// A filesystem in memory: of so many bytes, if it is not to be half of the memory, and with this
    /// mode of its root.
    pub fn tmpfs(size: Option<u64>, mode: &str, attributes: u64) -> Filesystem {
        let size = size.map(|bytes| ("size", Some(bytes.to_string())));
        let mode = ("mode", Some(mode.to_owned()));
        Filesystem {
            kind: "tmpfs",
            parameters: size.into_iter().chain([mode]).collect(),
            attributes,
        }
    }
}

impl Operation {
    /// The operation by which a filesystem is made before it is known where it is mounted.
    pub fn nowhere(filesystem: Filesystem) -> Operation {
        Operation::Mount {
            filesystem,
            target: PathBuf::new(),
            optional: false,
        }
    }

    /// Returns the guest path that the rootfs must have for this operation, if it mounts something.
    /// The sources of binds are known to exist, but for devices; their targets are made.
    pub fn mount_point(&self) -> Option<&Path> {
        match self {
            Operation::Bind { target, .. } if target.starts_with("/dev") => None,
            Operation::Bind { target, .. } | Operation::Mount { target, .. } => Some(target),
            _ => None,
        }
    }
}

/// What [`Operation::Hold`] opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A host path.
    Host(PathBuf),
    /// A guest path.
    Guest(PathBuf),
}

/// The descriptors for the lower, upper and work directory of an overlay, as numbers and as paths.
/// High enough to be free: init itself opens a handful, its socket is number 64.
const HELD: [(i32, &str); 3] = [
    (100, "/proc/self/fd/100"),
    (101, "/proc/self/fd/101"),
    (102, "/proc/self/fd/102"),
];

/// Returns the operations that mount an overlay of a lower, an upper and a work directory.
///
/// The directories are named by descriptor. So no character in a path can be special, on any
/// kernel, and `/proc/self/mountinfo` inside does not tell where on the host they lie.
pub fn overlay(sources: [Held; 3], target: &Path) -> impl Iterator<Item = Operation> + use<> {
    let [(_, lower), (_, upper), (_, work)] = HELD;
    let mount = Operation::Mount {
        filesystem: Filesystem {
            kind: "overlay",
            parameters: vec![
                ("lowerdir", Some(lower.to_owned())),
                ("upperdir", Some(upper.to_owned())),
                ("workdir", Some(work.to_owned())),
                // Without privileges on the host only `user.*` attributes can be written.
                ("userxattr", None),
                // Else the kernel waits for the disk, with all that others wrote to it, when the
                // sandbox ends. What is in the upper directory is brought home then or thrown away:
                // nobody finds it there after a crash.
                ("volatile", None),
            ],
            attributes: Attribute::NO_SET_UID | Attribute::NO_DEVICES,
        },
        target: target.to_owned(),
        optional: false,
    };
    let hold = |(source, (descriptor, _))| Operation::Hold { source, descriptor };
    sources.into_iter().zip(HELD).map(hold).chain([mount])
}

/// Returns the operations that lay the tree at the guest path `below` under the root: what the root
/// lacks is there then, and what it has is as before.
pub fn root_over(below: &Path, attributes: u64) -> [Operation; 3] {
    let [(first, upper), (second, lower), _] = HELD;
    let hold = |path: &Path, descriptor| Operation::Hold {
        source: Held::Guest(path.to_owned()),
        descriptor,
    };
    let mount = Operation::Root {
        filesystem: Filesystem {
            kind: "overlay",
            parameters: vec![
                ("lowerdir", Some(format!("{upper}:{lower}"))),
                ("userxattr", None),
            ],
            attributes,
        },
    };
    [hold(Path::new("/"), first), hold(below, second), mount]
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Bind { source, target, .. } => {
                write!(f, "bind `{}` on `{}`", source.display(), target.display())
            }
            Operation::Rebind { target, .. } => write!(f, "mask `{}`", target.display()),
            Operation::Mount {
                filesystem, target, ..
            } => write!(f, "mount {} on `{}`", filesystem.kind, target.display()),
            Operation::Hold {
                source: Held::Host(path) | Held::Guest(path),
                ..
            } => {
                write!(f, "open `{}`", path.display())
            }
            Operation::Directory { parent, name, .. } => create(f, "directory", parent, name),
            Operation::File { parent, name, .. } => create(f, "file", parent, name),
            Operation::Fifo { parent, name, .. } => create(f, "FIFO", parent, name),
            Operation::Link { parent, name, .. } => create(f, "link", parent, name),
            Operation::Root { .. } => f.write_str("lay mount points under the rootfs"),
            Operation::Times { target, .. } => {
                write!(f, "set the times of `{}`", target.display())
            }
            Operation::Attributes { target, .. } => {
                write!(f, "set the attributes of `{}`", target.display())
            }
        }
    }
}

fn create(f: &mut fmt::Formatter<'_>, what: &str, parent: &Path, name: &OsStr) -> fmt::Result {
    write!(f, "create the {what} `{}`", parent.join(name).display())
}
