//! Looks at the machine, and lists directories.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;

use crate::syscall;

/// Prints what tells of the machine.
pub fn machine() {
    let mut names = [0_u8; 6 * 65];
    unsafe { syscall(63, &mut names) };
    for field in names.chunks(65) {
        let end = field.iter().position(|byte| *byte == 0).unwrap();
        println!("uname {}", String::from_utf8_lossy(&field[..end]));
    }
    let mut facts = [0_u64; 14];
    unsafe { syscall(99, &mut facts) };
    println!("sysinfo {facts:?}");
    let mut mask = [0_u8; 128];
    let size = unsafe { syscall(204, 0, 128, &mut mask) };
    println!("affinity {size} {:?}", &mask[..size as usize]);
    let cpus = std::thread::available_parallelism().unwrap();
    println!("parallelism {cpus}");
    for name in ["version", "uptime", "loadavg", "stat", "meminfo", "cpuinfo"] {
        println!("== {name}\n{}", fs::read_to_string(format!("/proc/{name}")).unwrap());
    }
    let mut names: Vec<_> = fs::read_dir("/sys/devices/system/cpu")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    println!("== cpu\n{}", names.join(" "));
    print!("{}", fs::read_to_string("/sys/devices/system/cpu/online").unwrap());
}

/// Prints how many processors the step really has, as the kernel tells who asks it in `/proc`.
pub fn processors() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap();
    let mask = line.split_once(':').unwrap().1;
    let ones: u32 = mask.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum();
    println!("{ones}");
}

/// Makes so many files in a directory, in an order of its own for each `step`.
pub fn fill(directory: &str, count: &str, step: &str) {
    let (count, step): (usize, usize) = (count.parse().unwrap(), step.parse().unwrap());
    fs::create_dir_all(directory).unwrap();
    for index in 0..count {
        fs::write(format!("{directory}/{}", index * step % count), "").unwrap();
    }
}

/// Lists a directory with buffers of so many bytes, twice through one descriptor, the second time
/// with a copy of it that goes on in the middle. Prints both lists.
pub fn list(directory: &str, size: &str) {
    let size: usize = size.parse().unwrap();
    let path = CString::new(directory).unwrap();
    let open = fs::File::open(path.to_str().unwrap()).unwrap();
    let mut first = Vec::new();
    assert_eq!(unsafe { syscall(217, -1_i64, first.as_mut_ptr(), 0) }, -1);
    while read(open.as_raw_fd(), size, &mut first) {}
    println!("{}", first.join(" "));
    assert_eq!(unsafe { syscall(8, open.as_raw_fd(), 0, 0) }, 0);
    let mut second = Vec::new();
    read(open.as_raw_fd(), size, &mut second);
    let copy = open.try_clone().unwrap();
    while read(copy.as_raw_fd(), size, &mut second) {}
    println!("{}", second == first);
}

/// Appends the names that one call gives; `false` at the end.
fn read(descriptor: i32, size: usize, names: &mut Vec<String>) -> bool {
    let mut buffer = vec![0_u8; size];
    let length = unsafe { syscall(217, descriptor, buffer.as_mut_ptr(), size) };
    assert!(length >= 0, "{length}");
    let mut at = 0;
    while at < length as usize {
        let record = u16::from_le_bytes([buffer[at + 16], buffer[at + 17]]) as usize;
        let name = &buffer[at + 19..at + record];
        let end = name.iter().position(|byte| *byte == 0).unwrap();
        names.push(String::from_utf8_lossy(&name[..end]).into_owned());
        at += record;
    }
    length > 0
}
