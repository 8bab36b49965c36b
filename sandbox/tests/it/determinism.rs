//! What a step is told instead of the truth.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::harness::{as_everyone, as_myself, everywhere};

#[test]
fn a_logical_clock_is_equal_to_the_bit() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["clocks", "9"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    REALTIME 1577836800.000001000 1577836800.000002000
    MONOTONIC 0.000003000 0.000004000
    PROCESS_CPUTIME_ID 0.000005000 0.000006000
    THREAD_CPUTIME_ID 0.000007000 0.000008000
    MONOTONIC_RAW 0.000009000 0.000010000
    REALTIME_COARSE 1577836800.000011000 1577836800.000012000
    MONOTONIC_COARSE 0.000013000 0.000014000
    BOOTTIME 0.000015000 0.000016000
    TAI 1577836800.000017000 1577836800.000018000
    cpu of this process 0.000019000 0.000020000
    gettimeofday 1577836800.000021000 1577836800.000022000
    time 1577836800 1577836800 true
    resolution 1
    "#); }
    });
}

#[test]
fn a_frozen_clock_stands_and_the_others_move() {
    everywhere(|world| {
        let text = world.look(&["--clock", "frozen", "--epoch", "86400"], &["clocks", "9"]);
        let wall = ["REALTIME", "TAI", "gettimeofday", "time", "resolution"];
        let lines = text
            .lines()
            .filter(|line| wall.iter().any(|name| line.starts_with(name)));
        let lines: Vec<&str> = lines.collect();
        insta::allow_duplicates! { insta::assert_snapshot!(lines.join("\n"), @r#"
    REALTIME 86400.000000000 86400.000000000
    REALTIME_COARSE 86400.000000000 86400.000000000
    TAI 86400.000000000 86400.000000000
    gettimeofday 86400.000000000 86400.000000000
    time 86400 86400 true
    resolution 1
    "#); }
    });
}

#[test]
fn a_ticking_clock_starts_at_the_epoch() {
    as_everyone(|world| {
        let text = world.look(
            &["--clock", "ticking", "--epoch", "86400"],
            &["clocks", "0"],
        );
        for line in text.lines().filter(|line| !line.starts_with("resolution")) {
            let wall = ["REAL", "TAI", "time"]
                .iter()
                .any(|name| line.contains(name));
            let start = if wall && !line.contains("BOOT") {
                86_400
            } else {
                0
            };
            let numbers = line.split(' ').filter_map(|word| word.parse::<i64>().ok());
            let numbers: Vec<i64> = numbers.collect();
            assert_eq!(numbers.len(), 2, "{line}");
            for seconds in numbers {
                assert!((start..start + 60).contains(&seconds), "{line}");
            }
        }
    });
}

#[test]
fn every_timed_wait_ends_when_it_should() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["waits"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    nanosleep: 0 0 waited 50 50
    clock_nanosleep REALTIME: 0 0 waited 50 50
    clock_nanosleep MONOTONIC: 0 0 waited 50 50
    poll: 0 0 waited 50 50
    ppoll: 0 0 waited 50 50
    select: 0 0 waited 50 50
    pselect6: 0 0 waited 50 50
    epoll_wait: 0 0 waited 50 50
    epoll_pwait: 0 0 waited 50 50
    epoll_pwait2: 0 0 waited 50 50
    futex WAIT: -1 110 waited 50 50
    rt_sigtimedwait: -1 11 waited 50 50
    semtimedop: -1 11 waited 50 50
    clock_nanosleep REALTIME until: 0 0 waited 50 50
    clock_nanosleep MONOTONIC until: 0 0 waited 50 50
    clock_nanosleep BOOTTIME until: 0 0 waited 50 50
    clock_nanosleep TAI until: 0 0 waited 50 50
    futex WAIT_BITSET MONOTONIC: -1 110 waited 50 50
    futex WAIT_BITSET REALTIME: -1 110 waited 50 50
    mq_timedreceive: -1 110 waited 50 50
    timerfd REALTIME until: 8 0 waited 0 0
    timer_settime REALTIME until: 10 0 waited 0 0
    timerfd MONOTONIC until: 8 0 waited 0 0
    timer_settime MONOTONIC until: 10 0 waited 0 0
    "#); }
        let text = world.look(&["--clock", "frozen"], &["waits"]);
        // The last number is that of a clock which moves, and what is left until a deadline on it
        // is not the same each time.
        let lines = text.lines().map(|line| {
            let moving = ["MONOTONIC", "BOOTTIME"]
                .iter()
                .any(|name| line.contains(name));
            let words = if moving && !line.contains("clock_nanosleep MONOTONIC:") {
                2
            } else {
                1
            };
            line.rsplitn(words + 1, ' ').last().unwrap()
        });
        let lines: Vec<&str> = lines.collect();
        insta::allow_duplicates! { insta::assert_snapshot!(lines.join("\n"), @r#"
    nanosleep: 0 0 waited 50
    clock_nanosleep REALTIME: 0 0 waited 50
    clock_nanosleep MONOTONIC: 0 0 waited 50
    poll: 0 0 waited 50
    ppoll: 0 0 waited 50
    select: 0 0 waited 50
    pselect6: 0 0 waited 50
    epoll_wait: 0 0 waited 50
    epoll_pwait: 0 0 waited 50
    epoll_pwait2: 0 0 waited 50
    futex WAIT: -1 110 waited 50
    rt_sigtimedwait: -1 11 waited 50
    semtimedop: -1 11 waited 50
    clock_nanosleep REALTIME until: 0 0 waited 50
    clock_nanosleep MONOTONIC until: 0 0 waited
    clock_nanosleep BOOTTIME until: 0 0 waited
    clock_nanosleep TAI until: 0 0 waited 50
    futex WAIT_BITSET MONOTONIC: -1 110 waited
    futex WAIT_BITSET REALTIME: -1 110 waited 50
    mq_timedreceive: -1 110 waited 50
    timerfd REALTIME until: 8 0 waited 0
    timer_settime REALTIME until: 10 0 waited 0
    timerfd MONOTONIC until: 8 0 waited
    timer_settime MONOTONIC until: 10 0 waited
    "#); }
        for clock in ["ticking", "real"] {
            for line in world.look(&["--clock", clock], &["waits"]).lines() {
                assert!(line.contains(" waited "), "{clock}: {line}");
                let moved = line.split(' ').next_back().unwrap();
                assert!(moved.parse::<u64>().unwrap() >= 49, "{clock}: {line}");
            }
        }
    });
}

#[test]
fn who_waits_for_the_clock_to_move_gets_there() {
    everywhere(|world| {
        for clock in ["logical", "frozen", "ticking"] {
            let text = world.look(&["--clock", clock], &["spin"]);
            assert_eq!(text, "moved after many reads: true\n", "{clock}");
        }
    });
}

#[test]
fn a_process_ends_whose_threads_are_stopped_for_a_moment() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["ends", "300"]);
        assert_eq!(text, "300\n");
    });
}

