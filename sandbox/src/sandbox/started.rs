//! Init from its start to its end, and starting it before anything is known of the step.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getegid, geteuid, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use super::left::reap_left;
use super::policy::{Isolation, Network, Policy};
use super::spawn::operations;
use crate::init::{
    self, Filesystem, Launched, Message, OPENING_BARE, OPENING_LOOPBACK, Opening, Operation,
};
use crate::sys::{read_proc_text, wait_child};

/// Every namespace but the user namespace, which init makes first, and the network's.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP
    | CLONE_NEWTIME;

/// Missing from libc.
const CLONE_NEWTIME: i32 = 0x80;

/// How old a head start may be. The clocks of a sandbox begin with its time namespace, and a step
/// must not see in them what was built or downloaded before it.
const FRESH: Duration = Duration::from_millis(250);

/// Namespaces that are made while a policy and a step are still being read, for the first sandbox
/// that can use them. Without one they are made when the step is started, while nothing else is done.
///
/// Dropping it ends what was started.
#[derive(Debug)]
pub struct HeadStart(JoinHandle<io::Result<Started>>);

impl HeadStart {
    /// Starts to make the namespaces, and the filesystems, of a step that is likely to have this policy.
    /// They serve if network, users, isolation and sizes are the same in the end. `None` if it cannot be
    /// done: starting a step says why.
    pub fn begin(policy: &Policy) -> Option<HeadStart> {
        let policy = policy.clone();
        // In a thread, because who starts a process stands still until that has its program.
        let begin = move || Started::begin(&policy, ready_made(&operations(&policy, &[], &[])));
        let thread = thread::Builder::new().spawn(begin);
        thread.ok().map(HeadStart)
    }

    fn started(self) -> Option<Started> {
        self.0.join().ok()?.ok()
    }
}

/// A started init. It is ended, with everything in its sandbox, when this is dropped.
#[derive(Debug)]
pub(super) struct Started {
    pub launched: Launched,
    /// Pid 1, once it exists.
    pub child: Option<OwnedFd>,
    pub offsets: Offsets,
    opening: Opening,
    at: Instant,
    /// Whether nothing is left to be ended.
    pub ended: bool,
}

impl Started {
    /// Starts init for a policy, and lets it make these filesystems before it has a plan.
    fn begin(policy: &Policy, made: Vec<Filesystem>) -> io::Result<Started> {
        reap_left();
        let offsets = Offsets::now();
        let opening = opening(policy, &offsets, made);
        let launched = init::launch(&opening)?;
        Ok(Started::new(launched, opening, offsets))
    }

    /// As [`Started::begin`], but takes a head start if there is one that will do.
    pub fn take(
        head_start: Option<HeadStart>,
        policy: &Policy,
        made: Vec<Filesystem>,
    ) -> io::Result<Started> {
        let early = head_start.and_then(HeadStart::started);
        match early.filter(|early| early.serves(policy, &made) && early.at.elapsed() < FRESH) {
            Some(early) => Ok(early),
            None => Started::begin(policy, made),
        }
    }

    /// Takes over an init that was launched on this opening.
    pub fn new(launched: Launched, opening: Opening, offsets: Offsets) -> Started {
        Started {
            launched,
            child: None,
            offsets,
            opening,
            at: Instant::now(),
            ended: false,
        }
    }

    fn serves(&self, policy: &Policy, made: &[Filesystem]) -> bool {
        opening(policy, &self.offsets, made.to_vec()) == self.opening
    }

    /// Returns what init makes beforehand.
    pub fn made(&self) -> &[Filesystem] {
        &self.opening.made
    }

    /// Waits until pid 1 was told of, whatever else is told meanwhile; `None` if it never is.
    pub fn child_told(&mut self) -> io::Result<Option<OwnedFd>> {
        while self.child.is_none()
            && let Some(message) = self.launched.receive()?
        {
            if let Message::Child(child) = message {
                self.child = Some(child);
            }
        }
        Ok(self.child.take())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.ended {
            let _ = self.launched.starter.wait();
            return;
        }
        // After a failure pid 1 may be gone and the socket at its end. Otherwise pid 1 sees the
        // shutdown or is killed: it has to exist before we can reap it, and its pidfd is then the
        // next message but one or two.
        let _ = rustix::net::shutdown(&self.launched.control, rustix::net::Shutdown::Write);
        if let Ok(Some(child)) = self.child_told() {
            if self.opening.flags & OPENING_BARE == 0 {
                let _ = pidfd_send_signal(&child, Signal::KILL);
            }
            // Without a pid namespace it has to live to kill the rest, and ends then.
            let _ = wait_child(child.as_fd());
        }
        let _ = self.launched.starter.wait();
    }
}

