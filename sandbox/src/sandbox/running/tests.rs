//! What init says may come in any order, and be its last word.

use std::mem::MaybeUninit;
use std::process::Command;
use std::time::Instant;

use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::*;
use crate::answer::World;
use crate::init::wire::{REPORT_CHILD, REPORT_EXITED};
use crate::init::{Launched, OPENING_BARE, Opening};
use crate::sandbox::started::Offsets;

/// The far end of a supervisor's socket, which a test plays, and the supervisor.
fn supervised() -> (OwnedFd, Running) {
    let kind = SocketType::SEQPACKET;
    let (control, far) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    let starter = Command::new("true").spawn().unwrap();
    let opening = Opening {
        flags: OPENING_BARE,
        ..Opening::default()
    };
    let running = Running {
        init: Started::new(Launched { control, starter }, opening, Offsets::default()),
        relay: None,
        answers: Answers::new(World::default()).unwrap(),
        terminal: None,
        own: Standard::default(),
        subjects: Subjects {
            command: "step".into(),
            orphans: Orphans::Leave,
            parent: None,
            rootfs: PathBuf::new(),
            operations: Vec::new(),
        },
        started: Instant::now(),
        early: None,
    };
    (far, running)
}

fn say(far: &OwnedFd, words: [u32; 4], child: Option<&OwnedFd>) {
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let rights = child.map(|child| [child.as_fd()]);
    if let Some(rights) = &rights {
        ancillary.push(SendAncillaryMessage::ScmRights(rights));
    }
    let flags = SendFlags::empty();
    sendmsg(far, &[IoSlice::new(&bytes)], &mut ancillary, flags).unwrap();
}

/// Says that the step ended well, and only then what pid 1 was.
#[expect(
    clippy::zombie_processes,
    reason = "the supervisor waits for it, by its descriptor"
)]
fn tell_late(far: &OwnedFd) {
    let pid_1 = Command::new("true").spawn().unwrap();
    let pid_1 = pidfd_open(Pid::from_child(&pid_1), PidfdFlags::empty()).unwrap();
    let exited = libc::CLD_EXITED as u32;
    say(far, [REPORT_EXITED, 0, 7, exited], None);
    say(far, [REPORT_CHILD, 0, 0, 0], Some(&pid_1));
}

#[test]
fn a_step_may_end_before_its_pid_1_is_told_of() {
    let (far, running) = supervised();
    tell_late(&far);
    assert_eq!(running.wait().unwrap().exit, Exit::Code(7));
}

#[test]
fn an_order_that_nobody_reads_any_more_does_not_hide_how_the_step_ended() {
    let (far, running) = supervised();
    tell_late(&far);
    running.signal(libc::SIGTERM).unwrap();
    drop(far);
    assert_eq!(running.wait().unwrap().exit, Exit::Code(7));
}

#[test]
fn a_sandbox_that_says_nothing_was_killed() {
    let (far, running) = supervised();
    drop(far);
    let error = running.wait().unwrap_err();
    assert!(matches!(error, SandboxError::Killed), "{error}");
}
