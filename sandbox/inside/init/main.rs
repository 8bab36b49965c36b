//! Init: the program that turns a plan into a sandbox and runs the step in it.
//!
//! Freestanding: no libc, no allocator, no formatting. It is executed from a sealed memory file
//! with one socket as its standard input, enters the namespaces *after* that exec, and says where
//! it failed as a ([`plan::Stage`], error number) pair. `sandbox/README.md` has the process
//! diagram and the order of operations with the reasons.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "system calls without a libc")]

#[path = "../mem.rs"]
mod mem;
#[path = "../plan.rs"]
#[expect(dead_code, reason = "the other side uses the rest")]
mod plan;
#[path = "../syscall.rs"]
mod syscall;

mod bare;
mod channel;
mod kernel;
mod mounts;
mod namespaces;
mod privileges;
mod reader;
mod terminal;
mod tree;

use crate::channel::Channel;
use crate::plan::{
    OPENING_BARE, OPENING_PREPARES, OPENING_PROBE, Opening, REPORT_CHILD, Report, Stage,
};
use crate::reader::Plan;

/// The entry point. The kernel starts us with the stack pointer at `argc`, which we do not need;
/// the ABI wants it aligned to 16 bytes before a call.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    core::arch::naked_asm!("xor ebp, ebp", "and rsp, -16", "call {main}", "ud2", main = sym main)
}

extern "C" fn main() -> ! {
    // Whatever the caller forgot to mark close-on-exec ends here.
    let _ = kernel::close_range(3, u32::MAX, 0);
    kernel::set_name(c"envbox-init");
    let Ok(channel) = Channel::take() else {
        kernel::exit(1)
    };
    let (opening, supervisor) = channel.check(Stage::Receive, channel.receive_opening());
    kernel::reset_signal_actions();
    let (plan, starter) = match opening.flags & OPENING_BARE != 0 {
        true => (bare::start(channel, &opening), None),
        false => {
            let (plan, starter) = enter(channel, &opening);
            (plan, Some(starter))
        }
    };
    if opening.flags & OPENING_PROBE != 0 {
        let _ = channel.send(
            Report {
                kind: plan::REPORT_READY,
                ..Report::default()
            },
            -1,
        );
        kernel::exit(0);
    }
    if plan.header().flags & plan::FLAG_RANDOM != 0 {
        channel.check(Stage::Mounts, send_random(channel));
    }
    if plan.header().flags & plan::FLAG_TERMINAL != 0 {
        channel.check(Stage::Terminal, terminal::make(channel, &plan));
    }
    privileges::drop_all(channel, &opening, &plan);
    tree::run(channel, starter, &plan, supervisor)
}

/// Enters the namespaces, waits for the plan and makes what it says of the sandbox. Returns the plan,
/// and by which channel the starter is known to live.
fn enter(channel: Channel, opening: &Opening) -> (Plan, Channel) {
    namespaces::enter(channel, opening);
    // Before pid 1 changes the root of the starter too.
    let root = kernel::Text::from(c"/");
    let host = kernel::open(kernel::AT_FDCWD, root, kernel::O_PATH, 0);
    let host = channel.check(Stage::Process, host);
    let (pid_1, starter) = channel.check(Stage::Process, Channel::pair());
    become_pid_one(channel, || {
        kernel::close(starter.descriptor());
        help(channel, opening, pid_1, host);
    });
    kernel::close(pid_1.descriptor());
    kernel::close(host);
    if opening.flags & OPENING_PREPARES != 0 {
        let first = channel.receive_descriptor().and_then(Plan::map);
        mounts::prepare(&channel.check(Stage::Receive, first));
    }
    let plan = receive_plan(channel);
    namespaces::set_names(channel, &plan);
    mounts::build(channel, opening, &plan, starter);
    namespaces::join_network(channel, opening, starter);
    (plan, starter)
}

/// Waits for the plan, and takes over the step's standard descriptors, which come with it.
pub(crate) fn receive_plan(channel: Channel) -> Plan {
    let [plan, standard @ ..] = channel.check(Stage::Receive, channel.receive_plan());
    for (number, descriptor) in (0..).zip(standard) {
        channel.check(Stage::Receive, kernel::duplicate(descriptor, number, 0));
        kernel::close(descriptor);
    }
    channel.check(Stage::Receive, Plan::map(plan))
}

/// Sends the FIFO that is the random device, while its mode does not bind us. Open for both
/// directions it has no end for those who read it.
fn send_random(channel: Channel) -> syscall::Result<()> {
    const O_RDWR_NONBLOCK: usize = 0o4002;
    let path = kernel::Text::from(c"/dev/urandom");
    let fifo = kernel::open(kernel::AT_FDCWD, path, O_RDWR_NONBLOCK, 0)?;
    let report = Report {
        kind: plan::REPORT_RANDOM,
        ..Report::default()
    };
    channel.send(report, fifo)?;
    kernel::close(fifo);
    Ok(())
}

/// Continues as pid 1 of the new pid namespace, as a child of the supervisor itself: a process in
/// between would have to be waited for and watched. The starter, which it leaves, helps and ends.
pub(crate) fn become_pid_one(channel: Channel, help: impl FnOnce()) {
    const CLONE_PIDFD: usize = 0x1000;
    const CLONE_PARENT: usize = 0x8000;
    let (process, pidfd) = channel.check(Stage::Process, kernel::fork(CLONE_PIDFD | CLONE_PARENT));
    if process != 0 {
        let report = Report {
            kind: REPORT_CHILD,
            ..Report::default()
        };
        channel.check(Stage::Process, channel.send(report, pidfd));
        help();
        kernel::exit(0);
    }
}

/// What takes long and can be done beside pid 1: to make the network, which takes as long as all mounts
/// together, and to take the host's tree away when pid 1 has left it.
fn help(channel: Channel, opening: &Opening, pid_1: Channel, host: i32) {
    if opening.namespaces & namespaces::NETWORK != 0 {
        namespaces::make_network(channel, opening, pid_1);
    }
    // A probe stays where it is.
    if pid_1.receive_word().is_ok() {
        channel.check(Stage::PivotRoot, mounts::detach(host));
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(1)
}

/// What an unoptimised `core` refers to; `build.rs` compiles without the feature.
#[cfg(feature = "freestanding")]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
