//! `/dev/urandom` and `/dev/random`.
//!
//! Comes in: a call that opens a file to read. Goes out, if the file is a random device: a pipe of
//! its own for who called, filled from a stream that only its process and the number of such opens
//! decide. So what is read does not depend on the order in which processes run.
//!
//! A filter does not see paths, so all opens of the kind have to be asked about. Those with
//! `O_CLOEXEC` are ten times as many as the others in a step of Python's, and hardly any of them
//! opens a device; they are asked about only if the step pays for its files' status anyway. Who is
//! not asked about shares the FIFO that lies in `/dev`, in the order of reading; so does who uses
//! `openat2` or another name than the device's, and everybody before Linux 5.14.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::RngCore;
use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::entropy::Entropy;
use super::status::lookup::{Home, Target, device_and_number};
use crate::init::filter::{Rule, Test, Verdict};
use crate::sys::notify::{self, Answer, Notification};

/// Opens that are for something else.
const OTHERWISE: i32 = libc::O_WRONLY
    | libc::O_RDWR
    | libc::O_CREAT
    | libc::O_TRUNC
    | libc::O_DIRECTORY
    | libc::O_PATH;

/// The random devices of a sandbox.
#[derive(Debug)]
pub struct Devices {
    /// The FIFO of those who are not asked about.
    shared: Source,
    /// The FIFO's device and inode number.
    fifo: (u64, u64),
    /// Whether opens with `O_CLOEXEC` are asked about.
    all: bool,
    own: Vec<Source>,
}

/// The writing end of a pipe, and what goes into it.
#[derive(Debug)]
struct Source {
    end: OwnedFd,
    stream: ChaCha20Rng,
    /// What did not fit.
    rest: Vec<u8>,
}

/// Returns the rules by which we are asked.
pub fn rules(all: bool) -> [Rule; 2] {
    [(libc::SYS_open, 1), (libc::SYS_openat, 2)].map(|(call, flags)| Rule {
        call,
        tests: vec![Test::None(flags, otherwise(all) as u32)],
        verdict: Verdict::Ask,
    })
}

fn otherwise(all: bool) -> i32 {
    OTHERWISE | if all { 0 } else { libc::O_CLOEXEC }
}

impl Devices {
    /// Takes over the FIFO.
    ///
    /// # Errors
    /// Passes on what the kernel says of it.
    pub fn new(fifo: OwnedFd, all: bool, entropy: &Entropy) -> io::Result<Devices> {
        Ok(Devices {
            fifo: device_and_number(fifo.as_fd())?,
            shared: Source::new(fifo, entropy.named("device")),
            all,
            own: Vec::new(),
        })
    }

    /// Whether a call opens something that may be a random device.
    pub fn asks(&self, call: &Notification) -> bool {
        flags(call).is_some_and(|flags| flags & otherwise(self.all) == 0)
    }

    /// Answers a call that opens something.
    ///
    /// # Errors
    /// Passes on what the kernel says of the listener.
    pub fn open(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        entropy: &mut Entropy,
    ) -> io::Result<()> {
        if !self.is_meant(call).unwrap_or(false) {
            return notify::answer(listener, call.id, Answer::Continue).map(drop);
        }
        let (process, stream) = entropy.device(call.thread);
        let flags = flags(call).unwrap_or_default();
        let given = pipe(stream, flags).and_then(|(end, source)| {
            let close_on_exec = flags & libc::O_CLOEXEC != 0;
            let given = notify::give(listener, call.id, end.as_fd(), close_on_exec)?;
            Ok(given.then_some(source))
        });
        match given {
            Ok(Some(source)) => {
                entropy.opened(process);
                self.own.push(source);
                Ok(())
            }
            Ok(None) => Ok(()),
            // Too many descriptors, on either side, or a kernel that cannot.
            Err(_) => notify::answer(listener, call.id, Answer::Continue).map(drop),
        }
    }

    /// Whether a call opens the FIFO, by its name.
    fn is_meant(&self, call: &Notification) -> io::Result<bool> {
        let target = Target::opened(call)?;
        if !target.path().as_os_str().as_bytes().ends_with(b"random") {
            return Ok(false);
        }
        let found = Home::of(call.thread)?.find(call.thread, &target)?;
        Ok(device_and_number(found.descriptor()?.as_fd())? == self.fifo)
    }

    /// What to poll, and for what.
    pub fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let all = std::iter::once(&self.shared).chain(&self.own);
        all.map(|source| (source.end.as_fd(), PollFlags::OUT))
    }

    /// Handles what was polled, in the same order.
    ///
    /// # Errors
    /// Passes on what the kernel says of the FIFO.
    pub fn happened(&mut self, flags: &[PollFlags]) -> io::Result<()> {
        let Some((shared, own)) = flags.split_first() else {
            return Ok(());
        };
        if shared.contains(PollFlags::OUT) {
            self.shared.fill()?;
        }
        let mut own = own.iter();
        self.own.retain_mut(|source| match own.next() {
            // Nobody has the other end any more.
            Some(flags) if flags.contains(PollFlags::ERR) => false,
            Some(flags) if flags.contains(PollFlags::OUT) => source.fill().is_ok(),
            _ => true,
        });
        Ok(())
    }
}

impl Source {
    fn new(end: OwnedFd, stream: ChaCha20Rng) -> Source {
        // A page: few steps read it at all.
        let _ = fcntl_setpipe_size(&end, 4096);
        Source {
            end,
            stream,
            rest: Vec::new(),
        }
    }

    /// Writes what fits.
    fn fill(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            self.rest = vec![0; 4096];
            self.stream.fill_bytes(&mut self.rest);
        }
        match rustix::io::write(&self.end, &self.rest) {
            Ok(count) => drop(self.rest.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Makes a pipe with a stream in it, for a call that opens with these flags.
fn pipe(stream: ChaCha20Rng, flags: i32) -> io::Result<(OwnedFd, Source)> {
    let (end, ours) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    if flags & libc::O_NONBLOCK == 0 {
        fcntl_setfl(&end, OFlags::empty())?;
    }
    let mut source = Source::new(ours, stream);
    // Before somebody reads who would not wait.
    source.fill()?;
    Ok((end, source))
}

/// The flags of a call that opens a file.
fn flags(call: &Notification) -> Option<i32> {
    match i64::from(call.call) {
        libc::SYS_open => Some(call.arguments[1] as i32),
        libc::SYS_openat => Some(call.arguments[2] as i32),
        _ => None,
    }
}
