//! Files that tell of the machine, and random devices, for a step without mounts of ours: opened by
//! their usual names, they are files of the supervisor's.
//!
//! Every plain open for reading is asked about, which costs it some microseconds; where there are
//! mounts, those do it for nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};

use super::entropy::{Device, Entropy};
use super::world::World;
use crate::init::filter::{Rule, Test, Verdict};
use crate::sys::memory;
use crate::sys::notify::{self, Notification};

/// What tells of the processors in `/sys`.
const PROCESSORS: [&str; 3] = ["online", "possible", "present"];
const PROCESSORS_AT: &str = "/sys/devices/system/cpu/";
const RANDOM_DEVICES: [&str; 2] = ["/dev/random", "/dev/urandom"];
const RANDOM_FILES: [&str; 2] = [
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/random/uuid",
];

/// No name of ours is longer, its end included.
const LONGEST: usize = 64;

/// The files.
#[derive(Debug)]
pub struct Files {
    contents: BTreeMap<String, String>,
    /// What is read from the random devices.
    random: Option<OwnedFd>,
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

/// The rules by which we are asked: plain opens for reading.
pub fn rules() -> [Rule; 2] {
    const OTHERS: i32 = libc::O_ACCMODE | libc::O_DIRECTORY | libc::O_CREAT | libc::O_PATH;
    let rule = |call, flags| Rule {
        call,
        tests: vec![Test::None(flags, OTHERS as u32)],
        verdict: Verdict::Ask,
    };
    [rule(libc::SYS_open, 1), rule(libc::SYS_openat, 2)]
}

impl Files {
    /// Prepares the files of a world, and what keeps the random devices filled.
    ///
    /// # Errors
    /// Fails if no pipe can be had.
    pub fn new(world: &World, entropy: Option<&Entropy>) -> io::Result<(Files, Option<Device>)> {
        let mut files = Files {
            contents: contents(world),
            random: None,
        };
        let Some(entropy) = entropy else {
            return Ok((files, None));
        };
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK)?;
        files.random = Some(reader);
        Ok((files, Some(Device::new(writer, entropy))))
    }

    /// Answers an open of one of the files. Returns whether it was one, and was answered.
    pub fn answer(&self, listener: BorrowedFd<'_>, call: &Notification) -> bool {
        let [first, second, third, ..] = call.arguments;
        let (path, flags) = match i64::from(call.call) {
            libc::SYS_open => (first, second),
            libc::SYS_openat => (second, third),
            _ => return false,
        };
        let Some(path) = name(call.thread, path) else {
            return false;
        };
        let flags = flags as u32 & libc::O_CLOEXEC as u32;
        let given = if RANDOM_DEVICES.contains(&path.as_str()) {
            let random = self.random.as_ref();
            random.map(|random| notify::give(listener, call.id, random.as_fd(), flags))
        } else {
            let text = self.contents.get(&path);
            text.map(|text| notify::give(listener, call.id, file(text)?.as_fd(), flags))
        };
        // What cannot be given is opened.
        given.is_some_and(|given| given.is_ok())
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

/// Reads the path of a call, if it can be one of ours.
fn name(thread: u32, address: u64) -> Option<String> {
    const PAGE: u64 = 4096;
    // What is behind the end of a page may not be there.
    let rest = (PAGE - address % PAGE) as usize;
    let mut bytes = [0; LONGEST];
    let (near, far) = bytes.split_at_mut(rest.min(LONGEST));
    memory::read(thread, address, near).ok()?;
    if !near.contains(&0) {
        memory::read(thread, address + rest as u64, far).ok()?;
    }
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let ours = [&b"/proc/"[..], b"/sys/", b"/dev/"];
    let path = &bytes[..end];
    let may_be = ours.iter().any(|start| path.starts_with(start));
    may_be.then(|| String::from_utf8_lossy(path).into_owned())
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
