//! Plain opens for reading: those that may be of a file that is ours. A filter sees flags, and no
//! paths.

use crate::init::filter::{Rule, Test, Verdict};
use crate::sys::notify::Notification;

/// Opens that are for something else.
const OTHERWISE: i32 = libc::O_WRONLY
    | libc::O_RDWR
    | libc::O_CREAT
    | libc::O_TRUNC
    | libc::O_DIRECTORY
    | libc::O_PATH;

/// Returns the rules by which we are asked, with or without those that have `O_CLOEXEC`.
pub fn rules(all: bool) -> [Rule; 2] {
    [(libc::SYS_open, 1), (libc::SYS_openat, 2)].map(|(call, flags)| Rule {
        call,
        tests: vec![Test::None(flags, otherwise(all) as u32)],
        verdict: Verdict::Ask,
    })
}

/// Returns the flags of a call, if the rules ask about it.
pub fn plain(call: &Notification, all: bool) -> Option<i32> {
    let flags = match i64::from(call.call) {
        libc::SYS_open => call.arguments[1] as i32,
        libc::SYS_openat => call.arguments[2] as i32,
        _ => return None,
    };
    (flags & otherwise(all) == 0).then_some(flags)
}

fn otherwise(all: bool) -> i32 {
    OTHERWISE | if all { 0 } else { libc::O_CLOEXEC }
}
