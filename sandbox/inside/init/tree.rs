//! The processes of the sandbox: pid 1 reaps and watches, pid 2 is the parent of the step.
//!
//! The step is not a child of pid 1 because programs take `getppid() == 1` for "my parent died":
//! ipykernel ends itself then.

use crate::bare;
use crate::channel::Channel;
use crate::kernel::{self, Ended, Poll, address};
use crate::mounts;
use crate::plan::{
    FLAG_ASK, FLAG_TERMINAL, Order, REPORT_EXEC_FAILED, REPORT_EXITED, REPORT_LISTENER, Report,
    STEP, Stage,
};
use crate::reader::Plan;
use crate::syscall::{Errno, Result, call, number};
use crate::terminal;

const P_ALL: usize = 0;
const P_PID: usize = 1;
const WNOHANG: usize = 1;
const WEXITED: usize = 4;
const WNOWAIT: usize = 0x0100_0000;
const EINTR: Errno = 4;
const ENOENT: Errno = 2;
const EACCES: Errno = 13;
const ENOTDIR: Errno = 20;
const ESRCH: Errno = 3;
/// The pid of the step's parent, see [`STEP`].
const SHIM: i32 = 2;
const ALL_SIGNALS: u64 = u64::MAX;
const CHILD_SIGNAL: u64 = 1 << (17 - 1);

/// Starts the step and stays as pid 1 until it ends. If anything else ends pid 1, the kernel kills
/// the rest of the pid namespace.
pub fn run(channel: Channel, starter: Option<Channel>, plan: &Plan, supervisor: i32) -> ! {
    // A session of our own: signals from the supervisor's terminal reach the supervisor only,
    // which forwards them once.
    // SAFETY: no pointers.
    channel.check(Stage::Process, unsafe { call(number::SETSID, []) });
    // Blocked before the fork, so that no death of a child is missed; the shim wants everything
    // blocked anyway, for a `kill(-1, ...)` by the step reaches it.
    channel.check(Stage::Process, kernel::set_signal_mask(ALL_SIGNALS));
    let children = channel.check(Stage::Process, kernel::signal_descriptor(CHILD_SIGNAL));
    let (child, _) = channel.check(Stage::Process, kernel::fork(0));
    let tree = match (child, starter) {
        (0, None) => start_step(channel, plan),
        (0, Some(starter)) => hold_step(channel, starter, plan),
        (_, None) => Tree::Bare { step: child },
        (_, Some(_)) => Tree::Whole,
    };
    // A reader of the step's output must see its end when the step closes it. A terminal of our own
    // must not end while the step lives, which may open it again as `/dev/tty`.
    if plan.header().flags & FLAG_TERMINAL == 0 {
        let _ = kernel::close_range(0, 2, 0);
    }
    let mut events = [
        Poll {
            descriptor: children,
            events: 1,
            happened: 0,
        },
        Poll {
            descriptor: channel.descriptor(),
            events: 1,
            happened: 0,
        },
        Poll {
            descriptor: supervisor,
            events: 1,
            happened: 0,
        },
    ];
    loop {
        match kernel::poll(&mut events) {
            Ok(_) | Err(EINTR) => {}
            Err(error) => channel.fail(Stage::Process, error, 0),
        }
        if events[0].happened != 0 {
            kernel::drain(children);
            tree.reap(channel);
        }
        if events[1].happened != 0 {
            match channel.receive_order() {
                Some(order) => tree.forward(order),
                // The supervisor closed its end, or died.
                None => tree.end(1),
            }
        }
        // The socket alone would not do: a process that the supervisor forked may hold a copy.
        if events[2].happened != 0 {
            tree.end(1);
        }
    }
}

/// The step and what is between it and us.
#[derive(Clone, Copy)]
enum Tree {
    /// A pid namespace, in which we are pid 1 and the shim holds the step.
    Whole,
    /// No namespace: the step is our child, and its parent is not pid 1.
    Bare { step: i32 },
}

impl Tree {
    fn step(self) -> i32 {
        match self {
            Tree::Whole => STEP,
            Tree::Bare { step } => step,
        }
    }

    /// Reaps orphans; ends everything when the step is among them. The step always arrives here:
    /// the shim leaves it unreaped, so that its pid cannot be taken by another process before.
    fn reap(self, channel: Channel) {
        while let Ok(Some(Ended {
            process,
            code,
            status,
        })) = kernel::wait(P_ALL, 0, WEXITED | WNOHANG)
        {
            if process == self.step() {
                self.end_the_rest();
                let report = Report {
                    kind: REPORT_EXITED,
                    stage: 0,
                    value: status,
                    detail: code as u32,
                    used: kernel::used(),
                };
                let _ = channel.send(report, -1);
                kernel::exit(0);
            }
            // A `kill -9 -1` in the step may kill the shim, which only costs the step its parent.
            // But if the shim died before the step existed, there is nothing left to wait for.
            let is_shim = matches!(self, Tree::Whole) && process == SHIM;
            if is_shim && kernel::kill(STEP, 0).is_err() {
                kernel::exit(1);
            }
        }
    }

    fn forward(self, order: Order) {
        let step = self.step();
        if order.group != 0 && kernel::kill(-step, order.signal).is_ok() {
            return;
        }
        // The step stays unreaped until `reap` sees it, so an error means that the shim has not
        // forked yet: the signal must not get lost over that.
        while kernel::kill(step, order.signal).is_err()
            && matches!(self, Tree::Whole)
            && is_running(SHIM)
        {
            kernel::yield_now();
        }
    }

