//! Policy → the operations that make the tree of mounts. Pure; `tests` show the whole list.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::identity;
use super::points::{self, Missing};
use super::policy::{CoverContent, Device, Link, NewFile, Policy, Project};
use crate::answer::World;
use crate::init::{Attribute, Filesystem, Held, Operation, overlay};

/// Where the project is mounted.
const PROJECT: &str = "/project";

/// Entries of `/proc` that are read-only: what root, mapped as the caller of the sandbox, could
/// else use to change the host (its files belong to root and the mode alone protects some).
const PROC_READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Files of `/proc` that read as empty: the host's memory, keys and scheduling.
const PROC_EMPTY_FILES: [&str; 6] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
];

/// Directories of `/proc` that are empty: the host's devices.
const PROC_EMPTY_DIRECTORIES: [&str; 3] = ["/proc/acpi", "/proc/asound", "/proc/scsi"];

/// The devices of the sandbox. A user namespace may not make device nodes, so they are bound.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// The links in `/dev`, with what they point to.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("ptmx", "pts/ptmx"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];

/// The size of `/run`: sockets and pid files.
const RUN_SIZE: u64 = 16 << 20;

/// What holds for every mount of the sandbox: no set-user-id, no devices.
const COMMON: u64 = Attribute::NO_SET_UID | Attribute::NO_DEVICES;

/// What holds for a bound device.
const DEVICE: u64 = Attribute::NO_SET_UID | Attribute::NO_EXEC | Attribute::READ_ONLY;

/// A bind with the answer to whether its source is a directory.
#[derive(Clone, Debug)]
pub struct CheckedBind {
    pub source: PathBuf,
    pub target: PathBuf,
    pub writable: bool,
    pub directory: bool,
}

/// Returns the attributes of the rootfs.
pub fn root_attributes(policy: &Policy) -> u64 {
    if policy.writable_root {
        COMMON
    } else {
        COMMON | Attribute::READ_ONLY
    }
}

/// Returns the guest paths below which mount points are made by the way.
pub fn made(policy: &Policy) -> [&Path; 7] {
    let fixed = ["/dev", "/proc", PROJECT, "/run", "/sys", "/tmp"];
    let [dev, proc, project, run, sys, tmp] = fixed.map(Path::new);
    [dev, proc, project, run, sys, tmp, &policy.home]
}

/// Returns the operations for a policy whose binds were checked, and whose rootfs lacks the mount
/// points `missing`.
pub fn operations(
    policy: &Policy,
    world: &World,
    binds: &[CheckedBind],
    missing: &[Missing],
) -> Vec<Operation> {
    let mut list = Vec::with_capacity(64);
    if !missing.is_empty() {
        let attributes = root_attributes(policy);
        list.extend(points::operations(missing, attributes, policy.epoch));
    }
    // The project first: its paths are the host's, and nothing covers them yet.
    project(&mut list, policy.project.as_ref());
    proc(&mut list);
    devices(&mut list, policy.shm_size, world.seed.is_some());
    policy.devices.iter().for_each(|it| device(&mut list, it));
    list.push(tmpfs("/tmp", policy.tmp_size, "1777"));
    list.extend(covered_directories(policy));
    list.extend(identity::files(world, &covered_files(policy)));
    // Read-only at the end, because more may be put into it.
    let system = identity::system(world, has_own_system(policy));
    let seals_system = !system.is_empty();
    list.extend(system);
    list.push(tmpfs("/run", RUN_SIZE, "755"));
    list.push(tmpfs(&policy.home, policy.tmp_size, "755"));
    let mut made: Vec<&Path> = ["/dev/shm", "/tmp", "/run"].map(Path::new).into();
    made.push(&policy.home);
    made.extend(seals_system.then_some(Path::new(identity::SYSTEM)));
    for bind in binds {
        let owned = made.iter().find(|mount| bind.target.starts_with(mount));
        // What is below another bind is the host's, where nothing is made.
        let within = |other: &CheckedBind| {
            other.target != bind.target && bind.target.starts_with(&other.target)
        };
        if let Some(mount) = owned.filter(|_| !binds.iter().any(within)) {
            mount_point(&mut list, mount, bind);
        }
        let (source, target) = (bind.source.clone(), bind.target.clone());
        let attributes = if bind.writable {
            COMMON
        } else {
            COMMON | Attribute::READ_ONLY
        };
        list.push(Operation::Bind {
            source,
            target,
            attributes,
        });
    }
    policy
        .links
        .iter()
        .for_each(|it| link(&mut list, &made, it));
    policy
        .files
        .iter()
        .for_each(|it| file(&mut list, &made, it));
    // Last, because everything in it had to be made first.
    list.push(Operation::Attributes {
        target: PathBuf::from("/dev"),
        attributes: Attribute::READ_ONLY,
    });
    if seals_system {
        list.push(identity::sealed_system());
    }
    list
}

