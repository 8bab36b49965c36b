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
//!
//! Without mounts the kernel's devices lie there, and all plain opens are asked about. Who would
//! share the FIFO is then given a pipe with the same stream, so that both draw the same.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::RngCore;
use rustix::event::PollFlags;
use rustix::fs::{OFlags, Stat, fcntl_setfl, fstat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::entropy::Entropy;
use super::opens;
use super::status::lookup::Home;
use super::status::target::Target;
use crate::sys::notify::{self, Notification};

/// The random devices of a sandbox.
#[derive(Debug)]
pub struct Devices {
    /// The stream of those who get none of their own.
    shared: Source,
    place: Place,
    /// Whether opens with `O_CLOEXEC` get a stream of their own.
    all: bool,
    own: Vec<Source>,
}

/// What lies where a step looks for the devices.
#[derive(Debug)]
enum Place {
    /// A FIFO of ours, with this device and inode number.
    Fifo(u64, u64),
    /// The kernel's devices; this is given in their place.
    Kernels(OwnedFd),
}

/// The writing end of a pipe, and what goes into it.
#[derive(Debug)]
struct Source {
    end: OwnedFd,
    stream: ChaCha20Rng,
    /// What did not fit.
    rest: Vec<u8>,
}

impl Devices {
    /// Takes over the FIFO.
    ///
    /// # Errors
    /// Passes on what the kernel says of it.
    pub fn of_fifo(fifo: OwnedFd, all: bool, entropy: &Entropy) -> io::Result<Devices> {
        let status = fstat(&fifo)?;
        let place = Place::Fifo(status.st_dev, status.st_ino);
        Ok(Devices::new(fifo, place, all, entropy))
    }

    /// Stands in for the kernel's devices.
    ///
    /// # Errors
    /// Fails if no pipe can be had.
    pub fn of_kernel(all: bool, entropy: &Entropy) -> io::Result<Devices> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&writer, OFlags::NONBLOCK)?;
        Ok(Devices::new(writer, Place::Kernels(reader), all, entropy))
    }

    fn new(shared: OwnedFd, place: Place, all: bool, entropy: &Entropy) -> Devices {
        Devices {
            shared: Source::new(shared, entropy.named("device")),
            place,
            all,
            own: Vec::new(),
        }
    }

    /// Gives a stream to a call that opens a random device. Returns whether it did.
    pub fn give(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        target: &Target,
        entropy: &mut Entropy,
    ) -> bool {
        if !self.is_meant(call, target).unwrap_or(false) {
            return false;
        }
        let given = match (opens::plain(call, self.all), &self.place) {
            (Some(flags), _) => self.give_own(listener, call, flags, entropy),
            // It has `O_CLOEXEC`, or we would not be asked.
            (None, Place::Kernels(reader)) => {
                notify::give(listener, call.id, reader.as_fd(), libc::O_CLOEXEC).map(drop)
            }
            (None, Place::Fifo(..)) => return false,
        };
        // Else too many descriptors, on either side, or a kernel that cannot: it is opened.
        given.is_ok()
    }

    /// Gives a pipe of its own.
    fn give_own(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        flags: i32,
        entropy: &mut Entropy,
    ) -> io::Result<()> {
        let (process, _, stream) = entropy.next(call.thread, "device");
        let (end, source) = pipe(stream, flags)?;
        if notify::give(listener, call.id, end.as_fd(), flags)? {
            entropy.given(process, "device");
            self.own.push(source);
        }
        Ok(())
    }

    /// Whether a call opens a random device, by its name.
    fn is_meant(&self, call: &Notification, target: &Target) -> io::Result<bool> {
        if !target.path.as_os_str().as_bytes().ends_with(b"random") {
            return Ok(false);
        }
        let found = Home::of(call.thread)?.find(call.thread, target)?;
        let status = fstat(found.descriptor()?)?;
        Ok(match self.place {
            Place::Fifo(device, number) => (status.st_dev, status.st_ino) == (device, number),
            Place::Kernels(_) => is_kernels(&status),
        })
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

/// Whether a file is `random` or `urandom` (`Documentation/admin-guide/devices.txt`).
fn is_kernels(status: &Stat) -> bool {
    const NUMBERS: [(u32, u32); 2] = [(1, 8), (1, 9)];
    let device = status.st_rdev;
    let number = (rustix::fs::major(device), rustix::fs::minor(device));
    status.st_mode & libc::S_IFMT == libc::S_IFCHR && NUMBERS.contains(&number)
}
