//! Waits that end before their time, in loops that wait for a deadline.

use std::ffi::c_void;

use crate::clock::{Time, nanoseconds, now};
use crate::syscall;

unsafe extern "C" {
    fn pipe(ends: *mut i32) -> i32;
    fn write(descriptor: i32, bytes: *const c_void, size: usize) -> isize;
    pub fn sigaction(signal: i32, new: *const Action, old: *mut Action) -> i32;
    pub fn setitimer(which: i32, new: *const [Time; 2], old: *mut [Time; 2]) -> i32;
}

/// `struct sigaction` of glibc.
#[repr(C)]
pub struct Action {
    pub handler: extern "C" fn(i32),
    pub mask: [u64; 16],
    pub flags: i32,
    pub restorer: usize,
}

extern "C" fn nothing(_: i32) {}

/// Waits for 100 ms in every way while a byte is there to read, and then while signals arrive.
/// Prints in how many waits the deadline was reached, and what the first one left of its time.
pub fn all() {
    let mut ends = [0_i32; 2];
    unsafe {
        pipe(ends.as_mut_ptr());
        write(ends[1], c"x".as_ptr().cast(), 1);
    }
    let reader = ends[0] as usize;
    let epoll = unsafe { syscall(291, 0) } as usize;
    let event = [1_u32, 0, 0];
    unsafe { syscall(233, epoll, 1, reader, &raw const event) };
    let mut events = [0_u32; 3];
    let events = events.as_mut_ptr() as usize;
    let descriptor = [reader as u64 | 1 << 32];
    let descriptor = descriptor.as_ptr() as usize;
    let set = move || Box::leak(Box::new(1_u64 << reader)) as *mut u64 as usize;

    count("poll", |at, _| [7, descriptor, 1, at.rest as usize / 1_000_000 + 1, 0, 0, 0]);
    count("ppoll", |_, at| [271, descriptor, 1, at, 0, 0, 0]);
    count("pselect6", |_, at| [270, reader + 1, set(), 0, 0, at, 0]);
    count("epoll_wait", |at, _| [232, epoll, events, 1, at.rest as usize / 1_000_000 + 1, 0, 0]);
    count("epoll_pwait2", |_, at| [441, epoll, events, 1, at, 0, 0]);
    let mut micro = Time { seconds: 0, rest: 50_000 };
    unsafe { syscall(23, reader + 1, set(), 0, 0, &raw mut micro) };
    println!("select left {} us", micro.rest);

    let action = Action { handler: nothing, mask: [0; 16], flags: 0, restorer: 0 };
    let period = Time { seconds: 0, rest: 20_000 };
    let periods = [period, period];
    unsafe {
        sigaction(14, &raw const action, std::ptr::null_mut());
        setitimer(0, &raw const periods, std::ptr::null_mut());
    }
    let mut rest = Time::default();
    let long = Time { seconds: 1000, rest: 0 };
    unsafe { syscall(35, &raw const long, &raw mut rest) };
    println!("nanosleep left {} s", rest.seconds);
    let word = 0_u32;
    let futex = &raw const word as usize;
    interrupted("nanosleep", |at| [35, at, 0, 0, 0, 0, 0]);
    interrupted("clock_nanosleep", |at| [230, 0, 0, at, 0, 0, 0]);
    interrupted("ppoll", |at| [271, 0, 0, at, 0, 0, 0]);
    interrupted("futex WAIT", |at| [202, futex, 0, 0, at, 0, 0]);
}

/// Waits until a deadline; returns in how many waits, and what the first left of its 100 ms.
fn until(length: i64, call: impl Fn(Time, usize) -> [usize; 7]) -> (u32, i64) {
    let deadline = nanoseconds(now(0)) + length;
    let (mut waits, mut first) = (0, 0);
    loop {
        let left = deadline - nanoseconds(now(0));
        if left <= 0 {
            return (waits, first);
        }
        let mut time = Time { seconds: left / 1_000_000_000, rest: left % 1_000_000_000 };
        let [number, a, b, c, d, e, f] = call(time, &raw mut time as usize);
        unsafe { syscall(number as i64, a, b, c, d, e, f) };
        if waits == 0 {
            first = nanoseconds(time);
        }
        waits += 1;
    }
}

fn count(name: &str, call: impl Fn(Time, usize) -> [usize; 7]) {
    let (waits, first) = until(100_000_000, call);
    println!("{name}: {waits} waits, the first left {first} ns");
}

/// In how many waits depends on the host: when its signals come. That there is an end does not.
fn interrupted(name: &str, call: impl Fn(usize) -> [usize; 7]) {
    let (waits, _) = until(10_000_000_000, |_, at| call(at));
    println!("{name}: there after fewer than 100 waits: {}", waits < 100);
}

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// Makes processes while others end, and tell of it by a signal whose handler wants no call made again.
pub fn forks() {
    const CHILD: i32 = 17;
    let action = Action { handler: nothing, mask: [0; 16], flags: 0, restorer: 0 };
    assert_eq!(unsafe { sigaction(CHILD, &raw const action, std::ptr::null_mut()) }, 0);
    let mut failed = 0;
    for _ in 0..1000 {
        match unsafe { fork() } {
            0 => unsafe { _exit(0) },
            -1 => failed += 1,
            _ => while unsafe { waitpid(-1, std::ptr::null_mut(), 1) } > 0 {},
        }
    }
    println!("failed {failed}");
}