/// Returns whether a policy puts something into `/sys`.
fn has_own_system(policy: &Policy) -> bool {
    let binds = policy.binds.iter().map(|bind| &bind.target);
    let links = policy.links.iter().map(|link| &link.path);
    let files = policy.files.iter().map(|file| &file.path);
    { binds }
        .chain(links)
        .chain(files)
        .any(|path| path.starts_with(identity::SYSTEM))
}

/// Binds a node of the host's. Unlike everything else it is mounted so that devices work.
///
/// Read-only, because a step that root started is the owner of the host's node, and could else
/// change its mode. That does not keep anybody from writing to the device.
fn device(list: &mut Vec<Operation>, device: &Device) {
    make_parents(list, Path::new("/dev"), &device.target);
    if let Some((parent, name)) = parts(&device.target) {
        list.push(Operation::File {
            parent,
            name,
            mode: 0o444,
            content: Vec::new(),
        });
    }
    list.push(Operation::Bind {
        source: device.source.clone(),
        target: device.target.clone(),
        attributes: DEVICE,
    });
}

fn link(list: &mut Vec<Operation>, made: &[&Path], link: &Link) {
    if let Some(mount) = made.iter().find(|mount| link.path.starts_with(mount)) {
        make_parents(list, mount, &link.path);
    }
    if let Some((parent, name)) = parts(&link.path) {
        list.push(Operation::Link {
            parent,
            name,
            content: link.content.clone(),
        });
    }
}

fn file(list: &mut Vec<Operation>, made: &[&Path], file: &NewFile) {
    if let Some(mount) = made.iter().find(|mount| file.path.starts_with(mount)) {
        make_parents(list, mount, &file.path);
    }
    if let Some((parent, name)) = parts(&file.path) {
        list.push(Operation::File {
            parent,
            name,
            mode: file.mode,
            content: file.content.clone(),
        });
    }
}

fn covered_directories(policy: &Policy) -> impl Iterator<Item = Operation> {
    let empty = policy.covers.iter();
    let empty = empty.filter(|cover| cover.content == CoverContent::EmptyDirectory);
    empty.map(|cover| empty_directory(&cover.target))
}

fn covered_files(policy: &Policy) -> Vec<(&Path, &str)> {
    let covers = policy.covers.iter();
    let text = covers.filter_map(|cover| match &cover.content {
        CoverContent::Text(text) => Some((cover.target.as_path(), text.as_str())),
        CoverContent::EmptyDirectory => None,
    });
    text.collect()
}

fn project(list: &mut Vec<Operation>, project: Option<&Project>) {
    let bind = |source: &Path, attributes| Operation::Bind {
        source: source.to_owned(),
        target: PathBuf::from(PROJECT),
        attributes,
    };
    match project {
        None => {}
        Some(Project::Direct { source }) => list.push(bind(source, COMMON)),
        Some(Project::ReadOnly { source }) => {
            list.push(bind(source, COMMON | Attribute::READ_ONLY));
        }
        Some(Project::Overlay { lower, upper, work }) => {
            let sources = [lower, upper, work].map(|path| Held::Host(path.clone()));
            list.extend(overlay(sources, Path::new(PROJECT)));
        }
    }
}

fn proc(list: &mut Vec<Operation>) {
    const RESTRICTED: u64 = COMMON | Attribute::NO_EXEC;
    list.push(Operation::Mount {
        filesystem: Filesystem {
            kind: "proc",
            parameters: Vec::new(),
            attributes: RESTRICTED,
        },
        target: PathBuf::from("/proc"),
        optional: false,
    });
    let read_only = RESTRICTED | Attribute::READ_ONLY;
    list.extend(PROC_READ_ONLY.map(|path| Operation::Rebind {
        source: PathBuf::from(path),
        target: PathBuf::from(path),
        attributes: read_only,
    }));
    list.extend(PROC_EMPTY_DIRECTORIES.map(|path| empty_directory(Path::new(path))));
}

