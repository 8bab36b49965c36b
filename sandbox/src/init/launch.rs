//! Starting init and talking to it.
//!
//! Init is executed from a sealed memory file by [`Command`], with one end of a socket as its
//! standard input. Everything else, the step's own standard descriptors included, is sent through
//! that socket. So nothing runs between fork and exec, and the standard library can use its fastest
//! way of starting a process, which does not copy the page tables of a large caller.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, write};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::Opening;
use super::wire::{
    REPORT_CHILD, REPORT_EXEC_FAILED, REPORT_EXITED, REPORT_FAILED, REPORT_LISTENER, REPORT_RANDOM,
    REPORT_READY, REPORT_TERMINAL, Report, Stage, Used,
};

/// Init, as `build.rs` compiled it.
static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envbox-init"));

/// The memory file with init in it, made at first use. It is sealed, so all starts can share it.
static INIT_FILE: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// The step's standard descriptors; `None` inherits the caller's.
#[derive(Debug, Default)]
pub struct Standard {
    /// Standard input.
    pub input: Option<OwnedFd>,
    /// Standard output.
    pub output: Option<OwnedFd>,
    /// Standard error.
    pub error: Option<OwnedFd>,
}

/// A started init.
#[derive(Debug)]
pub struct Launched {
    /// Our end of the socket. Init ends, and with it the sandbox, when it is closed.
    pub control: OwnedFd,
    /// The process that enters the namespaces; it ends when pid 1 exists.
    pub starter: Child,
}

/// What init reports.
#[derive(Debug)]
pub enum Message {
    /// A stage failed; the last field is the index of the operation or limit.
    Failed(Stage, i32, usize),
    /// Pid 1 exists, and this is its pidfd.
    Child(OwnedFd),
    /// The step's terminal exists, and this is its master side.
    Terminal(OwnedFd),
    /// The step's filter is in force, and this is what to listen by.
    Listener(OwnedFd),
    /// The FIFO that is the random device exists, and this is a descriptor of it.
    Random(OwnedFd),
    /// The step could not be executed.
    ExecFailed { errno: i32, exists: bool },
    /// The step ended with a `CLD_*` code and a status, and nothing of it is left.
    Exited { code: u32, status: i32, used: Used },
    /// The probe came through.
    Ready,
}

/// Starts init. It enters its namespaces, and waits for a plan.
///
/// # Errors
/// Fails if a descriptor, a memory file or a process cannot be had.
pub fn launch(opening: &Opening) -> io::Result<Launched> {
    let (control, far) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let supervisor = pidfd_open(getpid(), PidfdFlags::empty())?;
    // Before the start, so that init finds it at once.
    send_with(control.as_fd(), &opening.encode(), &[supervisor.as_fd()])?;
    if let Some(preparations) = opening.preparations() {
        let bytes = preparations.map_err(io::Error::other)?;
        let plan = sealed_file(c"envbox-plan", &bytes, MemfdFlags::empty())?;
        send_with(control.as_fd(), &[0], &[plan.as_fd()])?;
    }
    let starter = start(far)?;
    Ok(Launched { control, starter })
}

fn start(socket: OwnedFd) -> io::Result<Child> {
    let mut file = INIT_FILE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let init = match &*file {
        Some(init) => init.as_raw_fd(),
        None => file.insert(init_file()?).as_raw_fd(),
    };
    Command::new(format!("/proc/self/fd/{init}"))
        .arg0(OsStr::new("envbox-init"))
        .env_clear()
        // Out of the foreground group: a Ctrl-C during start-up is the supervisor's to forward.
        .process_group(0)
        .stdin(Stdio::from(socket))
        .spawn()
}

fn init_file() -> io::Result<OwnedFd> {
    match sealed_file(c"envbox-init", INIT, MemfdFlags::EXEC) {
        // Before Linux 6.3 every memory file was executable and the flag unknown.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            sealed_file(c"envbox-init", INIT, MemfdFlags::empty())
        }
        result => result,
    }
}

fn sealed_file(name: &std::ffi::CStr, bytes: &[u8], flags: MemfdFlags) -> io::Result<OwnedFd> {
    let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create(name, flags)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = write(&file, rest)?;
        rest = &rest[written..];
    }
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

fn send_with(
    control: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    let parts = [IoSlice::new(bytes)];
    sendmsg(control, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

impl Launched {
    /// Sends init an encoded plan, and the step's standard descriptors.
    ///
    /// # Errors
    /// Fails if a memory file cannot be had. That init is gone is no error here: it said why.
    pub fn go(&self, plan: &[u8], standard: &Standard) -> io::Result<()> {
        let plan = sealed_file(c"envbox-plan", plan, MemfdFlags::empty())?;
        let own = [&standard.input, &standard.output, &standard.error];
        let inherited = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        let [input, output, error] = std::array::from_fn(|index| {
            let own: Option<&OwnedFd> = own[index].as_ref();
            own.map_or(inherited[index], AsFd::as_fd)
        });
        match send_with(
            self.control.as_fd(),
            &[0],
            &[plan.as_fd(), input, output, error],
        ) {
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Waits for the next message; `None` when init is gone.
    ///
    /// # Errors
    /// Passes on what the socket says; a message that is not ours is `InvalidData`.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut bytes = [0_u8; size_of::<Report>()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut part = [IoSliceMut::new(&mut bytes)];
            match recvmsg(
                &self.control,
                &mut part,
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                // With our message unread on its side, a peer that ends resets the connection. That is
                // said once, and before what the peer had sent (`sock_error` in the kernel's
                // `__skb_try_recv_datagram`).
                Err(Errno::INTR | Errno::CONNRESET) => {}
                result => break result?,
            }
        };
        let mut descriptor = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut received) = message {
                descriptor = received.next();
            }
        }
        match received.bytes {
            0 => Ok(None),
            _ => decode(bytes, descriptor)
                .map(Some)
                .ok_or_else(|| io::ErrorKind::InvalidData.into()),
        }
    }

    /// Asks init to send a signal to the step, or to the step's whole process group.
    ///
    /// # Errors
    /// Fails if init is gone.
    pub fn order(&self, signal: i32, group: bool) -> io::Result<()> {
        let mut order = [0_u8; 8];
        order[..4].copy_from_slice(&signal.to_ne_bytes());
        order[4..].copy_from_slice(&u32::from(group).to_ne_bytes());
        send(&self.control, &order, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn decode(bytes: [u8; size_of::<Report>()], descriptor: Option<OwnedFd>) -> Option<Message> {
    let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]));
    let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]));
    let (kind, stage, value, detail) = (word(0), word(4), word(8) as i32, word(12));
    Some(match kind {
        REPORT_FAILED => {
            let stage = Stage::ALL
                .into_iter()
                .find(|known| *known as u32 == stage)?;
            Message::Failed(stage, value, detail as usize)
        }
        REPORT_CHILD => Message::Child(descriptor?),
        REPORT_TERMINAL => Message::Terminal(descriptor?),
        REPORT_RANDOM => Message::Random(descriptor?),
        REPORT_LISTENER => Message::Listener(descriptor?),
        REPORT_EXEC_FAILED => Message::ExecFailed {
            errno: value,
            exists: detail != 0,
        },
        REPORT_EXITED => Message::Exited {
            code: detail,
            status: value,
            used: Used {
                user: long(16),
                system: long(24),
                max_rss: long(32),
            },
        },
        REPORT_READY => Message::Ready,
        _ => return None,
    })
}
