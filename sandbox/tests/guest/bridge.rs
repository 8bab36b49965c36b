//! A call that can be cancelled, as musl and new versions of glibc make it: a handler of a signal
//! cancels it if it finds the thread before or at the instruction that makes the call, and else leaves
//! a note, which is read before a call and after an interrupted one.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::clock::Time;
use crate::cut_short::{Action, sigaction};
use crate::syscall;

std::arch::global_asm!(
    ".globl bridge, bridge_call, bridge_cancelled",
    "bridge:",
    "cmp dword ptr [rdi], 0",
    "jne bridge_cancelled",
    "mov rax, rsi",
    "mov rdi, rdx",
    "mov rsi, rcx",
    "mov rdx, r8",
    "mov r10, r9",
    "syscall",
    "bridge_call:",
    "ret",
    "bridge_cancelled:",
    "mov rax, -4",
    "ret",
);

unsafe extern "C" {
    fn bridge(note: *const AtomicU32, number: i64, a: usize, b: usize, c: usize, d: usize) -> i64;
    fn bridge_call();
    fn bridge_cancelled();
}

/// Whether it is to be cancelled, and which round it is.
static NOTE: AtomicU32 = AtomicU32::new(0);
static ROUND: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: i32, _: usize, context: *mut u64) {
    /// Words of `struct ucontext` before the saved `rip`.
    const RIP: usize = 21;
    NOTE.store(1, SeqCst);
    let at = unsafe { &mut *context.add(RIP) };
    if (bridge as u64..bridge_call as u64).contains(at) {
        *at = bridge_cancelled as u64;
    }
}

/// Waits in so many rounds, in each of which a signal comes just before the wait, on the way to it or
/// in it. Prints in how many it ended nothing.
pub fn all(rounds: u32) {
    const SIGINFO_AND_RESTART: i32 = 0x1000_0004;
    // The handler takes more, as the flag says.
    let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(i32)>(handler as usize) };
    let action = Action { handler, mask: [0; 16], flags: SIGINFO_AND_RESTART, restorer: 0 };
    unsafe { sigaction(10, &raw const action, std::ptr::null_mut()) };
    let process = std::process::id();
    let other = std::thread::spawn(move || {
        for round in 1..=rounds {
            while ROUND.load(SeqCst) != round {
                std::hint::spin_loop();
            }
            for _ in 0..(round % 100) * 40 {
                std::hint::spin_loop();
            }
            // The first thread has the number of the process.
            unsafe { syscall(234, process, process, 10) };
        }
    });
    let long = Time { seconds: 0, rest: 300_000_000 };
    let mut lost = 0;
    for round in 1..=rounds {
        NOTE.store(0, SeqCst);
        ROUND.store(round, SeqCst);
        let ended = unsafe { bridge(&raw const NOTE, 35, &raw const long as usize, 0, 0, 0) };
        lost += u32::from(ended == 0);
        while NOTE.load(SeqCst) == 0 {
            std::hint::spin_loop();
        }
    }
    other.join().unwrap();
    println!("lost {lost}");
}
