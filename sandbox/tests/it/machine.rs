//! What a step is told of the machine, and in which order it finds files.

use crate::harness::as_everyone;

#[test]
fn a_port_that_nobody_chose_follows_the_seed() {
    as_everyone(|world| {
        let look = |seed| {
            let text = world.look(&["--seed", seed], &["ports"]);
            // The two children write at the same time.
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines[11..].sort();
            lines
        };
        let first = look("1");
        insta::allow_duplicates! { insta::assert_snapshot!(first.join("\n"), @"
    bind 42405
    again 52997
    six 54485
    datagrams 55448
    connect 44774
    listen 47305
    bound twice true
    no descriptor [-1, -1]
    not ours AddrNotAvailable
    taken AddrInUse
    chosen 8080
    child {44416}
    child {51745}
    ") };
        for _ in 0..3 {
            assert_eq!(look("1"), first);
        }
        assert_ne!(look("2")[..6], first[..6]);
        assert_eq!(
            world.look(&["--seed", "1"], &["ports-many", "500"]),
            "500 in true\n"
        );
    });
}

#[test]
fn the_machine_is_the_policys() {
    as_everyone(|world| {
        let options = ["--machine", "--seed", "0", "--clock", "logical"];
        let text = world.look(&options, &["machine"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r#"
    uname Linux
    uname envbox
    uname 6.1.0
    uname #1 SMP
    uname x86_64
    uname (none)
    sysinfo [1, 0, 0, 0, 17179869184, 8589934592, 0, 0, 0, 0, 1, 0, 0, 1]
    affinity 8 [1, 0, 0, 0, 0, 0, 0, 0]
    parallelism 1
    == version
    Linux version 6.1.0 (envbox@envbox) #1 SMP

    == uptime
    1.00 1.00

    == loadavg
    0.00 0.00 0.00 1/1 1

    == stat
    cpu  0 0 0 0 0 0 0 0 0 0
    cpu0 0 0 0 0 0 0 0 0 0 0
    intr 0
    ctxt 0
    btime 1577836800
    processes 1
    procs_running 1
    procs_blocked 0
    softirq 0 0 0 0 0 0 0 0 0 0 0

    == meminfo
    MemTotal:       16777216 kB
    MemFree:         8388608 kB
    MemAvailable:    8388608 kB
    Buffers:               0 kB
    Cached:                0 kB
    SwapCached:            0 kB
    SwapTotal:             0 kB
    SwapFree:              0 kB
    Shmem:                 0 kB
    SReclaimable:          0 kB

    == cpuinfo
    processor	: 0
    vendor_id	: GenuineIntel
    cpu family	: 6
    model		: 60
    model name	: x86-64-v3
    stepping	: 3
    cpu MHz		: 2000.000
    cache size	: 8192 KB
    physical id	: 0
    siblings	: 1
    core id		: 0
    cpu cores	: 1
    apicid		: 0
    fpu		: yes
    wp		: yes
    flags		: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx lm constant_tsc nopl cpuid pni pclmulqdq ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c lahf_lm abm bmi1 avx2 bmi2
    bogomips	: 4000.00
    clflush size	: 64
    cache_alignment	: 64
    address sizes	: 46 bits physical, 48 bits virtual


    == cpu
    cpu0 online possible present
    0
    "#); }
    });
}

#[test]
fn a_step_has_as_many_processors_as_it_sees() {
    as_everyone(|world| {
        assert_eq!(world.look(&["--machine"], &["processors"]), "1\n");
    });
}

#[test]
fn directories_are_in_the_order_of_their_names() {
    as_everyone(|world| {
        // In memory the kernel's order is the reverse of that of creation.
        for (step, size) in [("1", "32768"), ("3", "32768"), ("7", "64"), ("9", "300")] {
            let look = ["fill-and-list", "/tmp/many", "11", step, size];
            let text = world.look(&["--sorted"], &look);
            assert_eq!(text, ". .. 0 1 10 2 3 4 5 6 7 8 9\ntrue\n", "{step} {size}");
        }
        let many = world.look(
            &["--sorted"],
            &["fill-and-list", "/tmp/many", "5000", "7", "4096"],
        );
        let (list, again) = many.trim_end().split_once('\n').unwrap();
        assert_eq!(again, "true");
        let names: Vec<&str> = list.split(' ').collect();
        assert_eq!(names.len(), 5002);
        assert!(names.is_sorted());
    });
}

#[test]
fn the_projects_directories_are_sorted_too() {
    as_everyone(|world| {
        for name in ["c", "a", "d", "b"] {
            world.file(format!("lower/{name}"), "");
        }
        let mut options: Vec<_> = world.overlay();
        options.push("--sorted".into());
        let look = ["/bin/guest", "fill-and-list", "/project", "3", "2", "32768"];
        let output = world.output(&options, &look);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, ". .. 0 1 2 a b c d\ntrue\n");
    });
}
