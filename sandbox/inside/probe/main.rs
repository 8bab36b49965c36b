//! The probe: tries NVIDIA's driver inside a sandbox, and tells what it says.
//!
//! Comes in: nothing but the libraries that the step would find. Goes out: a line `KEY VALUE` on
//! standard output for each thing that is known, `missing KEY` where a library has no such
//! function, `error KEY NUMBER` where it answers with an error, and `failed CALL …` before it ends
//! with a status of its own; `src/gpu/probe.rs` reads that.
//!
//! The driver's libraries are made for glibc and are loaded by the guest's. So this is a program of
//! the guest's world: its interpreter is the guest's, and it asks libc for a handful of functions
//! that every glibc since 2.2.5 has, without naming a version (`libc.rs`, `libdl.rs`). It links
//! nothing else.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "calls of C libraries")]

#[path = "../syscall.rs"]
#[expect(dead_code, reason = "the other program uses the rest")]
mod syscall;

mod cuda;
mod library;
mod nvml;
mod print;

use core::ffi::{c_char, c_int, c_void};

use crate::print::Line;
use crate::syscall::{call, number};

/// `libcuda` cannot be loaded.
const NO_LIBRARY: i32 = 10;
/// It lacks a function that every version has.
const NO_FUNCTION: i32 = 11;
/// `cuInit` fails.
const NO_INIT: i32 = 12;
/// The devices cannot be counted.
const NO_COUNT: i32 = 13;
/// There are none.
const NO_DEVICE: i32 = 14;
/// One of them tells nothing.
const NO_ANSWER: i32 = 15;

unsafe extern "C" {
    /// Starts libc and calls `main`; the last arguments but two are for programs of its own.
    fn __libc_start_main(
        main: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int,
        count: c_int,
        arguments: *mut *mut c_char,
        start: *const c_void,
        end: *const c_void,
        loader_end: *const c_void,
        stack: *mut c_void,
    ) -> c_int;
}

/// The entry point: the kernel has the arguments on the stack, the loader its own end in a register.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    core::arch::naked_asm!(
        "xor ebp, ebp", "mov rdi, rsp", "mov rsi, rdx", "and rsp, -16", "call {start}", "ud2",
        start = sym start
    )
}

extern "C" fn start(stack: *mut usize, loader_end: *const c_void) -> ! {
    // SAFETY: the kernel put the number of arguments at the top of the stack and the arguments
    // behind it; the loader ran before us.
    unsafe {
        let count = *stack as c_int;
        let arguments = stack.add(1).cast();
        let none = core::ptr::null();
        __libc_start_main(main, count, arguments, none, none, loader_end, stack.cast());
    }
    exit(1)
}

extern "C" fn main(_: c_int, _: *mut *mut c_char, _: *mut *mut c_char) -> c_int {
    let status = match cuda::tell() {
        Ok(()) => 0,
        Err(status) => status,
    };
    // Not by returning: the driver's own cleaning up is nobody's interest.
    exit(status)
}

/// Ends the process.
fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes no pointers and does not return.
        let _ = unsafe { call(number::EXIT_GROUP, [status as usize]) };
    }
}

/// Says which call failed, with its error, and returns the status to end with.
fn failed(name: &[u8], error: i32, status: i32) -> i32 {
    let mut line = Line::new();
    line.text(b"failed ")
        .text(name)
        .text(b" ")
        .number(error.into());
    line.print();
    status
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(1)
}

/// What an unoptimised `core` refers to; `build.rs` compiles without the feature.
#[cfg(feature = "freestanding")]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