#[test]
fn waits_of_a_scheduler_inside_are_not_counted() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["uncounted"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r"
    -1 110 1000
    -1 110 5018000
    "); }
    });
}

#[test]
fn what_a_step_used_is_what_its_clock_shows() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["usage"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    times 0 [0, 0, 0, 0]
    self 0 [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    children 0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    thread 0 [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    nobody -1 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    "#); }
        // On the other clocks it is the truth: a process has memory.
        let text = world.look(&["--clock", "frozen"], &["usage"]);
        assert!(!text.contains("self 0 [0, 0, 0, 0, 0,"), "{text}");
    });
}

#[test]
fn a_wait_that_is_cut_short_gets_to_its_deadline() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["cut-short"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r"
    poll: 100 waits, the first left 99999000 ns
    ppoll: 100 waits, the first left 98999000 ns
    pselect6: 100 waits, the first left 98999000 ns
    epoll_wait: 100 waits, the first left 99999000 ns
    epoll_pwait2: 100 waits, the first left 99999000 ns
    select left 49000 us
    nanosleep left 500 s
    nanosleep: there after fewer than 100 waits: true
    clock_nanosleep: there after fewer than 100 waits: true
    ppoll: there after fewer than 100 waits: true
    futex WAIT: there after fewer than 100 waits: true
    "); }
        let text = world.look(&["--clock", "frozen"], &["cut-short"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r"
    poll: 100 waits, the first left 100000000 ns
    ppoll: 100 waits, the first left 99000000 ns
    pselect6: 100 waits, the first left 99000000 ns
    epoll_wait: 100 waits, the first left 100000000 ns
    epoll_pwait2: 100 waits, the first left 100000000 ns
    select left 49000 us
    nanosleep left 500 s
    nanosleep: there after fewer than 100 waits: true
    clock_nanosleep: there after fewer than 100 waits: true
    ppoll: there after fewer than 100 waits: true
    futex WAIT: there after fewer than 100 waits: true
    "); }
    });
}

