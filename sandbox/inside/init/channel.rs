//! The socket to the supervisor: one message each way is one packet, descriptors ride along.

use core::mem::size_of;

use crate::kernel::{self, address};
use crate::plan::{Opening, Order, REPORT_FAILED, Report, Stage};
use crate::syscall::{Errno, Result, call, number};

/// Where the socket is kept: above the descriptors that the plan hands out, below the usual limit.
const NUMBER: usize = 64;

/// `struct msghdr`.
#[repr(C)]
struct Message {
    name: usize,
    name_size: usize,
    parts: usize,
    part_count: usize,
    control: usize,
    control_size: usize,
    flags: usize,
}

/// Room for one SCM_RIGHTS message of up to four descriptors: `struct cmsghdr` and the numbers.
#[repr(C)]
struct Rights {
    size: usize,
    level: i32,
    kind: i32,
    descriptors: [i32; 4],
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
/// The supervisor may be gone: that is an error number, not a signal.
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_DONTWAIT: usize = 0x40;

/// The socket.
#[derive(Clone, Copy)]
pub struct Channel(i32);

impl Channel {
    /// Takes over the socket that init was started with as its standard input.
    pub fn take() -> Result<Channel> {
        kernel::duplicate_above(0, NUMBER).map(Channel)
    }

    /// Makes a channel from one process of init to another.
    pub fn pair() -> Result<(Channel, Channel)> {
        const AF_UNIX: usize = 1;
        const SOCK_SEQPACKET_CLOEXEC: usize = 5 | 0o2_000_000;
        let mut ends = [0_i32; 2];
        let out = core::ptr::from_mut(&mut ends) as usize;
        let arguments = [AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, out];
        // SAFETY: `out` is writable and takes two descriptors.
        unsafe { call(number::SOCKETPAIR, arguments) }?;
        Ok((Channel(ends[0]), Channel(ends[1])))
    }

    /// The descriptor, for `poll`.
    pub fn descriptor(self) -> i32 {
        self.0
    }

    /// Sends a report, with a descriptor if it is not negative.
    pub fn send(self, report: Report, descriptor: i32) -> Result<()> {
        let part = [address(&report), size_of::<Report>()];
        let rights = Rights {
            size: 20,
            level: SOL_SOCKET,
            kind: SCM_RIGHTS,
            descriptors: [descriptor, 0, 0, 0],
        };
        let mut message = Message {
            name: 0,
            name_size: 0,
            parts: address(&part),
            part_count: 1,
            control: 0,
            control_size: 0,
            flags: 0,
        };
        if descriptor >= 0 {
            message.control = address(&rights);
            message.control_size = 24;
        }
        // SAFETY: the message points to `part` and `rights`, which live until after the call.
        unsafe {
            call(
                number::SENDMSG,
                [self.0 as usize, address(&message), MSG_NOSIGNAL],
            )
        }
        .map(drop)
    }

    /// Receives the first message, and the descriptor of the supervisor's process.
    pub fn receive_opening(self) -> Result<(Opening, i32)> {
        let mut bytes = [0_u8; size_of::<Opening>()];
        let [supervisor, ..] = self.receive_descriptors(&mut bytes, 1)?;
        // SAFETY: both are as long as each other and made of integers, for which all bits are valid.
        let opening = unsafe { core::mem::transmute::<[u8; size_of::<Opening>()], Opening>(bytes) };
        Ok((opening, supervisor))
    }

    /// Receives the second message: the descriptors of the plan and of standard input, output and
    /// error.
    pub fn receive_plan(self) -> Result<[i32; 4]> {
        self.receive_descriptors(&mut [0; 16], 4)
    }

    /// Receives a message with one descriptor.
    pub fn receive_descriptor(self) -> Result<i32> {
        self.receive_descriptors(&mut [0; 16], 1)
            .map(|[descriptor, ..]| descriptor)
    }

    fn receive_descriptors(self, bytes: &mut [u8], count: usize) -> Result<[i32; 4]> {
        const HEADER: usize = 16;
        let mut rights = Rights {
            size: 0,
            level: 0,
            kind: 0,
            descriptors: [-1; 4],
        };
        let size = self.receive(bytes, Some(&mut rights), 0)?;
        if size == 0 || rights.size != HEADER + count * 4 || rights.kind != SCM_RIGHTS {
            return Err(EPIPE);
        }
        Ok(rights.descriptors)
    }

    /// Waits for a message; an error says that the other side is gone.
    pub fn receive_word(self) -> Result<()> {
        match self.receive(&mut [0; size_of::<Report>()], None, 0)? {
            0 => Err(EPIPE),
            _ => Ok(()),
        }
    }

    /// Says whether the other side, which has nothing more to say, is there.
    pub fn is_open(self) -> bool {
        const EAGAIN: Errno = 11;
        self.receive(&mut [0], None, MSG_DONTWAIT) == Err(EAGAIN)
    }

    /// Receives an order; `None` when the supervisor is gone.
    pub fn receive_order(self) -> Option<Order> {
        let mut bytes = [0_u8; 8];
        match self.receive(&mut bytes, None, MSG_DONTWAIT) {
            Ok(8) => {
                let [a, b, c, d, e, f, g, h] = bytes;
                let signal = u32::from_ne_bytes([a, b, c, d]);
                Some(Order {
                    signal,
                    group: u32::from_ne_bytes([e, f, g, h]),
                })
            }
            _ => None,
        }
    }

    fn receive(self, bytes: &mut [u8], rights: Option<&mut Rights>, flags: usize) -> Result<usize> {
        let part = [bytes.as_mut_ptr() as usize, bytes.len()];
        let mut message = Message {
            name: 0,
            name_size: 0,
            parts: address(&part),
            part_count: 1,
            control: 0,
            control_size: 0,
            flags: 0,
        };
        if let Some(rights) = rights {
            message.control = core::ptr::from_mut(rights) as usize;
            message.control_size = size_of::<Rights>();
        }
        let header = core::ptr::from_mut(&mut message) as usize;
        // SAFETY: the message points to `part` (and through it to `bytes`) and to `rights`, which
        // are writable, as long as said, and live until after the call.
        unsafe {
            call(
                number::RECVMSG,
                [self.0 as usize, header, flags | MSG_CMSG_CLOEXEC],
            )
        }
    }

    /// Reports that a stage failed and ends the process.
    pub fn fail(self, stage: Stage, error: Errno, detail: u32) -> ! {
        let report = Report {
            kind: REPORT_FAILED,
            stage: stage as u32,
            value: error,
            detail,
            ..Report::default()
        };
        // If the supervisor is gone, there is nobody to tell.
        let _ = self.send(report, -1);
        kernel::exit(1)
    }

    /// Returns the value, or reports the failure of a stage and ends the process.
    pub fn check<T>(self, stage: Stage, result: Result<T>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => self.fail(stage, error, 0),
        }
    }
}

const EPIPE: Errno = 32;