/// Returns the filesystems of these operations that a step gets whatever its paths are. They are made
/// first with a head start and without: `/proc/self/mountinfo` lists them in the order they were made in.
pub(super) fn ready_made(operations: &[Operation]) -> Vec<Filesystem> {
    // What the rootfs lacks is laid under it before.
    let under = |it: &Operation| matches!(it, Operation::Root { .. });
    let own = operations.rsplit(under).next().unwrap_or_default();
    let made = own.iter().filter_map(|it| match it {
        // What covers an entry of `/proc` has nothing to cover on most hosts.
        Operation::Mount {
            target,
            optional: true,
            ..
        } if target.starts_with("/proc") => None,
        Operation::Mount { filesystem, .. } if filesystem.kind != "overlay" => {
            Some(filesystem.clone())
        }
        _ => None,
    });
    made.collect()
}

/// What init is told first.
fn opening(policy: &Policy, offsets: &Offsets, made: Vec<Filesystem>) -> Opening {
    if policy.isolation == Isolation::None {
        return Opening {
            flags: OPENING_BARE,
            ..Opening::default()
        };
    }
    let (mut flags, mut namespaces) = (0, NAMESPACES);
    if policy.network != Network::Host {
        namespaces |= libc::CLONE_NEWNET;
        flags |= OPENING_LOOPBACK;
    }
    Opening {
        flags,
        namespaces: u64::from(namespaces.unsigned_abs()),
        uid_map: format!("{} {} 1\n", policy.uid, geteuid().as_raw()),
        gid_map: format!("{} {} 1\n", policy.gid, getegid().as_raw()),
        clock_offsets: offsets.text(),
        made,
    }
}

/// The offsets that let both clocks of the time namespace start at zero, in nanoseconds, and what the
/// wall clock showed then, in seconds and nanoseconds.
///
/// The kernel wants them relative to the host's clocks, while we may be in a time namespace
/// ourselves: then our own offsets are part of what we read.
#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {
    pub monotonic: i128,
    boottime: i128,
    pub own_monotonic: i128,
    pub wall: (i64, u32),
}

impl Offsets {
    pub fn now() -> Offsets {
        let own = read_proc_text("/proc/self/timens_offsets").unwrap_or_default();
        let offset = |clock, name| {
            let now = clock_gettime(clock);
            own_offset(&own, name) - i128::from(now.tv_sec) * NANOSECONDS - i128::from(now.tv_nsec)
        };
        let wall = clock_gettime(ClockId::Realtime);
        Offsets {
            monotonic: offset(ClockId::Monotonic, "monotonic"),
            boottime: offset(ClockId::Boottime, "boottime"),
            own_monotonic: own_offset(&own, "monotonic"),
            wall: (wall.tv_sec, wall.tv_nsec as u32),
        }
    }

    /// The text for `/proc/self/timens_offsets`.
    fn text(&self) -> String {
        [("monotonic", self.monotonic), ("boottime", self.boottime)]
            .map(|(name, offset)| {
                let seconds = offset.div_euclid(NANOSECONDS);
                format!("{name} {seconds} {}\n", offset.rem_euclid(NANOSECONDS))
            })
            .concat()
    }
}

const NANOSECONDS: i128 = 1_000_000_000;

fn own_offset(text: &str, clock: &str) -> i128 {
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        if fields.next()? != clock {
            return None;
        }
        let seconds: i128 = fields.next()?.parse().ok()?;
        let nanoseconds: i128 = fields.next()?.parse().ok()?;
        Some(seconds * NANOSECONDS + nanoseconds)
    };
    text.lines().find_map(parse).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::{HeadStart, Started, own_offset};
    use crate::init::Message;
    use crate::sandbox::policy::{Network, Policy};

    #[test]
    fn a_head_start_serves_a_policy_of_the_same_namespaces() {
        let policy = Policy::default();
        let started = Started::begin(&policy, Vec::new()).unwrap();
        assert!(started.serves(&policy, &[]));
        let other = Policy {
            hostname: "other".to_owned(),
            ..policy.clone()
        };
        assert!(started.serves(&other, &[]));
        let network = Policy {
            network: Network::Host,
            ..policy.clone()
        };
        assert!(!started.serves(&network, &[]));
        let user = Policy { uid: 7, ..policy };
        assert!(!started.serves(&user, &[]));
    }

    #[test]
    fn what_a_head_start_began_ends_with_it() {
        let head_start = HeadStart::begin(&Policy::default()).unwrap();
        let mut started = head_start.started().unwrap();
        let child = match started.launched.receive() {
            Ok(Some(Message::Child(child))) => child,
            other => panic!("{other:?}"),
        };
        let process = crate::sys::process_of(child.as_fd()).unwrap();
        started.child = Some(child);
        drop(started);
        let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
        assert!(pidfd_open(process, PidfdFlags::empty()).is_err());
    }

    #[test]
    fn own_offsets_are_read() {
        let text = "monotonic         -12  500000000\nboottime            3         0\n";
        assert_eq!(own_offset(text, "monotonic"), -11_500_000_000);
        assert_eq!(own_offset(text, "boottime"), 3_000_000_000);
        assert_eq!(own_offset("", "boottime"), 0);
    }
}