/// To cancel a thread, and to throw, is to unwind the stack from a handler of a signal.
#[test]
fn the_stack_can_be_unwound_from_waits_and_reads() {
    everywhere(|world| {
        for clock in ["logical", "frozen", "ticking"] {
            let text = world.look(&["--clock", clock], &["unwind"]);
            insta::allow_duplicates! { insta::assert_snapshot!(text, @r"
            nanosleep: true
            clock_nanosleep: true
            poll: true
            ppoll: true
            pselect6: true
            futex: true
            reads: true
            "); }
        }
    });
}

/// So a thread is cancelled that is about to wait.
#[test]
fn a_signal_on_the_way_into_a_wait_is_not_lost() {
    everywhere(|world| {
        for clock in ["logical", "frozen", "real"] {
            let text = world.look(&["--clock", clock], &["bridge", "1000"]);
            assert_eq!(text, "lost 0\n", "{clock}");
        }
    });
}

/// A loop like `timeit.autorange` looks too rarely to be told of by how often it looks. It is not
/// stopped: it may have a limit of its own.
#[test]
fn who_calibrates_on_a_clock_that_work_does_not_move_is_told_of() {
    as_myself(|world| {
        let mut command = world.command(&["--clock", "logical"], &["/bin/guest", "calibrate"]);
        let mut supervisor = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        insta::assert_snapshot!(line, @r#"warning: `/bin/guest` works longer and longer between two looks at its clock, which work does not move; if it measures how long something takes, give it a clock that does: clock = "ticking""#);
    });
}

#[test]
fn a_thread_sees_its_own_reads_alone() {
    everywhere(|world| {
        let first = world.look(&["--clock", "logical"], &["threads"]);
        for line in first.lines() {
            assert!(line.ends_with(" 10000000"), "{line}");
        }
        for _ in 0..5 {
            assert_eq!(world.look(&["--clock", "logical"], &["threads"]), first);
        }
    });
}

#[test]
fn a_wall_clock_that_is_only_read_moves_faster() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["paces"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    500 1577836800.000500000 501000
    1000 1577836800.001001000 1002000
    1500 1577836800.001502000 1503000
    2000 1577836800.002003000 2004000
    2500 1577836800.005696000 5697000
    3000 1577836800.020225000 20226000
    3500 1577836800.052226000 52227000
    4000 1577836800.084227000 84228000
    4500 1577836800.085728000 85729000
    5000 1577836800.086229000 86230000
    5500 1577836800.086730000 86731000
    6000 1577836800.088568000 88569000
    6500 1577836800.109761000 109762000
    7000 1577836800.141762000 141763000
    7500 1577836800.173763000 173764000
    8000 1577836800.205764000 205765000
    "#); }
        let by_call = world.look(&["--clock", "logical"], &["paces", "by-call"]);
        assert_eq!(by_call, text);
    });
}

#[test]
fn time_goes_on_in_the_next_program() {
    everywhere(|world| {
        let text = world.look(&["--clock", "logical"], &["exec", "exec", "clocks", "6"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text.lines().next().unwrap(), @"REALTIME 1577836800.000011 1577836800.000012"); }
    });
}

#[test]
fn what_is_invalid_is_the_kernels_to_refuse() {
    everywhere(|world| {
        let real = world.look(&[], &["invalid"]);
        for clock in ["logical", "frozen", "ticking"] {
            let options = ["--clock", clock, "--seed", "1"];
            assert_eq!(world.look(&options, &["invalid"]), real, "{clock}");
        }
    });
}

#[test]
fn a_clock_is_disciplined_by_nobody() {
    everywhere(|world| {
        for clock in ["logical", "frozen"] {
            let text = world.look(&["--clock", clock], &["discipline"]);
            insta::allow_duplicates! { insta::assert_snapshot!(text, @r"
            read 5 0 64 1577836800
            left 5 0 64 1577836800
            tick error 1
            monotonic error 95
            set 0 -1 1
            set 1 -1 22
            "); }
        }
        // The host's is nobody's business.
        let text = world.look(&[], &["discipline"]);
        assert!(
            text.starts_with("read error 1\nleft error 1\ntick error 1\n"),
            "{text}"
        );
    });
}

#[test]
fn each_process_has_random_devices_of_its_own() {
    everywhere(|world| {
        for (kind, options) in [
            ("plain", &["--seed", "1"][..]),
            ("close-on-exec", &["--seed", "1", "--files"]),
        ] {
            let look = || world.look(options, &["devices", kind]);
            let first = look();
            for _ in 0..3 {
                assert_eq!(look(), first, "{kind}");
            }
            let words: std::collections::BTreeSet<&str> = first.split_whitespace().collect();
            assert_eq!(words.len(), 8 * 4 * 2, "{kind}: {first}");
        }
    });
}

#[test]
fn random_bytes_follow_the_seed_alone() {
    as_everyone(|world| {
        let draw = |seed| world.look(&["--seed", seed], &["random"]);
        let first = draw("1");
        insta::allow_duplicates! { insta::assert_snapshot!(first, @r#"
    getrandom 70f0b0a132f915fc
    /dev/urandom 2dfc6c68b441221b
    /dev/random df8adcbf559c8e3e
    boot_id c4033300-4b93-4c55-a629-35f427d24d4f
    uuid 63f417fa-df9e-4554-903d-21388d6b0504
    AT_RANDOM a074ab35a3d53a6099bde5447873d5d9
    child 92a4583db96b09dd
    child fbddb3bc129eb6ad
    child 0aa2824d1612450d
    child 1d0837a358d98d27
    "#); }
        for _ in 0..5 {
            assert_eq!(draw("1"), first);
        }
        let other = draw("2");
        for (line, other) in first.lines().zip(other.lines()) {
            assert_ne!(line, other);
        }
    });
}

#[test]
fn a_signal_does_not_keep_a_process_from_being_made() {
    as_everyone(|world| {
        let options = ["--seed", "1", "--times", "--clock", "logical"];
        assert_eq!(world.look(&options, &["forks"]), "failed 0\n");
    });
}
