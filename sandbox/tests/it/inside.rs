//! What a step sees.

use crate::harness::as_everyone;

#[test]
fn a_step_sees_the_same_whoever_starts_it() {
    as_everyone(|world| {
        insta::allow_duplicates! {
            insta::assert_snapshot!(world.look(&["--directory", "/tmp"], &["facts"]), @r"
            pid 3 parent 2 group 3
            session 1
            comm 1 envbox-init
            comm 2 envbox-init
            comm 3 guest
            uid_map 1000 _ 1
            gid_map 1000 _ 1
            setgroups deny
            personality 00040000
            hostname envbox
            domainname (none)
            Umask: 0022
            Uid: 1000 1000 1000 1000
            Gid: 1000 1000 1000 1000
            SigBlk: 0000000000000000
            CapInh: 0000000000000000
            CapPrm: 0000000000000000
            CapEff: 0000000000000000
            CapBnd: 0000000000000000
            CapAmb: 0000000000000000
            NoNewPrivs: 1
            Seccomp: 2
            directory /tmp
            uptime below a minute true
            core pattern writable false
            ");
        }
    });
}

#[test]
fn only_the_standard_descriptors_are_open() {
    as_everyone(|world| {
        // A descriptor that the caller forgot to mark close-on-exec must not get in.
        let mut command = world.command::<&str, _>(&[], &["/bin/guest", "descriptors"]);
        let leak = std::fs::File::open("/").unwrap();
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 1 2 3\n");
    });
}

#[test]
fn mounts_are_as_the_policy_says() {
    as_everyone(|world| {
        let text = world.look_overlay(&["mounts"]);
        // What is masked depends on what the host's kernel has.
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("/proc/"))
            .collect();
        insta::allow_duplicates! { insta::assert_snapshot!(lines.join("\n"), @r"
        /proc proc rw,nosuid,nodev,noexec
        /dev - ro,nosuid,nodev,noexec
        /dev/pts devpts rw,nosuid,noexec
        /dev/shm - rw,nosuid,nodev
        /tmp - rw,nosuid,nodev
        /run - rw,nosuid,nodev
        /home/envbox - rw,nosuid,nodev
        / - ro,nosuid,nodev
        /project overlay rw,nosuid,nodev
        /dev/full - ro,nosuid,noexec
        /dev/null - ro,nosuid,noexec
        /dev/random - ro,nosuid,noexec
        /dev/tty - ro,nosuid,noexec
        /dev/urandom - ro,nosuid,noexec
        /dev/zero - ro,nosuid,noexec
        "); }
    });
}

#[test]
fn devices_are_few() {
    as_everyone(|world| {
        insta::allow_duplicates! { insta::assert_snapshot!(world.look(&[], &["list", "/dev"]), @r"
        fd -> /proc/self/fd
        full device 1:7
        null device 1:3
        ptmx -> pts/ptmx
        pts 40755
        random device 1:8
        shm 41777
        stderr -> /proc/self/fd/2
        stdin -> /proc/self/fd/0
        stdout -> /proc/self/fd/1
        tty device 5:0
        urandom device 1:9
        zero device 1:5
        "); }
    });
}

#[test]
fn the_host_cannot_be_written_to() {
    as_everyone(|world| {
        world.file("rootfs/file", "");
        let text = world.look(&[], &["open-for-writing", "/file", "/dev/null"]);
        insta::allow_duplicates! { insta::assert_snapshot!(text, @r"
        /file: ReadOnlyFilesystem
        /dev/null: ok
        "); }
        // Some of these a kernel may lack, and for an ordinary caller the mode may say no first.
        for path in [
            "/proc/sys/vm/swappiness",
            "/proc/sysrq-trigger",
            "/proc/irq/default_smp_affinity",
        ] {
            let text = world.look(&[], &["open-for-writing", path]);
            assert!(!text.contains(": ok"), "{text}");
        }
        let write = |path| world.look(&[], &["write", path, "x"]);
        assert_eq!(write("/new"), "ReadOnlyFilesystem\n");
        assert_eq!(write("/dev/new"), "ReadOnlyFilesystem\n");
        for path in ["/tmp/new", "/run/new", "/home/envbox/new", "/dev/shm/new"] {
            assert_eq!(write(path), "ok\n");
        }
        assert_eq!(
            world.look(&[], &["list", "/tmp"]),
            "\n",
            "each sandbox has its own"
        );
    });
}

#[test]
fn the_environment_is_exactly_what_is_given() {
    as_everyone(|world| {
        let options = ["--env", "B=2", "--env", "A=1=x", "--env", "C="];
        let text = world.look(&options, &["environment"]);
        assert_eq!(text, "(\"B\", \"2\")\n(\"A\", \"1=x\")\n(\"C\", \"\")\n");
    });
}

#[test]
fn the_name_can_differ_from_the_command() {
    as_everyone(|world| {
        assert_eq!(world.look(&["--name", "-sh"], &["name"]), "-sh\n");
    });
}

#[test]
fn limits_never_exceed_the_policy() {
    as_everyone(|world| {
        let text = world.look(&[], &["limits"]);
        let hard = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..]
                .split_whitespace()
                .nth(1)
                .unwrap()
                .to_owned()
        };
        assert_eq!(hard("Max core file size"), "0");
        assert_eq!(hard("Max stack size"), (8 << 20).to_string());
        assert!(hard("Max open files").parse::<u64>().unwrap() <= 16_384);
        assert!(hard("Max processes").parse::<u64>().unwrap() <= 16_384);
    });
}

#[test]
fn the_network_is_a_loopback_of_its_own() {
    as_everyone(|world| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        for network in ["none", "loopback"] {
            let options = ["--network", network];
            assert_eq!(world.look(&options, &["loopback"]), "lo\n");
            assert_eq!(
                world.look(&options, &["connect", &address]),
                "ConnectionRefused\n"
            );
        }
        let options = ["--network", "host"];
        assert_eq!(world.look(&options, &["connect", &address]), "ok\n");
    });
}

#[test]
fn denied_calls_fail_and_nested_user_namespaces_work() {
    as_everyone(|world| {
        insta::allow_duplicates! { insta::assert_snapshot!(world.look(&[], &["denied"]), @r"
        keyctl -1 1
        add_key -1 1
        bpf -1 1
        perf_event_open -1 1
        io_uring_setup -1 38
        settimeofday -1 1
        ioctl(TIOCSTI) -1 1
        socket(AF_VSOCK) -1 97
        unshare(CLONE_NEWUSER) 0
        "); }
    });
}

#[test]
fn init_cannot_be_traced_by_the_step() {
    as_everyone(|world| {
        let expected = "PermissionDenied\nPermissionDenied\n-1\n";
        assert_eq!(world.look(&[], &["trace-init"]), expected);
    });
}

#[test]
fn pid_1_reaps_orphans() {
    as_everyone(|world| {
        assert_eq!(world.look(&[], &["reap"]), "parent 1\nreaped\n");
    });
}
