//! A live sandbox: relaying signals and the terminal, and what became of the step.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use super::error::SandboxError;
use super::left::Left;
use super::policy::Orphans;
use super::started::Started;
use super::terminal::Relay;
use crate::answer::{Answers, Cpuid, Finding, Note};
use crate::host;
use crate::init::{Message, Operation, Stage, Standard, Used};
use crate::sys::processor::Alike;
use crate::sys::{SignalRelay, process_of, reap_others};

/// A live sandbox. It is killed, with everything in it, when this is dropped or when the process
/// that holds it dies, however it dies.
#[derive(Debug)]
pub struct Running {
    init: Started,
    relay: Option<SignalRelay>,
    answers: Answers,
    terminal: Option<Relay>,
    /// The supervisor's side of a terminal to come.
    own: Standard,
    subjects: Subjects,
    started: Instant,
    /// What init said last, if that was heard before anybody watched.
    early: Option<Report>,
}

/// A step that ended, with every process that it left behind. What the kernel still has to do is
/// take the mounts apart, which takes as long as all else at the end of a step: nobody has to wait for
/// it, unless what was mounted is to be unmounted on the host.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
    /// As in [`Outcome`].
    pub findings: Vec<Finding>,
    pid_1: Left,
}

/// What has to be known of a step while it runs, and what a failure can be about: init reports
/// numbers only.
#[derive(Debug)]
pub(super) struct Subjects {
    pub command: OsString,
    pub orphans: Orphans,
    /// Who must not die before the step does.
    pub parent: Option<OwnedFd>,
    pub rootfs: PathBuf,
    pub operations: Vec<Operation>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
    /// What it drew from sources of nondeterminism, sorted, if the policy wants that counted.
    pub findings: Vec<Finding>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// What a step and all its descendants used, init included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time from when init was told what to do to the end of the last process.
    pub wall: Duration,
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The largest resident set of a single process in bytes.
    pub max_rss: u64,
}

/// What init said last.
#[derive(Debug)]
enum Report {
    Exit(Exit, Usage),
    Failed(SandboxError),
}

impl Running {
    /// Takes over an init that has its plan.
    pub(super) fn new(
        init: Started,
        own: Standard,
        relay: Option<SignalRelay>,
        answers: Answers,
        subjects: Subjects,
    ) -> Running {
        Running {
            init,
            relay,
            answers,
            terminal: None,
            own,
            subjects,
            started: Instant::now(),
            early: None,
        }
    }

    /// Returns whether the instruction CPUID tells of the policy's machine.
    pub fn cpuid(&self) -> Cpuid {
        self.answers.cpuid()
    }

    /// Returns the process id, as this process has it, of the step's pid 1: with it goes everything
    /// that the step started. Waits until there is one; there is none when the sandbox cannot be had.
    ///
    /// # Errors
    /// Fails if the sandbox cannot be heard.
    pub fn process(&mut self) -> io::Result<Option<u32>> {
        while self.init.child.is_none() && self.early.is_none() {
            let Some(message) = self.init.launched.receive()? else {
                break;
            };
            let mut report = None;
            self.handle(message, &mut report)?;
            self.early = report;
        }
        Ok(self
            .init
            .child
            .as_ref()
            .and_then(|child| process_of(child.as_fd())))
    }

