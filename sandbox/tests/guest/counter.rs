//! Reads the processor's time-stamp counter, in every kind of process and thread.

use std::arch::x86_64::{__rdtscp, _rdtsc};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cpuid::child;

/// Reads it three times, by both instructions; says whether it went on.
fn read() -> &'static str {
    let mut processor = 0;
    let (first, second) = unsafe { (_rdtsc(), __rdtscp(&mut processor)) };
    let third = unsafe { _rdtsc() };
    match first < second && second < third {
        true => "goes on",
        false => "stands",
    }
}

/// Reads it in main, a thread, a forked child, its thread, after a call of exec that failed, and in
/// other programs: eighteen reads.
pub fn processes() {
    println!("main {}", read());
    println!("thread {}", std::thread::spawn(read).join().unwrap());
    child(|| println!("its child's thread {}", std::thread::spawn(read).join().unwrap()));
    child(|| {
        let error = Command::new("/bin/nothing").exec();
        println!("{error}, {}", read());
    });
    let output = Command::new("/bin/guest").arg("counter-once").output().unwrap();
    print!("other program {}", String::from_utf8(output.stdout).unwrap());
    child(|| {
        let error = Command::new("/bin/guest").arg("counter-once").exec();
        panic!("{error}");
    });
}

pub fn once() {
    println!("{}", read());
}
