//! What a step's processor says of itself. Where the host's cannot fault on CPUID, the documented
//! outcome is that the step runs and sees the host.

use std::fs;

use crate::harness::{World, as_everyone};

const V3: [&str; 2] = ["--cpuid", "x86-64-v3"];
const SIGNATURE: &str = "306c3";

/// Whether this host can, as its kernel says.
fn host_faults() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags = text.lines().find(|line| line.starts_with("flags")).unwrap();
    flags.split(' ').any(|flag| flag == "cpuid_fault")
}

/// Replaces what the host's processor is by what it should say.
fn expected(world: &World, text: String) -> String {
    match host_faults() {
        true => text,
        false => text.replace(world.look(&[], &["cpuid-word"]).trim(), SIGNATURE),
    }
}

#[test]
fn cpuid_tells_of_the_baseline_alone() {
    as_everyone(|world| {
        let text = world.look(&V3, &["cpuid"]);
        if !host_faults() {
            assert_eq!(
                text.lines().next(),
                world.look(&[], &["cpuid"]).lines().next()
            );
            return;
        }
        // The size of the area for the state of a thread is the host's, if that is greater.
        let text = text.replace(&area(world), "AREA");
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    0.0 0000000d 756e6547 6c65746e 49656e69
    1.0 000306c3 00010800 3ed83203 178bfbff
    2.0 212c3001 000000e4 00000000 00000000
    4.0 00000121 01c0003f 0000003f 00000000
    4.1 00000122 01c0003f 0000003f 00000000
    4.2 00000143 01c0003f 000001ff 00000000
    4.3 00000163 03c0003f 00001fff 00000000
    7.0 00000000 00000128 00000000 00000000
    b.0 00000000 00000001 00000100 00000000
    b.1 00000000 00000001 00000201 00000000
    d.0 00000007 AREA AREA 00000000
    d.2 00000100 00000240 00000000 00000000
    80000000.0 80000008 00000000 00000000 00000000
    80000001.0 00000000 00000000 00000021 20100800
    80000002.0 2d363878 762d3436 00000033 00000000
    80000006.0 00000000 00000000 01006040 00000000
    80000007.0 00000000 00000000 00000000 00000100
    80000008.0 0000302e 00000000 00000000 00000000
    "#); }
        for _ in 0..3 {
            assert_eq!(
                world.look(&V3, &["cpuid"]).replace(&area(world), "AREA"),
                text
            );
        }
    });
}

fn area(world: &World) -> String {
    let host = world.look(&[], &["cpuid"]);
    let line = host.lines().find(|line| line.starts_with("d.0 ")).unwrap();
    let size = u32::from_str_radix(line.split(' ').nth(2).unwrap(), 16).unwrap();
    format!("{:08x}", size.max(2696))
}

#[test]
fn every_process_and_thread_sees_the_same_processor() {
    as_everyone(|world| {
        let text = expected(world, world.look(&V3, &["cpuid-processes"]));
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    main 306c3
    thread 306c3
    child 306c3
    its thread 306c3
    other program 306c3
    306c3
    "#); }
        let options = ["--deterministic", "--cpuid", "x86-64-v3"];
        assert_eq!(
            expected(world, world.look(&options, &["cpuid-processes"])),
            text
        );
    });
}

#[test]
fn a_program_has_its_own_handler_of_faults() {
    as_everyone(|world| {
        let text = expected(world, world.look(&V3, &["cpuid-handler"]));
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    before: 0
    306c3
    handler: code 1 address 8 cpuid 306c3 far true
    handler: code 1 address 8 cpuid 306c3 far true
    handler: code 0 address 3e800000003 cpuid 306c3 far true
    3 calls, then 306c3
    set is kept: true
    handler: code 1 address 8 cpuid 306c3 far true
    306c3
    306c3
    spawned: 0, kept true
    handler: code 1 address 8 cpuid 306c3 far true
    306c3
    once, then 11
    "#); }
        let host = world.look(&[], &["cpuid-word"]);
        let without = world.look(&[], &["cpuid-handler"]);
        assert_eq!(without.replace(host.trim(), SIGNATURE), text);
    });
}

#[test]
fn a_fault_kills_as_it_does_elsewhere() {
    as_everyone(|world| {
        let text = world.look(&V3, &["cpuid-deaths"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    by default: 11
    ignored: 11
    ignored, sent: 0
    sent: 11
    in the handler: 11
    general protection: 11
    "#); }
        assert_eq!(world.look(&[], &["cpuid-deaths"]), text);
    });
}

#[test]
fn with_its_signal_blocked_cpuid_kills() {
    as_everyone(|world| {
        let text = world.look(&V3, &["cpuid-limits"]);
        match host_faults() {
            true => assert_eq!(text, "blocked: 11\nallow: -1\n"),
            false => assert_eq!(text, "blocked: 0\nallow: -1\n"),
        }
    });
}