    /// Sends a signal to the step.
    ///
    /// # Errors
    /// Fails if the sandbox is gone.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.init.launched.order(signal, false)
    }

    /// Waits for the step to end, forwarding signals and relaying the terminal meanwhile.
    ///
    /// # Errors
    /// [`SandboxError::CommandNotFound`] and [`SandboxError::CommandNotExecutable`] if the step
    /// could not be executed; otherwise what kept the sandbox from being set up or watched.
    pub fn wait(self) -> Result<Outcome, SandboxError> {
        self.watch(&mut drop)
    }

    /// As [`Running::wait`], and tells what the user should know, as soon as it is known.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn watch(self, tell: &mut dyn FnMut(Note)) -> Result<Outcome, SandboxError> {
        self.watch_step(tell)?.outcome()
    }

    /// As [`Running::watch`], but returns when no process of the step is left.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn watch_step(mut self, tell: &mut dyn FnMut(Note)) -> Result<Ended, SandboxError> {
        let supervise = |source| SandboxError::Supervise { source };
        let mut report = self.early.take();
        let mut alike = self.alike();
        while report.is_none() && self.turn(&mut report).map_err(supervise)? {
            let notes = self.answers.notes();
            if !notes.is_empty() {
                // Theirs is not our code.
                drop(alike);
                notes.into_iter().for_each(&mut *tell);
                alike = self.alike();
            }
        }
        drop(alike);
        self.answers.notes().into_iter().for_each(tell);
        let (exit, usage) = match report {
            Some(Report::Exit(exit, usage)) => (exit, usage),
            Some(Report::Failed(error)) => return Err(error),
            None => return Err(SandboxError::Killed),
        };
        // What started pid 1 tells of it, and may come to that only when a short step has ended.
        let child = self.init.child_told().map_err(supervise)?;
        let child = child.ok_or(SandboxError::Killed)?;
        self.init.ended = true;
        // Whoever held the step's terminal is gone now, so this comes to an end.
        if let Some(terminal) = self.terminal.take() {
            terminal.finish();
        }
        Ok(Ended {
            exit,
            usage,
            findings: self.answers.findings(),
            pid_1: Left::new(child),
        })
    }

    fn usage(&self, used: Used) -> Usage {
        const KIBIBYTE: u64 = 1024;
        Usage {
            wall: self.started.elapsed(),
            user: Duration::from_micros(used.user),
            system: Duration::from_micros(used.system),
            max_rss: used.max_rss * KIBIBYTE,
        }
    }

    /// Makes this thread be as the step's are, so that going from one to the other is cheap.
    fn alike(&self) -> Option<Alike> {
        (self.cpuid() == Cpuid::Held).then(Alike::begin).flatten()
    }

    /// Waits for something to happen and handles it. Returns whether there is more to come.
    fn turn(&mut self, report: &mut Option<Report>) -> io::Result<bool> {
        let interests = self
            .terminal
            .as_ref()
            .map(Relay::interests)
            .unwrap_or_default();
        let mut events = Vec::with_capacity(5);
        events.push(PollFd::new(&self.init.launched.control, PollFlags::IN));
        events.extend(self.terminal.iter().flat_map(|terminal| {
            let event = |&(side, flags)| PollFd::from_borrowed_fd(terminal.descriptor(side), flags);
            interests.iter().map(event)
        }));
        let signals = events.len();
        events.extend(
            self.relay
                .iter()
                .map(|relay| PollFd::new(relay, PollFlags::IN)),
        );
        let parent = events.len();
        events.extend(
            self.subjects
                .parent
                .iter()
                .map(|parent| PollFd::new(parent, PollFlags::IN)),
        );
        let asked = events.len();
        for (descriptor, flags) in self.answers.interests() {
            events.push(PollFd::from_borrowed_fd(descriptor, flags));
        }
        match poll(&mut events, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<PollFlags> = events.iter().map(PollFd::revents).collect();
        drop(events);
        if let Some(terminal) = &mut self.terminal {
            for ((side, _), flags) in interests.into_iter().zip(&happened[1..]) {
                terminal.move_bytes(side, *flags)?;
            }
        }
        if happened[parent..asked].iter().any(|it| !it.is_empty()) {
            *report = Some(Report::Failed(SandboxError::ParentGone));
            return Ok(false);
        }
        if happened[signals..parent].iter().any(|it| !it.is_empty()) {
            self.forward_signals()?;
        }
        self.answers.happened(&happened[asked..])?;
        if happened[0].is_empty() {
            return Ok(true);
        }
        match self.init.launched.receive()? {
            None => return Ok(false),
            Some(message) => self.handle(message, report)?,
        }
        Ok(report.is_none())
    }

    fn handle(&mut self, message: Message, report: &mut Option<Report>) -> io::Result<()> {
        match message {
            Message::Child(child) => self.init.child = Some(child),
            Message::Listener(listener) => self.answers.listen(listener),
            Message::Random(device) => self.answers.supply(device)?,
            Message::Terminal(master) => {
                let own = std::mem::take(&mut self.own);
                self.terminal = Some(Relay::new(master, own.input, own.output)?);
            }
            Message::Failed(stage, errno, index) => {
                *report = Some(Report::Failed(self.setup_error(stage, errno, index)));
            }
            Message::ExecFailed { errno, exists } => {
                let name = self.subjects.command.clone();
                *report = Some(Report::Failed(match exists {
                    true => SandboxError::CommandNotExecutable { name, errno },
                    false => SandboxError::CommandNotFound { name },
                }));
            }
            Message::Exited { code, status, used } => {
                let exit = match i32::try_from(code) {
                    Ok(libc::CLD_EXITED) => Exit::Code(status as u8),
                    _ => Exit::Signal(status),
                };
                *report = Some(Report::Exit(exit, self.usage(used)));
            }
            Message::Ready => {}
        }
        Ok(())
    }

    fn setup_error(&self, stage: Stage, errno: i32, index: usize) -> SandboxError {
        let denied = errno == libc::EPERM || errno == libc::EACCES || errno == libc::ENOSPC;
        let entering = matches!(
            stage,
            Stage::UserNamespace | Stage::IdentityMaps | Stage::Namespaces
        );
        if denied && entering {
            return SandboxError::UserNamespace {
                reason: host::diagnose_refusal(stage, errno),
            };
        }
        if (stage, errno) == (Stage::Namespaces, libc::EINVAL) {
            let found = "not all of them".to_owned();
            return SandboxError::Unsupported {
                need: "all kinds of namespaces",
                found,
            };
        }
        let operation = self
            .subjects
            .operations
            .get(index)
            .filter(|_| stage == Stage::Mounts);
        let is_proc = |it: &Operation| matches!(it, Operation::Mount { filesystem, .. } if filesystem.kind == "proc");
        if operation.is_some_and(is_proc) && errno == libc::EPERM {
            return SandboxError::ProcCovered;
        }
        if let (Some(path), libc::ENOENT) = (operation.and_then(Operation::mount_point), errno) {
            let (rootfs, path) = (self.subjects.rootfs.clone(), path.to_owned());
            return SandboxError::MountPoint { rootfs, path };
        }
        let subject = operation.map(ToString::to_string);
        let source = io::Error::from_raw_os_error(errno);
        SandboxError::Setup {
            stage,
            subject,
            source,
        }
    }

    /// Reaps what this process got as pid 1.
    fn reap_orphans(&mut self) -> io::Result<()> {
        // It ends early, and would stand before the others.
        let _ = self.init.launched.starter.try_wait()?;
        let ours = self
            .init
            .child
            .as_ref()
            .and_then(|child| process_of(child.as_fd()));
        let ours = [Some(self.init.launched.starter.id()), ours];
        reap_others(&ours.map(Option::unwrap_or_default))
    }

    fn forward_signals(&mut self) -> io::Result<()> {
        while let Some(caught) = self.relay.as_ref().map_or(Ok(None), SignalRelay::take)? {
            if caught.signal == libc::SIGCHLD {
                if self.subjects.orphans == Orphans::Reap {
                    self.reap_orphans()?;
                }
                continue;
            }
            if caught.signal == libc::SIGWINCH
                && let Some(terminal) = &self.terminal
            {
                // The kernel sends the signal inside when the size changes.
                terminal.resize()?;
                continue;
            }
            // An error says that the sandbox is gone, which the socket will tell.
            let _ = self
                .init
                .launched
                .order(caught.signal, caught.from_terminal);
            if caught.signal == libc::SIGTSTP {
                self.stop_self()?;
            }
        }
        Ok(())
    }

    /// Stops this process as the terminal wanted, and goes on when it is continued; the step hears
    /// of that by the forwarded SIGCONT.
    fn stop_self(&self) -> io::Result<()> {
        if let Some(terminal) = &self.terminal {
            terminal.suspend();
        }
        kill_process(getpid(), Signal::STOP)?;
        self.terminal.as_ref().map_or(Ok(()), Relay::resume)
    }
}

impl Ended {
    /// Waits until nothing of the sandbox is left and returns what became of the step.
    ///
    /// # Errors
    /// [`SandboxError::Supervise`] if pid 1 cannot be waited for.
    pub fn outcome(self) -> Result<Outcome, SandboxError> {
        let gone = self.pid_1.wait();
        gone.map_err(|source| SandboxError::Supervise { source })?;
        Ok(Outcome {
            exit: self.exit,
            usage: self.usage,
            findings: self.findings,
        })
    }
}

#[cfg(test)]
mod tests;
