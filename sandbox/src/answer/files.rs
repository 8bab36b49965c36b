//! Files that tell of the machine, for a step without mounts of ours: opened by their usual names,
//! they are files of the supervisor's.
//!
//! Every plain open for reading is asked about, which costs it some microseconds; where there are
//! mounts, those do it for nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};

use super::opens;
use super::status::target::Target;
use super::world::World;
use crate::sys::notify::{self, Notification};

/// What tells of the processors in `/sys`.
const PROCESSORS: [&str; 3] = ["online", "possible", "present"];
const PROCESSORS_AT: &str = "/sys/devices/system/cpu/";
const RANDOM_DEVICES: [&str; 2] = ["/dev/random", "/dev/urandom"];
const RANDOM_FILES: [&str; 2] = [
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/random/uuid",
];

/// The files.
#[derive(Debug)]
pub struct Files {
    contents: BTreeMap<String, String>,
}

/// Whether a step without mounts is told what a file has, if its policy has a machine and a seed.
pub fn is_told_without_mounts(path: &str) -> bool {
    let world = World {
        machine: Some(super::Machine::default()),
        seed: Some(0),
        ..World::default()
    };
    contents(&world).contains_key(path) || RANDOM_DEVICES.contains(&path)
}

impl Files {
    /// Prepares the files of a world.
    pub fn new(world: &World) -> Files {
        Files {
            contents: contents(world),
        }
    }

    /// Gives one of the files to a call that opens it. Returns whether it did.
    pub fn give(&self, listener: BorrowedFd<'_>, call: &Notification, target: &Target) -> bool {
        let text = target
            .path
            .to_str()
            .and_then(|path| self.contents.get(path));
        let flags = opens::plain(call, true);
        let (Some(text), Some(flags)) = (text, flags) else {
            return false;
        };
        let given =
            file(text).and_then(|file| notify::give(listener, call.id, file.as_fd(), flags));
        // What cannot be given is opened.
        given.is_ok()
    }
}

fn contents(world: &World) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(machine) = &world.machine {
        let files = machine.proc_files(world.epoch).into_iter();
        all.extend(files.map(|(name, text)| (format!("/proc/{name}"), text)));
        let processors = PROCESSORS.map(|name| format!("{PROCESSORS_AT}{name}"));
        all.extend(processors.map(|path| (path, machine.cpu_list())));
        let names = [("host", &world.hostname), ("domain", &world.domainname)];
        let path = |kind| format!("/proc/sys/kernel/{kind}name");
        all.extend(names.map(|(kind, name)| (path(kind), format!("{name}\n"))));
    }
    if let Some(seed) = world.seed {
        let random = RANDOM_FILES.map(str::to_owned).into_iter();
        all.extend(random.zip(super::Answers::uuids(seed)));
    }
    all
}

/// Makes a file that can be read.
fn file(text: &str) -> io::Result<OwnedFd> {
    let file = memfd_create(c"envbox-file", MemfdFlags::CLOEXEC)?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = &rest[written..];
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
