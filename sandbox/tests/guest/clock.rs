//! Looks at clocks, and waits on them.

use std::ffi::c_void;

use crate::syscall;

unsafe extern "C" {
    fn clock_getres(clock: i32, time: *mut Time) -> i32;
    fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    fn gettimeofday(time: *mut Time, zone: *mut c_void) -> i32;
    fn time(out: *mut i64) -> i64;
    fn __errno_location() -> *mut i32;
    fn pthread_sigmask(how: i32, set: *const u64, old: *mut u64) -> i32;
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Time {
    pub seconds: i64,
    pub rest: i64,
}

const CLOCKS: [(&str, i32); 10] = [
    ("REALTIME", 0),
    ("MONOTONIC", 1),
    ("PROCESS_CPUTIME_ID", 2),
    ("THREAD_CPUTIME_ID", 3),
    ("MONOTONIC_RAW", 4),
    ("REALTIME_COARSE", 5),
    ("MONOTONIC_COARSE", 6),
    ("BOOTTIME", 7),
    ("TAI", 11),
    ("cpu of this process", !0 << 3 | 2),
];

/// Reads a clock so often, in a thread and in main, and prints what they see last.
pub fn often(count: u32) {
    let look = move || {
        let mut seen = Time::default();
        for _ in 0..count {
            unsafe { clock_gettime(1, &mut seen) };
        }
        format!("{}.{:09}", seen.seconds, seen.rest)
    };
    println!("{} {}", std::thread::spawn(look).join().unwrap(), look());
}

/// Looks at the wall clock 8,000 times, by the library or by the system call, and sleeps a millisecond half way.
/// Prints what it shows at every 500th read.
pub fn paces(by_call: bool) {
    for count in 1..=8_000 {
        let mut seen = Time::default();
        match by_call {
            true => unsafe { syscall(228, 0, &mut seen) },
            false => unsafe { clock_gettime(0, &mut seen).into() },
        };
        if count % 500 == 0 {
            println!("{count} {}.{:09} {}", seen.seconds, seen.rest, nanoseconds(now(1)));
        }
        if count == 4_000 {
            let span = Time { seconds: 0, rest: 1_000_000 };
            unsafe { syscall(35, &raw const span as usize, 0, 0, 0, 0, 0) };
        }
    }
}

/// Prints every clock, by the library and by the system call, with so many digits of the second.
pub fn clocks(digits: usize) {
    let show = |time: Time| {
        let text = format!("{}.{:09}", time.seconds, time.rest);
        text[..text.len() - 9 + digits].trim_end_matches('.').to_owned()
    };
    for (name, clock) in CLOCKS {
        let (mut by_library, mut by_call) = (Time::default(), Time::default());
        unsafe {
            clock_gettime(clock, &mut by_library);
            syscall(228, clock, &mut by_call);
        }
        println!("{name} {} {}", show(by_library), show(by_call));
    }
    let mut micro = [Time::default(); 2];
    unsafe {
        gettimeofday(&mut micro[0], std::ptr::null_mut());
        syscall(96, &mut micro[1], 0);
    }
    let [first, second] = micro.map(|time| Time {
        rest: time.rest * 1000,
        ..time
    });
    println!("gettimeofday {} {}", show(first), show(second));
    let (mut a, mut b) = (0_i64, 0_i64);
    let values = unsafe { (time(&mut a), syscall(201, &mut b)) };
    println!("time {} {} {}", values.0, values.1, a == values.0 && b == values.1);
    let mut resolution = Time::default();
    unsafe { clock_getres(0, &mut resolution) };
    println!("resolution {}", resolution.rest);
}

/// Prints what the kernel says of the processor time and memory that were used.
pub fn usage() {
    let mut times = [0_u64; 4];
    let ticks = unsafe { syscall(100, &mut times) };
    println!("times {ticks} {times:?}");
    for (name, who) in [("self", 0_i64), ("children", -1), ("thread", 1), ("nobody", 7)] {
        let mut usage = [0_u64; 18];
        let result = unsafe { syscall(98, who, &mut usage) };
        println!("{name} {result} {usage:?}");
    }
}

/// Waits as a thread of Python's waits for another, and prints how far the clock moved. Then waits a
/// little longer.
pub fn uncounted() {
    let word = 0_u32;
    for wait in [5_017_000, 5_016_000] {
        let before = nanoseconds(now(1));
        let deadline = after(1, wait);
        let result = unsafe { syscall(202, &raw const word as usize, 9 | 128, 0, &raw const deadline as usize, 0, u32::MAX as usize) };
        println!("{result} {} {}", errno(), nanoseconds(now(1)) - before);
    }
}

/// Ends so many processes while threads of theirs wait, and prints how many ended.
pub fn ends(count: &str) {
    let all = 0..count.parse().unwrap();
    let ended = all.filter(|_| {
        let mut command = std::process::Command::new("/proc/self/exe");
        command.arg("end-in-waits").status().unwrap().success()
    });
    println!("{}", ended.count());
}

/// Ends while other threads wait again and again.
pub fn end_in_waits() {
    for _ in 0..3 {
        std::thread::spawn(|| loop {
            let span = Time { seconds: 0, rest: 1 };
            unsafe { syscall(35, &raw const span as usize, 0, 0, 0, 0, 0) };
        });
    }
    let span = Time { seconds: 0, rest: 1_000_000 };
    unsafe { syscall(35, &raw const span as usize, 0, 0, 0, 0, 0) };
}

/// What the kernel refuses.
pub fn invalid() {
    let mut time = Time::default();
    let out = &raw mut time as usize;
    let bad = Time { seconds: -1, rest: 0 };
    let late = Time { seconds: 0, rest: 2_000_000_000 };
    // The clock of a process is its number inverted, and `CPUCLOCK_SCHED`.
    let gone = !0x3f_ffff << 3 | 2;
    let calls: [(&str, [usize; 7]); 9] = [
        ("no such clock", [228, 99, out, 0, 0, 0, 0]),
        ("clock of no process", [228, gone as usize, out, 0, 0, 0, 0]),
        ("clock_gettime nowhere", [228, 0, 8, 0, 0, 0, 0]),
        ("gettimeofday nowhere", [96, 8, 0, 0, 0, 0, 0]),
        ("sleep below zero", [35, &raw const bad as usize, 0, 0, 0, 0, 0]),
        ("sleep beyond a second", [35, &raw const late as usize, 0, 0, 0, 0, 0]),
        ("sleep from nowhere", [35, 8, 0, 0, 0, 0, 0]),
        ("getrandom nowhere", [318, 8, 16, 0, 0, 0, 0]),
        ("getrandom flags", [318, out, 16, 64, 0, 0, 0]),
    ];
    for (name, [number, a, b, c, d, e, f]) in calls {
        let result = unsafe { syscall(number as i64, a, b, c, d, e, f) };
        println!("{name} {result} {}", errno());
    }
    for (name, clock) in [("no such clock", 99), ("clock of no process", gone)] {
        let result = unsafe { clock_gettime(clock, &mut time) };
        println!("{name} by the vDSO {result} {}", errno());
    }
}

/// Prints what is told of how the wall clock is disciplined, and what is refused.
pub fn discipline() {
    let ways = [("read", 0, 0_u32), ("left", 0, 0xa001), ("tick", 0, 0x4000), ("monotonic", 1, 0)];
    for (name, clock, modes) in ways {
        let mut state = [0_u64; 26];
        state[0] = modes.into();
        match unsafe { syscall(305, clock, state.as_mut_ptr()) } {
            -1 => println!("{name} error {}", errno()),
            result => println!("{name} {result} {} {} {}", state[1], state[5], state[9]),
        }
    }
    let zero = Time::default();
    for clock in [0, 1] {
        let result = unsafe { syscall(227, clock, &raw const zero) };
        println!("set {clock} {result} {}", errno());
    }
}

fn errno() -> i32 {
    unsafe { *__errno_location() }
}

pub fn now(clock: i32) -> Time {
    let mut time = Time::default();
    unsafe { clock_gettime(clock, &mut time) };
    time
}

pub fn nanoseconds(time: Time) -> i64 {
    time.seconds * 1_000_000_000 + time.rest
}

const WAIT: i64 = 50_000_000;

fn after(clock: i32, wait: i64) -> Time {
    let at = nanoseconds(now(clock)) + wait;
    Time {
        seconds: at / 1_000_000_000,
        rest: at % 1_000_000_000,
    }
}

/// Waits for 50 ms in every way, and prints what the wait returned, whether it took time, and how
/// far the wall clock and the monotonic clock moved, in milliseconds.
pub fn waits() {
    let span = Time { seconds: 0, rest: WAIT };
    let micro = Time { seconds: 0, rest: WAIT / 1000 };
    let word = 0_u32;
    let (span, futex) = (&raw const span as usize, &raw const word as usize);
    let set = 1_u64 << (10 - 1);
    unsafe { pthread_sigmask(0, &set, std::ptr::null_mut()) };
    let epoll = unsafe { syscall(291, 0) } as usize;
    let queue = queue();
    let semaphore = unsafe { syscall(64, 0, 1, 0o1600) } as usize;
    let operation = [0_i16, -1, 0];
    let any = usize::MAX;

    relative("nanosleep", [35, span, 0, 0, 0, 0, 0]);
    relative("clock_nanosleep REALTIME", [230, 0, 0, span, 0, 0, 0]);
    relative("clock_nanosleep MONOTONIC", [230, 1, 0, span, 0, 0, 0]);
    relative("poll", [7, 0, 0, 50, 0, 0, 0]);
    relative("ppoll", [271, 0, 0, &mut { Time { seconds: 0, rest: WAIT } } as *mut _ as usize, 0, 0, 0]);
    relative("select", [23, 0, 0, 0, 0, &mut { micro } as *mut _ as usize, 0]);
    relative("pselect6", [270, 0, 0, 0, 0, &mut { Time { seconds: 0, rest: WAIT } } as *mut _ as usize, 0]);
    let mut event = [0_u64; 2];
    let event = &raw mut event as usize;
    relative("epoll_wait", [232, epoll, event, 1, 50, 0, 0]);
    relative("epoll_pwait", [281, epoll, event, 1, 50, 0, 0]);
    relative("epoll_pwait2", [441, epoll, event, 1, span, 0, 0]);
    relative("futex WAIT", [202, futex, 0, 0, span, 0, 0]);
    relative("rt_sigtimedwait", [128, &raw const set as usize, 0, span, 8, 0, 0]);
    relative("semtimedop", [220, semaphore, &raw const operation as usize, 1, span, 0, 0]);

    for (name, clock) in [("REALTIME", 0), ("MONOTONIC", 1), ("BOOTTIME", 7), ("TAI", 11)] {
        absolute(&format!("clock_nanosleep {name} until"), clock, |at| [230, clock as usize, 1, at, 0, 0, 0]);
    }
    absolute("futex WAIT_BITSET MONOTONIC", 1, |at| [202, futex, 9, 0, at, 0, any]);
    absolute("futex WAIT_BITSET REALTIME", 0, |at| [202, futex, 0x109, 0, at, 0, any]);
    absolute("mq_timedreceive", 0, |at| [243, queue, &raw mut *Box::leak(Box::new([0_u8; 64])) as usize, 64, 0, at, 0]);
    for (name, clock) in [("REALTIME", 0), ("MONOTONIC", 1)] {
        timer_descriptor(&format!("timerfd {name} until"), clock);
        timer(&format!("timer_settime {name} until"), clock);
    }
    unsafe { syscall(66, semaphore, 0, 0) };
}

fn queue() -> usize {
    let attributes = [0_i64, 1, 64, 0];
    let name = c"guest".as_ptr();
    let queue = unsafe { syscall(240, name, 0o102, 0o600, &raw const attributes) };
    // Without an ipc namespace it would stay for the next user.
    unsafe { syscall(241, name) };
    queue as usize
}

fn relative(name: &str, call: [usize; 7]) {
    measure(name, |_| call);
}

fn absolute(name: &str, clock: i32, call: impl Fn(usize) -> [usize; 7]) {
    measure(name, |deadline| {
        *deadline = after(clock, WAIT);
        call(&raw const *deadline as usize)
    });
}

fn timer_descriptor(name: &str, clock: i32) {
    let descriptor = unsafe { syscall(283, clock, 0) } as usize;
    let mut count = 0_u64;
    measure(name, |_| {
        let at = after(clock, WAIT);
        let when = [Time::default(), at];
        unsafe { syscall(286, descriptor, 1, &raw const when, 0) };
        [0, descriptor, &raw mut count as usize, 8, 0, 0, 0]
    });
}

fn timer(name: &str, clock: i32) {
    // SIGUSR1, which is blocked, to the process.
    let event = [0_u64, 10, 0, 0, 0, 0, 0, 0];
    let mut timer = 0_i32;
    unsafe { syscall(222, clock, &raw const event, &raw mut timer) };
    let set = 1_u64 << (10 - 1);
    measure(name, |_| {
        let when = [Time::default(), after(clock, WAIT)];
        unsafe { syscall(223, timer, 1, &raw const when, 0) };
        [128, &raw const set as usize, 0, 0, 8, 0, 0]
    });
}

fn measure(name: &str, prepare: impl FnOnce(&mut Time) -> [usize; 7]) {
    let mut deadline = Time::default();
    let before = [0, 1].map(|clock| nanoseconds(now(clock)));
    let ticks = unsafe { core::arch::x86_64::_rdtsc() };
    let [number, a, b, c, d, e, f] = prepare(&mut deadline);
    let result = unsafe { syscall(number as i64, a, b, c, d, e, f) };
    let error = if result < 0 { errno() } else { 0 };
    // No processor that runs this has less than 400 MHz.
    let waited = unsafe { core::arch::x86_64::_rdtsc() } - ticks > 20_000_000;
    let moved = [0, 1].map(|clock| (nanoseconds(now(clock)) - before[clock as usize]) / 1_000_000);
    println!("{name}: {result} {error} {} {} {}", if waited { "waited" } else { "at once" }, moved[0], moved[1]);
}

/// Reads the clock five times.
pub fn look() {
    for _ in 0..5 {
        now(0);
    }
}

/// Reads the wall clock until it has moved by a tenth of a second.
pub fn spin() {
    let start = nanoseconds(now(0));
    let mut reads = 0_u64;
    while nanoseconds(now(0)) < start + 100_000_000 {
        reads += 1;
    }
    println!("moved after many reads: {}", reads > 1000);
}

/// Starts threads that read the clock at the same time, and prints what each saw of its own reads.
pub fn threads() {
    let look = || {
        let first = nanoseconds(now(1));
        let mut last = first;
        for _ in 0..10_000 {
            last = nanoseconds(now(1));
        }
        (first, last)
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(look)).collect();
    for thread in threads {
        let (first, last) = thread.join().unwrap();
        println!("{first} {}", last - first);
    }
}

/// Works twice as long between any two reads of the clock, as a loop does that measures how often
/// it must repeat something. It gives up when every processor would have taken a minute.
pub fn calibrate() {
    let ticks = || unsafe { core::arch::x86_64::_rdtsc() };
    let start = nanoseconds(now(1));
    for work in (29..38).map(|shift| 1_u64 << shift) {
        let begun = ticks();
        while ticks() - begun < work {
            std::hint::spin_loop();
        }
        if nanoseconds(now(1)) > start + 200_000_000 {
            println!("the clock moved");
            return;
        }
    }
}
