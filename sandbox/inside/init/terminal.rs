//! The step's terminal, from the sandbox's own devpts, or that of the container around us.

use crate::channel::Channel;
use crate::kernel::{self, AT_FDCWD, O_CLOEXEC, O_NOCTTY, O_RDWR, Text, address};
use crate::plan::{REPORT_TERMINAL, Report};
use crate::reader::Plan;
use crate::syscall::{Result, call, number};

/// Makes a terminal, hands its master side to the supervisor and puts the other side in the place
/// of the standard descriptors.
pub fn make(channel: Channel, plan: &Plan) -> Result<()> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    const TIOCGPTPEER: usize = 0x5441;
    const TIOCSWINSZ: usize = 0x5414;
    let path = Text::from(c"/dev/ptmx");
    let master = kernel::open(AT_FDCWD, path, O_RDWR | O_NOCTTY, 0)?;
    let unlocked = 0_i32;
    // SAFETY: the argument is an int.
    unsafe {
        call(
            number::IOCTL,
            [master as usize, TIOCSPTLCK, address(&unlocked)],
        )
    }?;
    let flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    // SAFETY: the argument is a set of flags.
    let terminal = unsafe { call(number::IOCTL, [master as usize, TIOCGPTPEER, flags]) }? as i32;
    let size = [
        plan.header().rows as u16,
        plan.header().columns as u16,
        0,
        0,
    ];
    // SAFETY: the argument is a struct winsize.
    unsafe { call(number::IOCTL, [master as usize, TIOCSWINSZ, address(&size)]) }?;
    channel.send(
        Report {
            kind: REPORT_TERMINAL,
            ..Report::default()
        },
        master,
    )?;
    for standard in 0..3 {
        kernel::duplicate(terminal, standard, 0)?;
    }
    kernel::close(terminal);
    kernel::close(master);
    Ok(())
}

/// Makes the terminal on standard input the controlling one of this session.
pub fn control() -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    // SAFETY: the argument is a number.
    unsafe { call(number::IOCTL, [0, TIOCSCTTY, 0]) }.map(drop)
}
