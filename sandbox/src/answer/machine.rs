//! The machine that a step believes to be on.

use super::processor::{self, Model};
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// A set of instructions that programs may rely on: the levels of the x86-64 psABI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Baseline {
    /// With SSE4.2 and POPCNT: since 2009.
    V2,
    /// With AVX2, BMI2 and FMA: since 2013 (Intel) and 2015 (AMD).
    #[default]
    V3,
    /// With AVX-512 F, BW, CD, DQ and VL.
    V4,
}

impl Baseline {
    /// Every baseline, the least first.
    pub const ALL: [Baseline; 3] = [Baseline::V2, Baseline::V3, Baseline::V4];

    /// The name of the psABI.
    pub fn name(self) -> &'static str {
        match self {
            Baseline::V2 => "x86-64-v2",
            Baseline::V3 => "x86-64-v3",
            Baseline::V4 => "x86-64-v4",
        }
    }

    /// Returns the greatest that this processor has, if any.
    pub fn of_host() -> Option<Baseline> {
        use std::arch::is_x86_feature_detected as has;
        let v2 = has!("sse3")
            && has!("ssse3")
            && has!("sse4.1")
            && has!("sse4.2")
            && has!("popcnt")
            && has!("cmpxchg16b");
        let v3 = has!("avx")
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("f16c")
            && has!("fma")
            && has!("lzcnt")
            && has!("movbe");
        let v4 = has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        match (v2, v3, v4) {
            (true, true, true) => Some(Baseline::V4),
            (true, true, false) => Some(Baseline::V3),
            (true, false, _) => Some(Baseline::V2),
            (false, ..) => None,
        }
    }
}

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
    /// The instructions of its processors.
    pub baseline: Baseline,
    /// Whether the instruction CPUID tells of this machine too, where the host's processor lets us.
    pub cpuid: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            release: "6.1.0".to_owned(),
            version: "#1 SMP".to_owned(),
            cpus: 1,
            memory: 16 << 30,
            baseline: Baseline::default(),
            cpuid: false,
        }
    }
}

impl Machine {
    /// The files of `/proc` that tell of the machine, below `/proc`, with what is in them.
    pub fn proc_files(&self, epoch: u64) -> Vec<(&'static str, String)> {
        let (release, version) = (&self.release, &self.version);
        let kilobytes = self.memory >> 10;
        let half = kilobytes / 2;
        vec![
            ("cpuinfo", self.cpuinfo()),
            ("loadavg", "0.00 0.00 0.00 1/1 1\n".to_owned()),
            (
                "meminfo",
                format!(
                    "MemTotal:       {kilobytes:>8} kB\nMemFree:        {half:>8} kB\n\
                     MemAvailable:   {half:>8} kB\nBuffers:               0 kB\n\
                     Cached:                0 kB\nSwapCached:            0 kB\n\
                     SwapTotal:             0 kB\nSwapFree:              0 kB\n\
                     Shmem:                 0 kB\nSReclaimable:          0 kB\n"
                ),
            ),
            ("stat", self.stat(epoch)),
            ("uptime", "1.00 1.00\n".to_owned()),
            (
                "version",
                format!("Linux version {release} (envbox@envbox) {version}\n"),
            ),
            ("sys/kernel/osrelease", format!("{release}\n")),
            ("sys/kernel/version", format!("{version}\n")),
        ]
    }

    /// The numbers of the processors, as `/sys/devices/system/cpu/online` has them.
    pub fn cpu_list(&self) -> String {
        match self.cpus {
            1 => "0\n".to_owned(),
            cpus => format!("0-{}\n", cpus - 1),
        }
    }

    fn cpuinfo(&self) -> String {
        let (flags, cpus) = (processor::flags(self.baseline), self.cpus);
        let model = Model::of(self.baseline);
        let processor = |cpu| {
            format!(
                "processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {model}\n\
                 model name\t: {name}\nstepping\t: {stepping}\ncpu MHz\t\t: 2000.000\n\
                 cache size\t: 8192 KB\nphysical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {cpu}\n\
                 cpu cores\t: {cpus}\napicid\t\t: {cpu}\nfpu\t\t: yes\nwp\t\t: yes\n\
                 flags\t\t: {flags}\nbogomips\t: 4000.00\nclflush size\t: 64\n\
                 cache_alignment\t: 64\naddress sizes\t: 46 bits physical, 48 bits virtual\n\n",
                name = self.baseline.name(),
                model = model.number,
                stepping = model.stepping,
            )
        };
        (0..cpus).map(processor).collect()
    }

    fn stat(&self, epoch: u64) -> String {
        let zeros = " 0 0 0 0 0 0 0 0 0 0\n";
        let each: String = (0..self.cpus)
            .map(|cpu| format!("cpu{cpu}{zeros}"))
            .collect();
        format!(
            "cpu {zeros}{each}intr 0\nctxt 0\nbtime {epoch}\nprocesses 1\nprocs_running 1\n\
             procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
        )
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
    let [thread, size, address, ..] = call.arguments;
    if (thread as i32) < 0 {
        return Answer::Error(libc::ESRCH);
    }
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
