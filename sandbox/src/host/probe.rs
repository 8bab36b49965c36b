//! Trying out, in a child, what no file tells: user namespaces and mounts in them.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use super::user_namespace::{UserNamespace, UserNamespaceRefusal, diagnose_refusal};
use crate::init::{
    self, Attribute, Filesystem, Held, Message, OPENING_PROBE, Opening, Operation, Plan, Stage,
    Standard,
};
use crate::sys::wait_child;

/// What a probe found.
pub struct Findings {
    pub user_namespace: UserNamespace,
    pub proc_mount: Option<bool>,
    pub overlay: Option<bool>,
}

/// Runs the probes. Each is an init that stops before it would start a step.
pub fn probe() -> Findings {
    let (user_namespace, proc_mount) = match run(vec![mount("proc", Path::new("/proc"))]) {
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
        overlay: Some(run(overlay_on_tmpfs()).is_ok()),
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

/// An overlay of three directories on a tmpfs, which covers `/dev` for the probe alone.
fn overlay_on_tmpfs() -> Vec<Operation> {
    let place = PathBuf::from("/dev");
    let mut list = vec![mount("tmpfs", &place)];
    let names = ["lower", "upper", "work"];
    list.extend(names.map(|name| Operation::Directory {
        parent: place.clone(),
        name: OsString::from(name),
        mode: 0o755,
    }));
    let sources = names.map(|name| Held::Guest(place.join(name)));
    list.extend(init::overlay(sources, &place.join("lower")));
    list
}

fn mount(kind: &'static str, target: &Path) -> Operation {
    Operation::Mount {
        filesystem: Filesystem {
            kind,
            parameters: Vec::new(),
            attributes: Attribute::NO_SET_UID,
        },
        target: target.to_owned(),
        optional: false,
    }
}

enum Failure {
    Stage(Stage, i32),
    Start(i32),
}

fn run(operations: Vec<Operation>) -> Result<(), Failure> {
    let start = |error: std::io::Error| Failure::Start(error.raw_os_error().unwrap_or(libc::EIO));
    // The host name can be set only in an uts namespace of one's own.
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS;
    let opening = Opening {
        flags: OPENING_PROBE,
        namespaces: u64::from(namespaces.unsigned_abs()),
        uid_map: format!("0 {} 1\n", geteuid().as_raw()),
        gid_map: format!("0 {} 1\n", getegid().as_raw()),
        ..Opening::default()
    };
    let plan = Plan {
        hostname: "probe".to_owned(),
        rootfs: PathBuf::from("/"),
        operations,
        ..Plan::default()
    };
    let bytes = init::encode(&plan, &[]).expect("the plan has no foreign strings");
    let mut launched = init::launch(&opening).map_err(start)?;
    launched.go(&bytes, &Standard::default()).map_err(start)?;
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
        wait_child(child.as_fd()).map_err(start)?;
    }
    launched.starter.wait().map_err(start)?;
    result
}
