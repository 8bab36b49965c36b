//! Which sources of nondeterminism a step consumes.

use std::collections::BTreeMap;

use crate::harness::{World, as_everyone};

/// Source, origin, program and what was called, with how often.
type Findings = BTreeMap<String, u64>;

/// Runs the guest audited; returns what it printed and what was found.
fn audited(world: &World, options: &[&str], guest: &[&str]) -> (String, Findings) {
    let options = [options, &["--audit"]].concat();
    let output = world.output(&options, &[&["/bin/guest"], guest].concat());
    let found = String::from_utf8(output.stderr).unwrap();
    let findings = found.lines().filter_map(|line| {
        let (key, count) = line.rsplit_once('\t')?;
        Some((key.to_owned(), count.parse().ok()?))
    });
    let findings = findings.collect();
    (String::from_utf8(output.stdout).unwrap(), findings)
}

#[test]
fn an_audited_step_sees_the_same() {
    as_everyone(|world| {
        for guest in [
            &["clocks", "9"][..],
            &["waits"],
            &["threads"],
            &["random"],
            &["exec", "exec", "clocks", "6"],
            &["list", "/"],
            &["invalid"],
            &["draws", "2"],
        ] {
            let plain = world.look(&["--deterministic"], guest);
            let (seen, findings) = audited(world, &["--deterministic"], guest);
            assert_eq!(seen, plain, "{guest:?}");
            assert!(!findings.is_empty(), "{guest:?}");
        }
        // With the host's clocks no two runs are the same, but what is refused is.
        let plain = world.look(&[], &["invalid"]);
        assert_eq!(audited(world, &[], &["invalid"]).0, plain);
        let stands = ["--clock", "frozen", "--seed", "1"];
        let plain = world.look(&stands, &["random"]);
        assert_eq!(audited(world, &stands, &["random"]).0, plain);
    });
}

/// What the guest draws each time, by every way to draw it.
const DRAWS: [(&str, u64); 22] = [
    // The library and the system call.
    ("wall-clock\tprogram\t/bin/guest\tCLOCK_REALTIME", 2),
    ("wall-clock\tprogram\t/bin/guest\tgettimeofday", 2),
    ("wall-clock\tprogram\t/bin/guest\ttime", 2),
    ("monotonic-clock\tprogram\t/bin/guest\tCLOCK_MONOTONIC", 2),
    (
        "processor-clock\tprogram\t/bin/guest\tCLOCK_PROCESS_CPUTIME_ID",
        2,
    ),
    ("usage\tprogram\t/bin/guest\tgetrusage", 1),
    ("usage\tprogram\t/bin/guest\ttimes", 1),
    ("randomness\tprogram\t/bin/guest\tgetrandom", 1),
    ("randomness\tprogram\t/bin/guest\t/dev/urandom", 1),
    // The entries and the end.
    ("directory-order\tprogram\t/bin/guest\t/bin", 2),
    ("file-status\tprogram\t/bin/guest\t/tmp/file", 3),
    ("machine\tprogram\t/bin/guest\t/proc/cpuinfo", 1),
    ("machine\tprogram\t/bin/guest\tuname", 1),
    ("machine\tprogram\t/bin/guest\tsysinfo", 1),
    ("scheduling\tprogram\t/bin/guest\tgetcpu", 1),
    ("process-ids\tprogram\t/bin/guest\tgetppid", 1),
    ("process-facts\tprogram\t/bin/guest\t/proc/self/stat", 1),
    ("threads\tprogram\t/bin/guest\tclone", 1),
    ("network\tprogram\t/bin/guest\tconnect 10.1.2.3:80", 1),
    ("network\tprogram\t/bin/guest\tsendto [::1]:53", 1),
    ("debugger\tprogram\t/bin/guest\tptrace", 1),
    ("outside\tprogram\t/bin/guest\t/data/train.csv", 2),
];

#[test]
fn every_draw_is_counted() {
    as_everyone(|world| {
        let real = ["--clock", "real"];
        let ticking = ["--clock", "ticking", "--seed", "1"];
        for options in [&["--deterministic"][..], &real, &ticking] {
            let of = |times| audited(world, options, &["draws", times]).1;
            let (once, often) = (of("1"), of("5"));
            for (key, each) in DRAWS {
                let count = |findings: &Findings| findings.get(key).copied().unwrap_or(0);
                // A program draws on its own when it starts, the same each time.
                let more = count(&often) - count(&once);
                assert_eq!(more, 4 * each, "{options:?} {key}: {often:#?}");
                assert!(count(&once) >= each, "{options:?} {key}: {once:#?}");
            }
            // Files of the environment are the same everywhere.
            assert!(
                !often
                    .keys()
                    .any(|key| key.ends_with("/bin/guest\t/bin/guest"))
            );
        }
    });
}

#[test]
fn who_reads_a_clock_often_is_heard_of_enough() {
    const READS: &str = "monotonic-clock\tprogram\t/bin/guest\tCLOCK_MONOTONIC";
    as_everyone(|world| {
        let often = ["clock-often", "25000"];
        let plain = world.look(&["--deterministic"], &often);
        let (seen, findings) = audited(world, &["--deterministic"], &often);
        assert_eq!(seen, plain);
        // The thread; then main is not heard of any more.
        assert_eq!(findings[READS], 5_000, "{findings:#?}");
        // A clock that is not ours is counted to the end.
        let (_, findings) = audited(world, &["--clock", "real"], &often);
        assert!(findings[READS] >= 50_000, "{findings:#?}");
    });
}

#[test]
fn reads_of_the_counter_are_counted() {
    const READS: &str = "time-stamp-counter\tprogram\t/bin/guest\tRDTSC";
    as_everyone(|world| {
        for options in [&["--deterministic"][..], &["--clock", "real"]] {
            let plain = world.look(options, &["counter"]);
            assert_eq!(plain.matches("goes on").count(), 6, "{plain}");
            let counting = [options, &["--counter"]].concat();
            let (seen, findings) = audited(world, &counting, &["counter"]);
            assert_eq!(seen, plain);
            assert_eq!(findings[READS], 18, "{findings:#?}");
            let (_, findings) = audited(world, options, &["counter"]);
            assert_eq!(findings.get(READS), None);
        }
    });
}

/// Counting takes the signal of a fault for itself, and no other thing.
#[test]
fn faults_are_the_programs_own_while_the_counter_is_counted() {
    as_everyone(|world| {
        for guest in ["cpuid-handler", "cpuid-deaths"] {
            let plain = world.look(&["--deterministic"], &[guest]);
            let counting = ["--deterministic", "--counter"];
            assert_eq!(audited(world, &counting, &[guest]).0, plain);
        }
    });
}

#[test]
fn a_deterministic_step_has_one_audit() {
    as_everyone(|world| {
        let audit = || audited(world, &["--deterministic"], &["random"]).1;
        let first = audit();
        let children = "randomness\tprogram\t/bin/guest\tgetrandom";
        assert!(first[children] >= 5, "{first:#?}");
        for _ in 0..3 {
            assert_eq!(audit(), first);
        }
    });
}

#[test]
fn a_32_bit_call_is_found() {
    as_everyone(|world| {
        let (_, findings) = audited(world, &["--deterministic"], &["32-bit"]);
        assert_eq!(
            findings["32-bit\tprogram\t/bin/guest\t/bin/guest"], 1,
            "{findings:#?}"
        );
    });
}

#[test]
fn what_is_not_asked_for_is_not_counted() {
    as_everyone(|world| {
        let output = world.output(&["--deterministic"], &["/bin/guest", "draws", "1"]);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    });
}