/// Covers a directory of the kernel's, if it is there, with an empty one.
fn empty_directory(target: &Path) -> Operation {
    let attributes = COMMON | Attribute::NO_EXEC | Attribute::READ_ONLY;
    Operation::Mount {
        filesystem: Filesystem::tmpfs(None, "555", attributes),
        target: target.to_owned(),
        optional: true,
    }
}

fn devices(list: &mut Vec<Operation>, shm_size: u64, seeded: bool) {
    const QUIET: u64 = Attribute::NO_SET_UID | Attribute::NO_EXEC;
    let dev = || PathBuf::from("/dev");
    list.push(Operation::Mount {
        filesystem: Filesystem::tmpfs(None, "755", QUIET | Attribute::NO_DEVICES),
        target: dev(),
        optional: false,
    });
    if seeded {
        list.push(Operation::Fifo {
            parent: dev(),
            name: OsString::from("urandom"),
            mode: 0o444,
        });
        list.push(Operation::Link {
            parent: dev(),
            name: OsString::from("random"),
            content: "urandom".into(),
        });
    }
    let ours = |name: &&str| seeded && name.ends_with("random");
    for name in DEVICES.into_iter().filter(|name| !ours(name)) {
        list.push(Operation::File {
            parent: dev(),
            name: OsString::from(name),
            mode: 0o444,
            content: Vec::new(),
        });
        let path = dev().join(name);
        list.push(Operation::Bind {
            source: path.clone(),
            target: path,
            attributes: DEVICE,
        });
    }
    for (name, content) in DEVICE_LINKS {
        list.push(Operation::Link {
            parent: dev(),
            name: OsString::from(name),
            content: content.into(),
        });
    }
    for name in ["pts", "shm"] {
        list.push(Operation::Directory {
            parent: dev(),
            name: OsString::from(name),
            mode: 0o755,
        });
    }
    list.push(Operation::Mount {
        filesystem: Filesystem {
            kind: "devpts",
            // No `gid=`: the tty group of the host is not mapped.
            parameters: vec![
                ("ptmxmode", Some("666".to_owned())),
                ("mode", Some("620".to_owned())),
            ],
            attributes: QUIET,
        },
        target: PathBuf::from("/dev/pts"),
        optional: false,
    });
    list.push(tmpfs("/dev/shm", shm_size, "1777"));
    // Here, because they need the null device.
    list.extend(PROC_EMPTY_FILES.map(|path| Operation::Rebind {
        source: PathBuf::from("/dev/null"),
        target: PathBuf::from(path),
        attributes: QUIET | Attribute::READ_ONLY,
    }));
}

fn tmpfs(target: impl Into<PathBuf>, size: u64, mode: &str) -> Operation {
    Operation::Mount {
        filesystem: Filesystem::tmpfs(Some(size), mode, COMMON),
        target: target.into(),
        optional: false,
    }
}

/// Creates the mount point of a bind below a filesystem of the sandbox's own.
fn mount_point(list: &mut Vec<Operation>, mount: &Path, bind: &CheckedBind) {
    make_parents(list, mount, &bind.target);
    let Some((parent, name)) = parts(&bind.target).filter(|_| bind.target != mount) else {
        return;
    };
    list.push(if bind.directory {
        directory(parent, name)
    } else {
        Operation::File {
            parent,
            name,
            mode: 0o644,
            content: Vec::new(),
        }
    });
}

/// Creates the directories between a filesystem of the sandbox's own and a path below it.
fn make_parents(list: &mut Vec<Operation>, mount: &Path, path: &Path) {
    let between = path.parent().and_then(|it| it.strip_prefix(mount).ok());
    let mut parent = mount.to_owned();
    for component in between.into_iter().flat_map(Path::components) {
        if let Component::Normal(name) = component {
            let next = parent.join(name);
            list.push(directory(parent, name.to_owned()));
            parent = next;
        }
    }
}

fn directory(parent: PathBuf, name: OsString) -> Operation {
    Operation::Directory {
        parent,
        name,
        mode: 0o755,
    }
}

/// Returns a path's directory and last name; the root has none.
fn parts(path: &Path) -> Option<(PathBuf, OsString)> {
    Some((path.parent()?.to_owned(), path.file_name()?.to_owned()))
}
