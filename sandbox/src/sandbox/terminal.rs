//! Connecting the step's terminal with ours.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use rustix::event::PollFlags;
use rustix::io::{Errno, dup, fcntl_dupfd_cloexec, ioctl_fionbio, read, write};
use rustix::stdio;
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// As much as is moved at once: what a pipe that polls writable takes without blocking.
const CHUNK: usize = 4096;

/// Ctrl-D, the end of input on a terminal in its usual mode.
const END_OF_INPUT: u8 = 4;

/// Our terminal's settings to put back: on drop, and by a panic hook where panics abort.
static SAVED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// The connection between the step's terminal and ours.
#[derive(Debug)]
pub struct Relay {
    master: OwnedFd,
    input: OwnedFd,
    output: OwnedFd,
    /// Read from us, not yet taken by the step.
    to_step: Vec<u8>,
    /// Written by the step, not yet taken by us.
    from_step: Vec<u8>,
    input_open: bool,
    master_open: bool,
}

/// One of the three descriptors of a [`Relay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The master side of the step's terminal.
    Master,
    /// Our input.
    Input,
    /// Our output.
    Output,
}

/// Returns the rows and columns of a terminal, or those of a classic one if it is none.
pub fn window(input: Option<&OwnedFd>) -> (u16, u16) {
    let input = input.map_or(stdio::stdin(), AsFd::as_fd);
    tcgetwinsize(input).map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

impl Relay {
    /// Connects a master side with the given descriptors, or else with our standard ones, and makes
    /// our terminal raw.
    pub fn new(
        master: OwnedFd,
        input: Option<OwnedFd>,
        output: Option<OwnedFd>,
    ) -> io::Result<Relay> {
        let owned = |given: Option<OwnedFd>, standard: BorrowedFd<'_>| match given {
            Some(given) => Ok(given),
            None => fcntl_dupfd_cloexec(standard, 3),
        };
        let input = owned(input, stdio::stdin())?;
        let output = owned(output, stdio::stdout())?;
        ioctl_fionbio(&master, true)?;
        let (to_step, from_step) = (Vec::new(), Vec::new());
        let relay = Relay {
            master,
            input,
            output,
            to_step,
            from_step,
            input_open: true,
            master_open: true,
        };
        relay.resume()?;
        Ok(relay)
    }

    /// Makes our terminal raw, remembering its settings.
    pub fn resume(&self) -> io::Result<()> {
        if !isatty(&self.input) {
            return Ok(());
        }
        restore_on_panic();
        let settings = tcgetattr(&self.input)?;
        let mut raw = settings.clone();
        raw.make_raw();
        let copy = dup(&self.input)?;
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some((copy, settings));
        tcsetattr(&self.input, OptionalActions::Drain, &raw)?;
        Ok(())
    }

    /// Puts the settings of our terminal back.
    pub fn suspend(&self) {
        restore();
    }

    /// Passes the size of our terminal on.
    pub fn resize(&self) -> io::Result<()> {
        if let Ok(size) = tcgetwinsize(&self.input) {
            tcsetwinsize(&self.master, size)?;
        }
        Ok(())
    }

    /// Returns what to poll for now. A descriptor that nothing is wanted of must be left out: its
    /// end would be reported over and over.
    pub fn interests(&self) -> Vec<(Side, PollFlags)> {
        let mut master = PollFlags::empty();
        if self.master_open && self.from_step.len() < CHUNK {
            master |= PollFlags::IN;
        }
        if self.master_open && !self.to_step.is_empty() {
            master |= PollFlags::OUT;
        }
        let mut list = vec![(Side::Master, master)];
        if self.input_open && self.to_step.len() < CHUNK {
            list.push((Side::Input, PollFlags::IN));
        }
        if !self.from_step.is_empty() {
            list.push((Side::Output, PollFlags::OUT));
        }
        list.retain(|(_, flags)| !flags.is_empty());
        list
    }

    /// Returns the descriptor of a side.
    pub fn descriptor(&self, side: Side) -> BorrowedFd<'_> {
        match side {
            Side::Master => self.master.as_fd(),
            Side::Input => self.input.as_fd(),
            Side::Output => self.output.as_fd(),
        }
    }

    /// Moves bytes as far as what happened on a side allows.
    pub fn move_bytes(&mut self, side: Side, happened: PollFlags) -> io::Result<()> {
        let ended = happened.intersects(PollFlags::HUP | PollFlags::ERR);
        let readable = ended || happened.contains(PollFlags::IN);
        match side {
            Side::Input if readable => self.read_input()?,
            Side::Output if ended || happened.contains(PollFlags::OUT) => self.write_output(),
            Side::Master => {
                if happened.contains(PollFlags::OUT) {
                    let written = done(write(&self.master, &self.to_step))?;
                    self.to_step.drain(..written);
                }
                if readable {
                    self.read_master();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_input(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match read(&self.input, &mut chunk) {
            Ok(0) => {
                self.input_open = false;
                self.to_step.push(END_OF_INPUT);
            }
            Ok(count) => self.to_step.extend_from_slice(&chunk[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Our terminal is gone.
            Err(Errno::IO) => self.input_open = false,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn read_master(&mut self) {
        let mut chunk = [0; CHUNK];
        match read(&self.master, &mut chunk) {
            Ok(count) if count > 0 => self.from_step.extend_from_slice(&chunk[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO says that no process has the other side open. Pid 1 has, so it is gone too.
            Ok(_) | Err(_) => self.master_open = false,
        }
    }

    fn write_output(&mut self) {
        let count = self.from_step.len().min(CHUNK);
        match write(&self.output, &self.from_step[..count]) {
            Ok(written) => drop(self.from_step.drain(..written)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads our output any more. The step must not hang over that.
            Err(_) => self.from_step.clear(),
        }
    }

    /// Writes out what the step left, after its end.
    pub fn finish(mut self) {
        while self.master_open {
            self.read_master();
            self.flush();
        }
        self.flush();
    }

    fn flush(&mut self) {
        while !self.from_step.is_empty() {
            self.write_output();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        restore();
    }
}

fn done(result: rustix::io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        // The step closed its terminal: what we have for it has no reader.
        Err(Errno::IO) => Ok(0),
        result => Ok(result?),
    }
}

fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, settings)) = saved {
        // A terminal that went away needs no settings.
        let _ = tcsetattr(&terminal, OptionalActions::Drain, &settings);
    }
}

/// Where panics abort, no destructor runs, but the hook does.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            previous(info);
        }));
    });
}
