//! The signal by which faulting instructions are heard of is not blocked by a program: with it blocked,
//! the kernel would end the program at the next one, such as CPUID in the constructor of a library that a
//! thread loads.
//!
//! Everything else of the mask is as the program wants it. What somebody sends of the signal meanwhile
//! arrives at once.

use std::io;

use super::Reply;
use super::clock::{finish, stop};
use crate::init::filter::{Rule, Test, Verdict};
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// The rule by which we are asked.
pub fn rule() -> Rule {
    const BLOCKS: &[u32] = &[libc::SIG_BLOCK as u32, libc::SIG_SETMASK as u32];
    Rule {
        call: libc::SYS_rt_sigprocmask,
        tests: vec![Test::Among(0, u32::MAX, BLOCKS), Test::NonZero(1)],
        verdict: Verdict::Ask,
    }
}

/// Sets the mask that a call asks for, but for that signal. Other calls are made.
///
/// # Errors
/// Passes on what the kernel says of its thread.
pub fn answer(call: &Notification) -> io::Result<Reply> {
    const SIZE: u64 = 8;
    let made = Ok(Reply::Answer(Answer::Continue));
    let [how, set, old, size, ..] = call.arguments;
    let mut bytes = [0; SIZE as usize];
    if size != SIZE || memory::read(call.thread, set, &mut bytes).is_err() {
        return made;
    }
    let set = u64::from_le_bytes(bytes);
    if !blocks(set) {
        return made;
    }
    let Some((stopped, registers)) = stop(call)? else {
        return Ok(Reply::Done);
    };
    let before = stopped.mask()?;
    let all = match how as i32 {
        libc::SIG_BLOCK => before | set,
        _ => set,
    };
    stopped.set_mask(all & !bit(libc::SIGSEGV))?;
    let answer = match old == 0 || memory::write(call.thread, old, &before.to_le_bytes()).is_ok() {
        true => Answer::Value(0),
        false => Answer::Error(libc::EFAULT),
    };
    finish(&stopped, registers, answer)
}

/// Whether a program blocks the signal. The C library alone blocks its own signals too, for as long as it
/// makes a thread or a process.
fn blocks(set: u64) -> bool {
    const CANCEL: i32 = 32;
    const SET_XID: i32 = 33;
    set & bit(libc::SIGSEGV) != 0 && set & (bit(CANCEL) | bit(SET_XID)) == 0
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn what_the_c_library_does_for_itself_is_left_to_it() {
        assert!(blocks(0x400));
        // What `sigfillset` is, of glibc and of musl.
        assert!(blocks(0xffff_fffe_7fff_ffff));
        assert!(blocks(0xffff_fffc_7fff_ffff));
        assert!(!blocks(0xffff_ffff_ffff_fbff));
        assert!(!blocks(u64::MAX));
        assert!(!blocks(0));
    }
}
