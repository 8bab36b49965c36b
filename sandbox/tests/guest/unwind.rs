//! What a signal's handler finds on the stack when it comes in a wait or in a read of the clock.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::clock::{Time, now};
use crate::cut_short::{Action, setitimer, sigaction};
use crate::syscall;

unsafe extern "C" {
    fn _Unwind_Backtrace(each: extern "C" fn(*mut c_void, *mut c_void) -> i32, with: *mut c_void) -> i32;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn _Unwind_FindEnclosingFunction(at: *mut c_void) -> *mut c_void;
}

/// Signals that came, and those whose handler found the function below itself that waits or reads.
static CAME: AtomicU32 = AtomicU32::new(0);
static FOUND: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: i32) {
    unsafe { _Unwind_Backtrace(frame, std::ptr::null_mut()) };
    CAME.fetch_add(1, Relaxed);
}

extern "C" fn frame(context: *mut c_void, _: *mut c_void) -> i32 {
    // Of the outermost it is zero.
    let call = unsafe { _Unwind_GetIP(context) }.wrapping_sub(1);
    let function = unsafe { _Unwind_FindEnclosingFunction(call as *mut c_void) };
    if function as usize == wait as usize || function as usize == read as usize {
        FOUND.fetch_add(1, Relaxed);
    }
    0
}

#[inline(never)]
extern "C" fn wait([number, a, b, c, d, e, f]: [usize; 7]) -> i64 {
    std::hint::black_box(unsafe { syscall(number as i64, a, b, c, d, e, f) })
}

/// Reads the clock while signals come.
#[inline(never)]
extern "C" fn read(signals: u32) {
    every(1000);
    while CAME.load(Relaxed) < signals {
        std::hint::black_box(now(0));
    }
    every(0);
}

/// Has a signal come each time after so many microseconds, or no more.
fn every(microseconds: i64) {
    let period = Time { seconds: 0, rest: microseconds };
    unsafe { setitimer(0, &[period, period], std::ptr::null_mut()) };
}

/// Prints for each way to wait, and for reads, whether the stack could be unwound.
pub fn all() {
    let action = Action { handler, mask: [0; 16], flags: 0, restorer: 0 };
    unsafe { sigaction(14, &raw const action, std::ptr::null_mut()) };
    let word = 0_u32;
    let futex = &raw const word as usize;
    let at = &raw const *Box::leak(Box::new(Time { seconds: 1000, rest: 0 })) as usize;
    let ways: [(&str, [usize; 7]); 6] = [
        ("nanosleep", [35, at, 0, 0, 0, 0, 0]),
        ("clock_nanosleep", [230, 1, 0, at, 0, 0, 0]),
        ("poll", [7, 0, 0, 1_000_000, 0, 0, 0]),
        ("ppoll", [271, 0, 0, at, 0, 0, 0]),
        ("pselect6", [270, 0, 0, 0, 0, at, 0]),
        ("futex", [202, futex, 0, 0, at, 0, 0]),
    ];
    for (name, call) in ways {
        FOUND.store(0, Relaxed);
        every(20_000);
        // The signal that interrupts it comes in it.
        wait(call);
        every(0);
        println!("{name}: {}", FOUND.load(Relaxed) > 0);
    }
    [&CAME, &FOUND].map(|count| count.store(0, Relaxed));
    read(100);
    let others = CAME.load(Relaxed) - FOUND.load(Relaxed);
    println!("reads: {}", others == 0);
}
