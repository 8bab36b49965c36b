//! Trying out, in a child, what no file tells: user namespaces and mounts in them.

use std::ffi::OsString;
use std::path::PathBuf;

use rustix::process::{getegid, geteuid};

use super::user_namespace::{UserNamespace, UserNamespaceRefusal, diagnose_refusal};
use crate::init::{
    self, Attribute, FLAG_PROBE, HELD, Held, Message, Operation, Plan, Stage, Standard,
};
use crate::sys::wait_child;

/// What a probe found.
pub struct Findings {
    pub user_namespace: UserNamespace,
    pub proc_mount: Option<bool>,
    pub overlay: Option<bool>,
}

/// Where the probe mounts. Every Linux system has the directory, and only the probe sees it.
const PLACE: &str = "/proc";

/// Runs the probes. Each is an init that stops before it would start a step.
pub fn probe() -> Findings {
    let proc = Operation::Mount {
        kind: "proc",
        target: PathBuf::from(PLACE),
        parameters: Vec::new(),
        attributes: Attribute::NO_SET_UID,
        optional: false,
    };
    let (user_namespace, proc_mount) = match run(vec![proc]) {
        Ok(()) => (UserNamespace::Available, Some(true)),
        Err(Failure::Stage(Stage::Mounts | Stage::Rootfs, _)) => {
            (UserNamespace::Available, Some(false))
        }
        Err(Failure::Stage(stage, errno)) => {
            return Findings::refused(diagnose_refusal(stage, errno));
        }
        Err(Failure::Start(errno)) => return Findings::refused(UserNamespaceRefusal::Other(errno)),
    };
    Findings {
        user_namespace,
        proc_mount,
        overlay: Some(run(overlay()).is_ok()),
    }
}

impl Findings {
    fn refused(reason: UserNamespaceRefusal) -> Findings {
        Findings {
            user_namespace: UserNamespace::Refused { reason },
            proc_mount: None,
            overlay: None,
        }
    }
}

/// An overlay of three directories on a tmpfs, which is covered only for the probe. The tmpfs
/// cannot lie on `/proc`: the overlay's directories are named through it.
fn overlay() -> Vec<Operation> {
    let place = PathBuf::from("/dev");
    let mut list = vec![Operation::Mount {
        kind: "tmpfs",
        target: place.clone(),
        parameters: Vec::new(),
        attributes: Attribute::NO_SET_UID,
        optional: false,
    }];
    for ((descriptor, _), name) in HELD.into_iter().zip(["lower", "upper", "work"]) {
        let parent = place.clone();
        list.push(Operation::Directory {
            parent,
            name: OsString::from(name),
            mode: 0o755,
        });
        let source = Held::Guest(place.join(name));
        list.push(Operation::Hold { source, descriptor });
    }
    let [(_, lower), (_, upper), (_, work)] = HELD.map(|(number, path)| (number, path.to_owned()));
    list.push(Operation::Mount {
        kind: "overlay",
        target: place.join("lower"),
        parameters: vec![
            ("lowerdir", Some(lower)),
            ("upperdir", Some(upper)),
            ("workdir", Some(work)),
            ("userxattr", None),
        ],
        attributes: Attribute::NO_SET_UID,
        optional: false,
    });
    list
}

enum Failure {
    Stage(Stage, i32),
    Start(i32),
}

fn run(operations: Vec<Operation>) -> Result<(), Failure> {
    let start = |error: std::io::Error| Failure::Start(error.raw_os_error().unwrap_or(libc::EIO));
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    let plan = Plan {
        flags: FLAG_PROBE,
        namespaces: u64::from(namespaces.unsigned_abs()),
        uid_map: format!("0 {} 1\n", geteuid().as_raw()),
        gid_map: format!("0 {} 1\n", getegid().as_raw()),
        hostname: "probe".to_owned(),
        rootfs: PathBuf::from("/"),
        operations,
        ..Plan::default()
    };
    // Without an uts namespace of its own the probe may not set the host name.
    let plan = Plan {
        namespaces: plan.namespaces | u64::from(libc::CLONE_NEWUTS.unsigned_abs()),
        ..plan
    };
    let bytes = init::encode(&plan).expect("the plan has no foreign strings");
    let mut launched = init::launch(&bytes, Standard::default()).map_err(start)?;
    let mut result = Err(Failure::Start(libc::ECHILD));
    let mut child = None;
    while let Some(message) = launched.receive().map_err(start)? {
        match message {
            Message::Ready => result = Ok(()),
            Message::Failed(stage, errno, _) => result = Err(Failure::Stage(stage, errno)),
            Message::Child(pidfd) => child = Some(pidfd),
            _ => {}
        }
    }
    if let Some(child) = child {
        wait_child(std::os::fd::AsFd::as_fd(&child)).map_err(start)?;
    }
    launched.starter.wait().map_err(start)?;
    result
}
