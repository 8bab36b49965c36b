//! glibc's own tests of time, threads, processes, waits, signals and randomness: compiled in the
//! sandbox against its libc, from the sources that Debian has of it, and run there.

use std::fs;
use std::path::Path;

use crate::downloads;
use crate::support::{User, World};

const SOURCES: &str = "/usr/src/glibc/glibc-2.36.tar.xz";

/// How many tests are built, of those in `tests.toml`.
const BUILT: usize = 660;

/// Those that fail on every clock, and why.
const KNOWN_TO_FAIL: [&str; 5] = [
    // The processors that a step sees are the policy's, whatever it asks for.
    "tst-affinity",
    "tst-affinity-pid",
    "tst-affinity-static",
    // There is no other user to become.
    "tst-setuid3",
    // It mounts another `/proc`, which is masked.
    "tst-ttyname",
];

/// It blocks all signals and loads libgcc, which asks the processor: where that faults, it dies of it.
const KNOWN_WHERE_CPUID_FAULTS: [&str; 1] = ["tst-pthread-exit-signal"];

/// Those that fail where waits move the clocks: their timers, which are the kernel's, do not.
const KNOWN_ON_FROZEN: [&str; 1] = ["tst-timer4"];
const KNOWN_ON_LOGICAL: [&str; 5] = [
    "tst-timer4",
    "tst-timer5",
    // Of processor time, which is the logical clock's here and the kernel's there.
    "tst-cputimer1",
    "tst-cputimer2",
    "tst-cputimer3",
];

/// Those that are not run there: a wait of 10,000 s that thousands of signals interrupt, whichever
/// thread the kernel gives them to. Each takes half of what is left.
const NOT_WHERE_WAITS_MOVE: [&str; 2] = ["-tst-eintr2", "-tst-eintr5"];

/// Those that take long, and know no clock: run on one.
const LONG: [&str; 3] = ["-tst-arc4random-stats", "-tst-mutex7", "-tst-robust-fork"];

fn world() -> World {
    let world = World::new(User::Unprivileged);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/net/glibc");
    for name in [
        "envbox.toml",
        "tests.toml",
        "suite.py",
        "include/atomic.h",
        "include/before.h",
        "include/config.h",
        "include/shlib-compat.h",
        "include/stand_ins.c",
    ] {
        world.write(name, &fs::read_to_string(directory.join(name)).unwrap());
    }
    downloads::share(&world);
    let lock = world.run(&["lock"]);
    assert_eq!(lock.code(), Some(0), "{}", lock.stderr());
    world
}

/// Runs the suite on a clock. What fails must be what is known to, no more and no less.
fn passes(world: &World, clock: &str, known: &[&str], without: &[&str]) {
    let head = [
        "run", "--frozen", "--clock", clock, "--", "python3", "suite.py", "run",
    ];
    let run = world.run(&[&head, known, without].concat());
    let error = run.stderr();
    assert_eq!(run.code(), Some(0), "{clock}: {error}");
    let mut known: Vec<&str> = known.to_vec();
    known.sort_unstable();
    let all = BUILT - without.len();
    let failed: String = known
        .iter()
        .map(|name| format!("failed {name}\n"))
        .collect();
    let expected = format!("{failed}passed {} of {all}\n", all - known.len());
    assert_eq!(run.stdout(), expected, "{clock}: {error}");
}

#[test]
fn net_glibcs_own_tests_pass() {
    let world = world();
    let build = [
        "run", "--frozen", "--", "python3", "suite.py", "build", SOURCES,
    ];
    let run = world.run(&build);
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    downloads::keep(&world);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap();
    let of_host: &[&str] = match cpuinfo.contains(" cpuid_fault") {
        true => &KNOWN_WHERE_CPUID_FAULTS,
        false => &[],
    };
    let on = |more: &[&'static str]| [&KNOWN_TO_FAIL, of_host, more].concat();
    passes(
        &world,
        "logical",
        &on(&KNOWN_ON_LOGICAL),
        &NOT_WHERE_WAITS_MOVE,
    );
    let without = [&NOT_WHERE_WAITS_MOVE[..], &LONG].concat();
    passes(&world, "frozen", &on(&KNOWN_ON_FROZEN), &without);
    passes(&world, "ticking", &on(&[]), &LONG);
}
