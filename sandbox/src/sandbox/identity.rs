//! The files that tell of the machine → operations on the tree of mounts. Pure.
//!
//! They lie in a filesystem of their own below `/run`, which the step's `/run` then covers, and are
//! bound over those of the kernel.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::answer::{Answers, Machine, World};
use crate::init::{Attribute, Filesystem, Operation};

/// Where the files are made.
const STAGE: &str = "/run";

const QUIET: u64 = Attribute::NO_SET_UID | Attribute::NO_DEVICES | Attribute::NO_EXEC;

/// Where the machine's devices are told of.
pub const SYSTEM: &str = "/sys";

/// Returns the operations that show a machine in `/proc`, and further files there, to be done
/// before `/run` is mounted.
pub fn files(world: &World, covers: &[(&Path, &str)]) -> Vec<Operation> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let proc = |name: &str| Path::new("/proc").join(name);
    if let Some(machine) = &world.machine {
        let machines = machine.proc_files(world.epoch);
        files.extend(machines.into_iter().map(|(name, text)| (proc(name), text)));
    }
    if let Some(seed) = world.seed {
        let [boot, random] = Answers::uuids(seed);
        files.push((proc("sys/kernel/random/boot_id"), boot));
        files.push((proc("sys/kernel/random/uuid"), random));
    }
    let covers = covers.iter();
    files.extend(covers.map(|(target, text)| ((*target).to_owned(), (*text).to_owned())));
    if files.is_empty() {
        return Vec::new();
    }
    let mut list = vec![small(STAGE)];
    for (index, (target, content)) in files.into_iter().enumerate() {
        let staged = index.to_string();
        list.push(file(Path::new(STAGE), &staged, content));
        list.push(Operation::Rebind {
            source: Path::new(STAGE).join(staged),
            target,
            attributes: QUIET | Attribute::READ_ONLY,
        });
    }
    list
}

/// Returns the operations that make `/sys`, if there is a machine or something else to be put into
/// it: the processors and nothing else. It stays writable until [`sealed_system`].
pub fn system(world: &World, wanted: bool) -> Vec<Operation> {
    let machine = world.machine.as_ref();
    if machine.is_none() && !wanted {
        return Vec::new();
    }
    let mut list = vec![small(SYSTEM)];
    list.extend(machine.into_iter().flat_map(processors));
    list
}

fn processors(machine: &Machine) -> Vec<Operation> {
    let mut list = Vec::new();
    let mut path = PathBuf::from(SYSTEM);
    for name in ["devices", "system", "cpu"] {
        list.push(directory(&path, name.to_owned()));
        path.push(name);
    }
    for name in ["online", "possible", "present"] {
        list.push(file(&path, name, machine.cpu_list()));
    }
    list.extend((0..machine.cpus).map(|cpu| directory(&path, format!("cpu{cpu}"))));
    list
}

/// Returns the operation after which nothing can be put into `/sys`.
pub fn sealed_system() -> Operation {
    Operation::Attributes {
        target: PathBuf::from(SYSTEM),
        attributes: QUIET | Attribute::READ_ONLY,
    }
}

fn small(target: &str) -> Operation {
    Operation::Mount {
        filesystem: Filesystem::tmpfs(Some(1 << 20), "755", QUIET),
        target: PathBuf::from(target),
        optional: target != STAGE,
    }
}

fn directory(parent: &Path, name: String) -> Operation {
    Operation::Directory {
        parent: parent.to_owned(),
        name: OsString::from(name),
        mode: 0o755,
    }
}

fn file(parent: &Path, name: &str, content: String) -> Operation {
    Operation::File {
        parent: parent.to_owned(),
        name: OsString::from(name),
        mode: 0o444,
        content: content.into_bytes(),
    }
}
