//! A step without namespaces: a container, a pod or nothing at all is around us already.

use crate::channel::Channel;
use crate::kernel::{self, Poll, Text};
use crate::namespaces;
use crate::plan::{OPENING_PROBE, Opening, REPORT_FAILED, REPORT_READY, Report, Stage};
use crate::privileges;
use crate::reader::Plan;
use crate::syscall::{Errno, Result, call, number};
use crate::tree;

const P_ALL: usize = 0;
const WNOHANG: usize = 1;
const WEXITED: usize = 4;
const KILL: u32 = 9;

/// Continues as a child of the supervisor that gets the step's orphans, as pid 1 of a sandbox does,
/// and waits for the plan.
pub fn start(channel: Channel, opening: &Opening) -> Plan {
    const PR_SET_CHILD_SUBREAPER: usize = 36;
    if opening.flags & OPENING_PROBE != 0 {
        try_out(channel, &crate::receive_plan(channel));
    }
    crate::become_pid_one(channel, || {});
    channel.check(Stage::Process, kernel::prctl(PR_SET_CHILD_SUBREAPER, 1, 0));
    namespaces::hide(channel);
    crate::receive_plan(channel)
}

/// Tries what a container may refuse, reports each refusal, and stays to be looked into.
fn try_out(channel: Channel, plan: &Plan) -> ! {
    let tried = [
        (
            Stage::Personality,
            privileges::set_personality(plan.header().personality).map(drop),
        ),
        (Stage::NoNewPrivileges, privileges::refuse_new().map(drop)),
        (Stage::Seccomp, tree::install_filter(channel, plan)),
    ];
    for (stage, result) in tried {
        if let Err(error) = result {
            report(channel, REPORT_FAILED, stage as u32, error);
        }
    }
    report(channel, REPORT_READY, 0, 0);
    let mut end = [Poll {
        descriptor: channel.descriptor(),
        events: 1,
        happened: 0,
    }];
    let _ = kernel::poll(&mut end);
    kernel::exit(0)
}

fn report(channel: Channel, kind: u32, stage: u32, value: Errno) {
    let report = Report {
        kind,
        stage,
        value,
        ..Report::default()
    };
    let _ = channel.send(report, -1);
}

/// Kills what the step left behind: no pid namespace does it. All of it is or becomes our child,
/// and nothing else is.
pub fn kill_rest(step: i32) {
    loop {
        let killed = match kill_children() {
            Ok(count) => count > 0,
            // Without CONFIG_PROC_CHILDREN nobody knows the others.
            Err(_) => kernel::kill(-step, KILL).is_ok(),
        };
        while let Ok(Some(_)) = kernel::wait(P_ALL, 0, WEXITED | WNOHANG) {}
        // Its children become ours when it has ended.
        if !killed || kernel::wait(P_ALL, 0, WEXITED).is_err() {
            return;
        }
    }
}

/// Kills the children that there are, and returns how many.
fn kill_children() -> Result<usize> {
    let path = Text::from(c"/proc/thread-self/children");
    let file = kernel::open(kernel::AT_FDCWD, path, 0, 0)?;
    let mut buffer = [0_u8; 4096];
    let out = buffer.as_mut_ptr() as usize;
    // SAFETY: `out` is writable for the size.
    let size = unsafe { call(number::READ, [file as usize, out, buffer.len()]) };
    kernel::close(file);
    let (mut killed, mut process) = (0, 0);
    // A number that is cut off is not ended by a blank; the next look finds it.
    for &byte in buffer.iter().take(size?) {
        match byte {
            b'0'..=b'9' => process = process * 10 + i32::from(byte - b'0'),
            _ => {
                killed += usize::from(kernel::kill(process, KILL).is_ok());
                process = 0;
            }
        }
    }
    Ok(killed)
}
