//! Asks the processor what it is, in every kind of process and thread, and breaks.

use std::arch::x86_64::__cpuid_count;
use std::ffi::c_void;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{kill, syscall};

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn sigaction(signal: i32, new: *const Action, old: *mut Action) -> i32;
    fn sigaltstack(new: *const [usize; 3], old: *mut [usize; 3]) -> i32;
    fn pthread_sigmask(how: i32, set: *const u64, old: *mut u64) -> i32;
    fn posix_spawn(pid: *mut i32, path: *const i8, a: *const c_void, b: *const c_void, argv: *const *const i8, env: *const *const i8) -> i32;
}

/// `struct sigaction` of glibc.
#[repr(C)]
#[derive(Clone, Copy)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

const SEGV: i32 = 11;
const SIGINFO: i32 = 4;
const ONSTACK: i32 = 0x0800_0000;
const RESETHAND: i32 = 0x8000_0000_u32 as i32;

/// Prints every leaf that says something.
pub fn leaves() {
    for leaf in (0..=0x20).chain(0x4000_0000..=0x4000_0001).chain(0x8000_0000..=0x8000_0020) {
        let parts = if matches!(leaf, 4 | 7 | 11 | 13) { 0..8 } else { 0..1 };
        for part in parts {
            let found = __cpuid_count(leaf, part);
            if (found.eax, found.ebx, found.ecx, found.edx) != (0, 0, 0, 0) {
                println!("{leaf:x}.{part} {:08x} {:08x} {:08x} {:08x}", found.eax, found.ebx, found.ecx, found.edx);
            }
        }
    }
}

/// What the processor is, in a word.
fn signature() -> String {
    format!("{:x}", __cpuid_count(1, 0).eax)
}

/// Prints what main, a thread, a forked child, its thread and other programs see.
pub fn processes() {
    println!("main {}", signature());
    println!("thread {}", std::thread::spawn(signature).join().unwrap());
    child(|| {
        println!("child {}", signature());
        println!("its thread {}", std::thread::spawn(signature).join().unwrap());
    });
    let output = Command::new("/bin/guest").arg("cpuid-word").output().unwrap();
    print!("other program {}", String::from_utf8(output.stdout).unwrap());
    child(|| {
        let error = Command::new("/bin/guest").arg("cpuid-word").exec();
        panic!("{error}");
    });
}

pub fn word() {
    println!("{}", signature());
}

pub fn child(act: impl FnOnce()) -> i32 {
    let mut status = 0;
    unsafe {
        match fork() {
            0 => {
                act();
                std::process::exit(0);
            }
            pid => waitpid(pid, &mut status, 0),
        };
    }
    status
}

fn set(handler: usize, flags: i32) -> Action {
    let mut old = Action { handler: 0, mask: [0; 16], flags: 0, restorer: 0 };
    let new = Action { handler, mask: [0; 16], flags, restorer: 0 };
    assert_eq!(unsafe { sigaction(SEGV, &new, &mut old) }, 0);
    old
}

static CALLS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32, info: *const i32, context: *mut u64) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let (code, address) = unsafe { (*info.add(2), *info.cast::<u64>().add(2)) };
    let local = 0_u8;
    let own = &raw const local as u64;
    let interrupted = unsafe { *context.add(20) };
    println!("handler: code {code} address {address:x} cpuid {} far {}", signature(), own.abs_diff(interrupted) > 1 << 20);
    // Over the faulting store, which is two bytes long.
    if code > 0 {
        unsafe { *context.add(21) += 2 };
    }
}

/// Stores to address 8.
fn fault() {
    unsafe { core::arch::asm!("mov [rax], ecx", in("rax") 8) };
}

/// A program with a handler of its own, which goes on after a fault.
pub fn handler() {
    let count = count as *const () as usize;
    set(0, 0);
    println!("before: {}", set(count, SIGINFO | ONSTACK).handler);
    println!("{}", signature());
    fault();
    fault();
    unsafe { kill(std::process::id() as i32, SEGV) };
    println!("{} calls, then {}", CALLS.load(Ordering::Relaxed), signature());
    println!("set is kept: {}", set(count, SIGINFO | ONSTACK).handler == count);
    let stack = Box::leak(Box::new([0_u8; 1 << 16]));
    let alternate = [stack.as_mut_ptr() as usize, 0, stack.len()];
    unsafe { sigaltstack(&alternate, std::ptr::null_mut()) };
    fault();
    println!("{}", signature());
    // The parent's handler survives what a spawned program makes of its own.
    let arguments = [c"guest".as_ptr(), c"cpuid-word".as_ptr(), std::ptr::null()];
    let (mut pid, mut status, environment) = (0, 0, [std::ptr::null()]);
    unsafe {
        posix_spawn(&mut pid, c"/bin/guest".as_ptr(), std::ptr::null(), std::ptr::null(), arguments.as_ptr(), environment.as_ptr());
        waitpid(pid, &mut status, 0);
    }
    println!("spawned: {status}, kept {}", set(count, SIGINFO | ONSTACK | RESETHAND).handler == count);
    println!("once, then {}", child(|| { fault(); println!("{}", signature()); fault(); }) & 127);
}

/// How children end that fault, with what they do about it.
pub fn deaths() {
    let deaths: [(&str, fn()); 6] = [
        ("by default", || { set(0, 0); fault() }),
        ("ignored", || { set(1, 0); fault() }),
        ("ignored, sent", || { set(1, 0); unsafe { kill(std::process::id() as i32, SEGV) }; }),
        ("sent", || { set(0, 0); unsafe { kill(std::process::id() as i32, SEGV) }; }),
        ("in the handler", || {
            extern "C" fn again() { fault() }
            set(again as *const () as usize, 0);
            fault()
        }),
        ("general protection", || {
            set(0, 0);
            unsafe { core::arch::asm!("mov [rax], ecx", in("rax") 1_u64 << 63) };
        }),
    ];
    for (name, act) in deaths {
        println!("{name}: {}", child(act) & 127);
    }
}

/// CPUID with its signal blocked, which nothing can answer; and the way back to the host's.
pub fn limits() {
    let blocked = child(|| {
        let set = 1_u64 << (SEGV - 1);
        unsafe { pthread_sigmask(0, &set, std::ptr::null_mut()) };
        signature();
    });
    println!("blocked: {}", blocked & 127);
    println!("allow: {}", unsafe { syscall(158, 0x1012, 1) });
}
