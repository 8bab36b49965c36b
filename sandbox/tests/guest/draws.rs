//! Draws from every source of nondeterminism.

use std::ffi::c_void;
use std::fs;
use std::net::Ipv6Addr;

use crate::syscall;

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    fn gettimeofday(time: *mut [i64; 2], zone: *mut c_void) -> i32;
    fn time(out: *mut i64) -> i64;
}

/// Draws so many times from each.
pub fn draw(times: u32) {
    fs::write("/tmp/file", "text").unwrap();
    let [mut number, mut out] = [0_u64; 2];
    let mut buffer = [0_u64; 64];
    let buffer = buffer.as_mut_ptr();
    for _ in 0..times {
        clocks();
        unsafe {
            syscall(98, 0, buffer);
            syscall(100, buffer);
            syscall(318, &raw mut number, 8, 0);
            syscall(63, buffer);
            syscall(99, buffer);
            syscall(309, &raw mut out, 0, 0);
            syscall(110);
            // PTRACE_PEEKDATA, of no process that it traces.
            syscall(101, 2, 1, 0, 0);
        }
        drop(fs::File::open("/dev/urandom").unwrap());
        drop(fs::File::open("/proc/cpuinfo"));
        drop(fs::File::open("/proc/self/stat"));
        assert!(fs::read_dir("/bin").unwrap().count() > 0);
        statuses(buffer);
        std::thread::spawn(|| ()).join().unwrap();
        network();
        assert!(fs::File::open("/data/train.csv").is_err());
        // Relative, and with dots.
        assert!(fs::File::open("../../data/./train.csv").is_err());
    }
    println!("drawn");
}

fn clocks() {
    let (mut pair, mut single) = ([0; 2], 0);
    unsafe {
        for clock in [0, 1, 2] {
            clock_gettime(clock, &mut pair);
            syscall(228, clock, &mut pair);
        }
        gettimeofday(&mut pair, std::ptr::null_mut());
        syscall(96, &mut pair, 0);
        time(&mut single);
        syscall(201, &mut single);
    }
}

/// By path, by a path that is relative, and by descriptor.
fn statuses(buffer: *mut u64) {
    const AT_EMPTY_PATH: i32 = 0x1000;
    let file = fs::File::open("/tmp/file").unwrap();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    let tmp = fs::File::open("/tmp").unwrap();
    let directory = std::os::fd::AsRawFd::as_raw_fd(&tmp);
    unsafe {
        syscall(4, c"/tmp/../tmp/file".as_ptr(), buffer);
        syscall(262, directory, c"file".as_ptr(), buffer, 0);
        syscall(262, descriptor, c"".as_ptr(), buffer, AT_EMPTY_PATH);
    }
}

fn network() {
    let mut four = [0_u8; 16];
    four[..8].copy_from_slice(&[2, 0, 0, 80, 10, 1, 2, 3]);
    let mut six = [0_u8; 28];
    six[..4].copy_from_slice(&[10, 0, 0, 53]);
    six[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
    unsafe {
        // Descriptors that are none: it is the attempt that counts.
        syscall(42, -1, four.as_ptr(), four.len());
        syscall(44, -1, four.as_ptr(), 0, 0, six.as_ptr(), six.len());
    }
}

/// Makes a call as a 32-bit program would.
pub fn call_as_32_bit() {
    const GETPID: u32 = 20;
    unsafe { std::arch::asm!("int 0x80", inout("eax") GETPID => _) };
    println!("alive");
}
