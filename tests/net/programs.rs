//! What programs need of clocks, waits and processes: Python's own tests, and programs in other
//! languages, from the real registries.

use std::fs;
use std::path::Path;

use crate::downloads;
use crate::support::{User, World};

/// Python's own tests of what the sandbox answers otherwise than the kernel.
const PYTHONS_TESTS: [&str; 9] = [
    "test_time",
    "test_threading",
    "test_thread",
    "test_select",
    "test_poll",
    "test_epoll",
    "test_threadsignals",
    "test_sched",
    "test_posix",
];

/// Those of them that fail, and why.
const KNOWN_TO_FAIL: [&str; 4] = [
    // They sleep and want that no processor time has passed.
    "test_process_time",
    "test_thread_time",
    // The processors that a step sees are the policy's, whatever it asks for.
    "test_sched_setaffinity",
    // The whole of `test_eintr`: `fcntl` waits without a limit for a process that sleeps.
    "test_all",
];

/// As [`PYTHONS_TESTS`], of what has several processes: their clocks move apart.
const TESTS_OF_PROCESSES: [&str; 3] = [
    "test_multiprocessing_fork",
    "test_subprocess",
    "test_socketserver",
];

/// Those of them that fail, and why.
const PROCESSES_KNOWN_TO_FAIL: [&str; 6] = [
    // What another process slept does not show here.
    "*ManagerTestCondition.test_waitfor_timeout",
    "test_wait_integer",
    "test_map_no_failfast",
    // Each wait is cut short by what the other process writes.
    "test_communicate_timeout_large_output",
    // There is one user in the sandbox, and one group.
    "test_user",
    "test_group",
];

fn world(user: User) -> World {
    let world = World::new(user);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/net/programs");
    for name in [
        "envbox.toml",
        "timers.go",
        "timers.js",
        "pools.py",
        "budgets.py",
    ] {
        world.write(name, &fs::read_to_string(directory.join(name)).unwrap());
    }
    downloads::share(&world);
    let lock = world.run(&["lock"]);
    assert_eq!(lock.code(), Some(0), "{}", lock.stderr());
    world
}

/// Runs a command and returns what it printed; it must succeed, the second time with the same.
fn same_twice(world: &World, command: &[&str]) -> String {
    let look = || {
        let run = world.run(&[&["run", "--frozen", "--"], command].concat());
        assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
        run.stdout()
    };
    let first = look();
    assert_eq!(look(), first);
    first
}

#[test]
fn net_programs_keep_their_timers() {
    for user in User::ALL {
        let world = world(user);
        let text = same_twice(&world, &["python3", "pools.py"]);
        assert!(
            text.ends_with("joblib [0, 1, 4, 9, 16, 25, 36, 49]\n"),
            "{text}"
        );
        let text = same_twice(&world, &["python3", "budgets.py"]);
        assert!(text.starts_with("1 round in 1e-06 s, "), "{text}");
        assert!(text.ends_with(" rounds in 2 s, True\n"), "{text}");
        let build = "GOCACHE=/tmp/go GOFLAGS=-mod=mod go build -o /tmp/timers timers.go";
        let text = same_twice(
            &world,
            &["sh", "-c", &format!("{build} && /tmp/timers | tail -n +2")],
        );
        assert_eq!(
            text,
            "ticks 5 true\nafter\ncontext deadline exceeded\nslept\nsignal: killed\ntrue\n"
        );
        let text = same_twice(&world, &["node", "timers.js"]);
        assert!(
            text.contains("timeout true true\ninterval\natomics\nETIMEDOUT\nworker "),
            "{text}"
        );
        let text = same_twice(
            &world,
            &[
                "strace",
                "-f",
                "-o",
                "/tmp/trace-of-python",
                "python3",
                "-c",
                "print(1)",
            ],
        );
        assert_eq!(text, "1\n");
        downloads::keep(&world);
    }
}

/// Runs Python's own tests on a clock; they must end with this status.
fn pythons_tests(world: &World, clock: &str, arguments: &[&str], code: i32) -> String {
    let head = [
        "run", "--frozen", "--clock", clock, "--", "python3", "-m", "test",
    ];
    let run = world.run(&[&head, arguments].concat());
    let printed = run.stdout();
    assert_eq!(run.code(), Some(code), "{clock}: {printed}{}", run.stderr());
    printed
}

#[test]
fn net_pythons_own_tests_pass() {
    let world = world(User::Unprivileged);
    let named = |option| KNOWN_TO_FAIL.iter().flat_map(move |name| [option, *name]);
    let passing: Vec<_> = named("-i").chain(PYTHONS_TESTS).collect();
    pythons_tests(&world, "logical", &passing, 0);
    let failing: Vec<_> = named("-m")
        .chain(["test_time", "test_eintr", "test_posix"])
        .collect();
    let printed = pythons_tests(&world, "logical", &failing, 2);
    assert!(printed.contains("3 tests failed:"), "{printed}");
    // On clocks that the host moves, everything passes but what wants a processor of its choice, and
    // what wants the host to be idle: two tests, that a wait of nothing takes no 10 ms.
    let moving = [
        "test_sched_setaffinity",
        "test_control_and_wait",
        "test_unregister_closed",
    ];
    let moving: Vec<_> = moving
        .iter()
        .flat_map(|name| ["-i", *name])
        .chain(PYTHONS_TESTS)
        .collect();
    for clock in ["frozen", "ticking"] {
        pythons_tests(&world, clock, &moving, 0);
    }
    downloads::keep(&world);
}

#[test]
fn net_pythons_own_tests_of_processes_pass() {
    let world = world(User::Unprivileged);
    let passing: Vec<_> = PROCESSES_KNOWN_TO_FAIL
        .iter()
        .flat_map(|name| ["-i", *name])
        // `network` is what needs sockets.
        .chain(["-u", "network"])
        .chain(TESTS_OF_PROCESSES)
        .collect();
    pythons_tests(&world, "logical", &passing, 0);
    downloads::keep(&world);
}
