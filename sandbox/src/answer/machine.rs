//! The machine that a step believes to be on.

use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// What a step is told of the machine it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The release of the kernel, as `uname -r` prints it.
    pub release: String,
    /// The version of the kernel, as `uname -v` prints it.
    pub version: String,
    /// The number of processors.
    pub cpus: u32,
    /// The size of the memory in bytes.
    pub memory: u64,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            release: "6.1.0".to_owned(),
            version: "#1 SMP".to_owned(),
            cpus: 1,
            memory: 16 << 30,
        }
    }
}

/// Answers `uname`.
pub fn uname(machine: &Machine, hostname: &str, domainname: &str, call: &Notification) -> Answer {
    const FIELD: usize = 65;
    let mut bytes = [0; 6 * FIELD];
    let fields = [
        "Linux",
        hostname,
        &machine.release,
        &machine.version,
        "x86_64",
        domainname,
    ];
    for (place, field) in bytes.chunks_exact_mut(FIELD).zip(fields) {
        let size = field.len().min(FIELD - 1);
        place[..size].copy_from_slice(&field.as_bytes()[..size]);
    }
    told(memory::write(call.thread, call.arguments[0], &bytes))
}

/// Answers `sysinfo`: half of the memory is free, and nothing else is going on.
pub fn sysinfo(machine: &Machine, call: &Notification) -> Answer {
    // struct sysinfo: uptime, three loads, total, free, shared, buffers, swap total, swap free,
    // processes (16 bits), total high, free high, unit (32 bits).
    let mut words = [0_u64; 14];
    words[0] = 1;
    words[4] = machine.memory;
    words[5] = machine.memory / 2;
    words[10] = 1;
    words[13] = 1;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    told(memory::write(call.thread, call.arguments[0], &bytes))
}

/// Answers `sched_getaffinity` with the first processors.
pub fn affinity(machine: &Machine, call: &Notification) -> Answer {
    let [_, size, address, ..] = call.arguments;
    let needed = (machine.cpus as usize).div_ceil(64) * 8;
    // The kernel wants whole words, and enough of them for the processors it knows.
    if (size as usize) < needed || size % 8 != 0 {
        return Answer::Error(libc::EINVAL);
    }
    let mut mask = vec![0_u8; needed];
    for cpu in 0..machine.cpus as usize {
        mask[cpu / 8] |= 1 << (cpu % 8);
    }
    match told(memory::write(call.thread, address, &mask)) {
        Answer::Value(_) => Answer::Value(needed as i64),
        answer => answer,
    }
}

fn told(result: std::io::Result<()>) -> Answer {
    match result {
        Ok(()) => Answer::Value(0),
        Err(_) => Answer::Error(libc::EFAULT),
    }
}
