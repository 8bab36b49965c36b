//! The files that tell of the machine → operations on the tree of mounts. Pure.
//!
//! They lie in a filesystem of their own below `/run`, which the step's `/run` then covers, and are
//! bound over those of the kernel.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::answer::{Answers, Machine, World};
use crate::init::{Attribute, Operation};

/// Where the files are made.
const STAGE: &str = "/run";

const QUIET: u64 = Attribute::NO_SET_UID | Attribute::NO_DEVICES | Attribute::NO_EXEC;

/// Returns the operations that show a machine in `/proc` and `/sys`, to be done before `/run` is
/// mounted.
pub fn operations(world: &World) -> Vec<Operation> {
    let mut files: Vec<(String, String)> = Vec::new();
    if let Some(machine) = &world.machine {
        let machines = machine.proc_files(world.epoch);
        files.extend(
            machines
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text)),
        );
    }
    if let Some(seed) = world.seed {
        let [boot, random] = Answers::uuids(seed);
        files.push(("sys/kernel/random/boot_id".to_owned(), boot));
        files.push(("sys/kernel/random/uuid".to_owned(), random));
    }
    if files.is_empty() {
        return Vec::new();
    }
    let mut list = vec![small(STAGE)];
    for (index, (name, content)) in files.into_iter().enumerate() {
        let staged = index.to_string();
        list.push(file(Path::new(STAGE), &staged, content));
        list.push(Operation::Rebind {
            source: Path::new(STAGE).join(staged),
            target: Path::new("/proc").join(name),
            attributes: QUIET | Attribute::READ_ONLY,
        });
    }
    list.extend(world.machine.iter().flat_map(system));
    list
}

/// `/sys`, with the processors in it and nothing else.
fn system(machine: &Machine) -> Vec<Operation> {
    let mut list = vec![small("/sys")];
    let mut path = PathBuf::from("/sys");
    for name in ["devices", "system", "cpu"] {
        list.push(directory(&path, name.to_owned()));
        path.push(name);
    }
    for name in ["online", "possible", "present"] {
        list.push(file(&path, name, machine.cpu_list()));
    }
    list.extend((0..machine.cpus).map(|cpu| directory(&path, format!("cpu{cpu}"))));
    list.push(Operation::Attributes {
        target: PathBuf::from("/sys"),
        attributes: QUIET | Attribute::READ_ONLY,
    });
    list
}

fn small(target: &str) -> Operation {
    Operation::Mount {
        kind: "tmpfs",
        target: PathBuf::from(target),
        parameters: vec![
            ("size", Some("1m".to_owned())),
            ("mode", Some("755".to_owned())),
        ],
        attributes: QUIET,
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
        content,
    }
}
