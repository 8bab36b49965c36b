//! What a container around us lets a supervisor do to its own children: tried out, not guessed.

use std::fmt;
use std::fs;
use std::io;

use serde::Serialize;

use crate::init::filter::assemble;
use crate::init::{
    self, FLAG_ASK, Launched, Message, OPENING_BARE, OPENING_PROBE, Opening, Plan, Stage, Standard,
};
use crate::sys::memory;
use crate::sys::trace::Stopped;

/// Something that a supervisor does, and that a container can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Being asked about system calls (seccomp user notification).
    Notify,
    /// Reading and writing the memory of a child.
    Memory,
    /// Stopping a thread of a child for a moment (ptrace).
    Trace,
    /// Fixing the layout of address spaces (personality).
    Layout,
}

/// Why a power was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PowerRefusal {
    /// A seccomp filter answers for the kernel.
    #[error("the seccomp profile of the container forbids it")]
    Profile,
    /// Somebody else is asked already: only one can be.
    #[error("the runtime of the container listens itself")]
    Listener,
    /// `kernel.yama.ptrace_scope` is 2 or 3.
    #[error("`kernel.yama.ptrace_scope` forbids it")]
    Yama,
    /// The kernel has no such thing, or is none of Linux.
    #[error("this kernel has no such thing")]
    Kernel,
    /// Nobody tried.
    #[error("nobody tried")]
    Untried,
    /// Something else; the number is the error.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

/// What a supervisor was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Supervision {
    /// Each power that it does not have, and why; sorted.
    pub refused: Vec<(Power, PowerRefusal)>,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Power::Notify => "being asked about system calls (seccomp user notification)",
            Power::Memory => {
                "writing to the memory of a child (`/proc/PID/mem`, process_vm_writev)"
            }
            Power::Trace => "stopping a child (ptrace)",
            Power::Layout => "fixing addresses (personality)",
        })
    }
}

impl Power {
    /// Returns what to do about a refusal, as one imperative sentence.
    pub fn remedy(self, refusal: PowerRefusal) -> &'static str {
        match (refusal, self) {
            (PowerRefusal::Yama, _) => {
                "set `kernel.yama.ptrace_scope` to 0 or 1 on the host, or add the capability \
                 SYS_PTRACE to the container"
            }
            (PowerRefusal::Listener, _) => {
                "start the container without `SCMP_ACT_NOTIFY` in its seccomp profile"
            }
            (PowerRefusal::Kernel, _) => "use a runtime whose containers run on Linux itself",
            (_, Power::Layout) => {
                "start the container with a seccomp profile that allows `personality` with any \
                 argument (docker, podman: `--security-opt seccomp=FILE` or `=unconfined`; \
                 Kubernetes: `seccompProfile`)"
            }
            _ => {
                "start the container with a seccomp profile that allows `seccomp`, `ptrace`, \
                 `process_vm_readv` and `process_vm_writev`, as the default ones do (docker, \
                 podman: `--security-opt seccomp=FILE`; Kubernetes: `seccompProfile: {type: \
                 RuntimeDefault}`)"
            }
        }
    }
}

impl Supervision {
    /// Tries everything out on a child that is made for it, which takes a millisecond or two.
    ///
    /// # Errors
    /// Fails if no child can be had.
    pub fn detect() -> io::Result<Supervision> {
        let opening = Opening {
            flags: OPENING_BARE | OPENING_PROBE,
            ..Opening::default()
        };
        let plan = Plan {
            flags: FLAG_ASK,
            personality: init::ADDR_NO_RANDOMIZE,
            filter: assemble(&[]),
            ..Plan::default()
        };
        let bytes = init::encode(&plan, &[]).expect("the plan has no foreign strings");
        let mut launched = init::launch(&opening)?;
        launched.go(&bytes, &Standard::default())?;
        let refused = look(&launched);
        let _ = rustix::net::shutdown(&launched.control, rustix::net::Shutdown::Both);
        launched.starter.wait()?;
        let mut refused = refused?;
        refused.sort_unstable_by_key(|(power, _)| *power);
        Ok(Supervision { refused })
    }

    /// Returns why a power was refused.
    pub fn refusal(&self, power: Power) -> Option<PowerRefusal> {
        let found = self.refused.iter().find(|(refused, _)| *refused == power);
        found.map(|(_, refusal)| *refusal)
    }
}

/// Hears what the child was refused, and tries what is done to it.
fn look(child: &Launched) -> io::Result<Vec<(Power, PowerRefusal)>> {
    let mut refused = Vec::new();
    loop {
        match child.receive()?.ok_or(io::ErrorKind::UnexpectedEof)? {
            Message::Ready => break,
            Message::Failed(Stage::Personality, errno, _) => {
                refused.push((Power::Layout, diagnose(errno)));
            }
            Message::Failed(Stage::NoNewPrivileges | Stage::Seccomp, errno, _) => {
                refused.push((Power::Notify, diagnose(errno)));
            }
            _ => {}
        }
    }
    let process = child.starter.id();
    let number = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    if let Err(error) = touch(process) {
        refused.push((Power::Memory, diagnose(number(error))));
    }
    if let Err(error) = Stopped::new(process) {
        refused.push((Power::Trace, diagnose(number(error))));
    }
    Ok(refused)
}

/// Reads and writes memory of a process in both ways that answers are given.
fn touch(process: u32) -> io::Result<()> {
    memory::open(process)?;
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let start = maps.split('-').next();
    let start = start.and_then(|text| u64::from_str_radix(text, 16).ok());
    let start = start.ok_or(io::ErrorKind::InvalidData)?;
    let mut word = [0; 8];
    memory::read(process, start, &mut word)?;
    match memory::write(process, start, &word) {
        // It is code: the kernel looked at the page, so it let us come that far.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        result => result,
    }
}

fn diagnose(errno: i32) -> PowerRefusal {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let scope = read("/proc/sys/kernel/yama/ptrace_scope");
    let filtered = || {
        let status = read("/proc/self/status");
        status.lines().any(|line| line == "Seccomp:\t2")
    };
    match errno {
        libc::EBUSY => PowerRefusal::Listener,
        libc::EPERM | libc::EACCES if matches!(scope.trim(), "2" | "3") => PowerRefusal::Yama,
        libc::EPERM | libc::EACCES | libc::ENOSYS if filtered() => PowerRefusal::Profile,
        libc::ENOSYS | libc::EINVAL => PowerRefusal::Kernel,
        other => PowerRefusal::Other(other),
    }
}