    /// Kills what the step left behind, and waits until it is gone and nobody has its files or its
    /// terminal open: the supervisor reads the outputs next. The kernel would do the same when a pid
    /// 1 exits, but first it takes the mounts apart, which takes as long as reading the outputs does.
    fn end_the_rest(self) {
        const SIGKILL: u32 = 9;
        match self {
            Tree::Whole => {
                // An error says that there is nobody.
                let _ = kernel::kill(-1, SIGKILL);
                while let Ok(_) | Err(EINTR) = kernel::wait(P_ALL, 0, WEXITED) {}
            }
            Tree::Bare { step } => bare::kill_rest(step),
        }
        let _ = kernel::close_range(0, 2, 0);
    }

    /// Ends, and everything with us.
    fn end(self, status: i32) -> ! {
        if let Tree::Bare { step } = self {
            bare::kill_rest(step);
        }
        kernel::exit(status)
    }
}

fn is_running(process: i32) -> bool {
    matches!(
        kernel::wait(P_PID, process, WEXITED | WNOHANG | WNOWAIT),
        Ok(None)
    )
}

/// Runs as pid 2.
fn hold_step(channel: Channel, starter: Channel, plan: &Plan) -> ! {
    let (step, _) = channel.check(Stage::Process, kernel::fork(0));
    if step == 0 {
        // The latest moment, because all before may be done meanwhile.
        channel.check(Stage::PivotRoot, mounts::wait_until_detached(starter));
        start_step(channel, plan);
    }
    if step != STEP {
        channel.fail(Stage::Process, ESRCH, 0);
    }
    let _ = kernel::close_range(0, u32::MAX, 0);
    while let Err(EINTR) = kernel::wait(P_PID, step, WEXITED | WNOWAIT) {}
    kernel::exit(0)
}

/// Becomes the step.
fn start_step(channel: Channel, plan: &Plan) -> ! {
    let header = plan.header();
    if header.flags & FLAG_TERMINAL != 0 {
        // SAFETY: no pointers.
        channel.check(Stage::Terminal, unsafe { call(number::SETSID, []) });
        channel.check(Stage::Terminal, terminal::control());
    } else {
        // A group, but not a session: in a session of its own the group would count as orphaned
        // and the kernel would ignore SIGTSTP.
        // SAFETY: no pointers.
        channel.check(Stage::Process, unsafe { call(number::SETPGID, [0, 0]) });
    }
    channel.check(
        Stage::Process,
        kernel::close_range(3, u32::MAX, CLOSE_RANGE_CLOEXEC),
    );
    let arguments = plan.pointers(header.arguments);
    let environment = plan.pointers(header.environment);
    channel.check(Stage::Process, kernel::set_signal_mask(0));
    channel.check(Stage::Seccomp, install_filter(channel, plan));
    let (error, exists) = execute(plan, arguments, environment);
    let report = Report {
        kind: REPORT_EXEC_FAILED,
        stage: 0,
        value: error,
        detail: u32::from(exists),
        ..Report::default()
    };
    let _ = channel.send(report, -1);
    kernel::exit(127)
}

const CLOSE_RANGE_CLOEXEC: usize = 4;

/// Installs the filter, and sends what to listen by.
pub fn install_filter(channel: Channel, plan: &Plan) -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    const NEW_LISTENER: usize = 8;
    /// `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        count: u16,
        filter: usize,
    }
    let span = plan.header().filter;
    if span.count == 0 {
        return Ok(());
    }
    let program = Program {
        count: span.count as u16,
        filter: plan.text(span.offset).address(),
    };
    let asks = plan.header().flags & FLAG_ASK != 0;
    let flags = if asks { NEW_LISTENER } else { 0 };
    // SAFETY: the program points to `count` instructions in the plan, which the kernel checks.
    let listener = unsafe {
        call(
            number::SECCOMP,
            [SECCOMP_SET_MODE_FILTER, flags, address(&program)],
        )
    }?;
    if !asks {
        return Ok(());
    }
    let report = Report {
        kind: REPORT_LISTENER,
        ..Report::default()
    };
    channel.send(report, listener as i32)?;
    kernel::close(listener as i32);
    Ok(())
}

/// Tries the candidates in order, as a shell does: what does not exist is passed over, what may
/// not be executed is remembered. Returns the error, and whether there was a file at all.
fn execute(plan: &Plan, arguments: usize, environment: usize) -> (Errno, bool) {
    let mut denied = None;
    for &candidate in plan.candidates() {
        let path = plan.text(candidate).address();
        // SAFETY: the path is terminated; both arrays end with a null pointer and point to
        // terminated strings in the plan.
        let result = unsafe { call(number::EXECVE, [path, arguments, environment]) };
        match result {
            Ok(_) => {}
            Err(ENOENT | ENOTDIR) if !exists(path) => {}
            Err(EACCES) if plan.candidates().len() > 1 => denied = Some(exists(path)),
            Err(error) => return (error, true),
        }
    }
    match denied {
        Some(exists) => (EACCES, exists),
        None => (ENOENT, false),
    }
}

/// Tells a missing program from a missing interpreter of a program that is there.
fn exists(path: usize) -> bool {
    // SAFETY: the path is terminated, as for the exec before.
    unsafe { call(number::FACCESSAT, [kernel::AT_FDCWD as usize, path, 0]) }.is_ok()
}
