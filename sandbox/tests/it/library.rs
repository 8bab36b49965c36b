//! The library itself, in a program with threads.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use envbox_sandbox::{
    CheckStatus, Exit, HeadStart, HostFacts, Network, Policy, Running, Sandbox, SandboxError,
    Signals, Step,
};

use crate::harness::{World, as_everyone, as_myself};

/// Starts the guest with a pipe as its standard output.
fn spawn(world: &World, guest: &[&str]) -> (Running, BufReader<PipeReader>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let policy = Policy {
        rootfs: world.path("rootfs"),
        ..Policy::default()
    };
    let step = Step {
        argv: [&["/bin/guest"], guest]
            .concat()
            .into_iter()
            .map(Into::into)
            .collect(),
        signals: Signals::Leave,
        stdin: Some(OwnedFd::from(std::fs::File::open("/dev/null").unwrap())),
        stdout: Some(writer.into()),
        ..Step::default()
    };
    let sandbox = Sandbox::new(policy, &HostFacts::minimal()).unwrap();
    (sandbox.spawn(step).unwrap(), BufReader::new(reader))
}

#[test]
fn a_step_is_the_same_with_a_head_start() {
    as_myself(|world| {
        let look = |guest, network, head_start: Option<Network>| {
            let policy = |network| Policy {
                rootfs: world.path("rootfs"),
                network,
                ..Policy::default()
            };
            let (mut reader, writer) = std::io::pipe().unwrap();
            let step = Step {
                argv: ["/bin/guest", guest].map(Into::into).into(),
                signals: Signals::Leave,
                stdout: Some(writer.into()),
                head_start: head_start.map(|it| HeadStart::begin(&policy(it)).unwrap()),
                ..Step::default()
            };
            let sandbox = Sandbox::new(policy(network), &HostFacts::minimal()).unwrap();
            let outcome = sandbox.spawn(step).unwrap().wait().unwrap();
            assert_eq!(outcome.exit, Exit::Code(0));
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        };
        let (own, host) = (Network::None, Network::Host);
        for guest in ["facts", "mounts"] {
            let without = look(guest, own, None);
            assert!(without.contains(['3', '/']), "{without}");
            assert_eq!(look(guest, own, Some(own)), without);
            // What does not serve is thrown away.
            assert_eq!(look(guest, host, Some(own)), look(guest, host, None));
        }
    });
}

fn wait_until_ready(output: &mut BufReader<PipeReader>) {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}

#[test]
fn a_dropped_sandbox_is_killed() {
    as_myself(|world| {
        let (running, mut output) = spawn(world, &["hang"]);
        wait_until_ready(&mut output);
        drop(running);
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        // Also before it had time to get anywhere.
        let (running, mut output) = spawn(world, &["hang"]);
        drop(running);
        output.read_to_end(&mut Vec::new()).unwrap();
    });
}

#[test]
fn a_sandbox_outlives_the_thread_that_started_it() {
    as_myself(|world| {
        let (running, mut output) =
            std::thread::scope(|scope| scope.spawn(|| spawn(world, &["signals"])).join().unwrap());
        wait_until_ready(&mut output);
        running.signal(libc::SIGTERM).unwrap();
        assert_eq!(running.wait().unwrap().exit, Exit::Code(7));
    });
}

#[test]
fn a_signal_before_the_step_exists_is_not_lost() {
    as_myself(|world| {
        let (running, _output) = spawn(world, &["hang"]);
        running.signal(libc::SIGTERM).unwrap();
        assert_eq!(running.wait().unwrap().exit, Exit::Signal(libc::SIGTERM));
    });
}

#[test]
fn many_sandboxes_run_at_once() {
    as_myself(|world| {
        std::thread::scope(|scope| {
            for code in 0..8 {
                scope.spawn(move || {
                    let (running, _output) = spawn(world, &["exit", &code.to_string()]);
                    assert_eq!(running.wait().unwrap().exit, Exit::Code(code));
                });
            }
        });
    });
}

#[test]
fn nothing_leads_to_the_hosts_tree_from_the_first_moment() {
    as_myself(|world| {
        let list = |directory| {
            let (running, mut output) = spawn(world, &["list", directory]);
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            assert_eq!(running.wait().unwrap().exit, Exit::Code(0));
            text
        };
        let root = list("/");
        assert!(root.contains("project"), "{root}");
        // Many at once: who takes the host's tree away is late then.
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..4).for_each(|_| assert_eq!(list("/.."), root)));
            }
        });
    });
}

#[test]
fn use_is_measured() {
    as_myself(|world| {
        let (running, _output) = spawn(world, &["burn"]);
        let usage = running.wait().unwrap().usage;
        assert!(usage.user > std::time::Duration::ZERO);
        assert!(usage.wall > std::time::Duration::ZERO);
        // The guest fills 32 MiB.
        assert!(usage.max_rss >= 32 << 20);
    });
}

#[test]
fn paths_of_a_policy_are_checked() {
    let new = |rootfs: &str| {
        let policy = Policy {
            rootfs: rootfs.into(),
            ..Policy::default()
        };
        Sandbox::new(policy, &HostFacts::minimal()).unwrap_err()
    };
    assert!(matches!(new("relative"), SandboxError::Path { .. }));
    assert!(matches!(new("/a/../b"), SandboxError::Path { .. }));
    assert!(matches!(new("/nowhere"), SandboxError::Source { .. }));
    assert!(matches!(new("/dev/null"), SandboxError::Source { .. }));
}

#[test]
fn this_host_has_what_the_tests_need() {
    as_everyone(|world| {
        let output = world.tool(&["--facts"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Ok\tuser namespaces: available"), "{text}");
        assert!(
            text.contains("Ok\toverlay in a user namespace: allowed"),
            "{text}"
        );
    });
    let missing = |facts: HostFacts| {
        facts
            .checks()
            .into_iter()
            .any(|check| check.status == CheckStatus::Missing)
    };
    assert!(!missing(HostFacts::detect()));
}

/// Whoever asks: a driver is looked at, and refused, without being started.
#[test]
fn the_driver_below_a_root_is_told() {
    as_everyone(|world| {
        let root = world.path("driver");
        let library = root.join("usr/lib64/libcuda.so.580.159.04");
        fs::create_dir_all(library.parent().unwrap()).unwrap();
        fs::write(&library, "").unwrap();
        let gpu = |root: &Path| {
            let mut command = world.tool(&["--gpu".as_ref(), root]);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(125));
            let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            texts.concat()
        };
        insta::allow_duplicates! {
            insta::assert_snapshot!(gpu(&root), @r"
            `/dev/nvidiactl` does not exist
            `/sys/module/nvidia/version` does not exist
            `/proc/driver/nvidia/version` does not exist
            `/dev/nvidia-uvm` does not exist
            `/usr/lib64/libcuda.so.580.159.04` is not taken: it is empty
            error: the NVIDIA driver was removed in part: `/usr/lib64/libcuda.so.580.159.04` cannot be used

            hint: install the driver again, or remove its packages altogether
            ");
            insta::assert_snapshot!(gpu(&library), @r"
            error: failed to open the root
            caused by: Not a directory (os error 20)
            ");
        }
    });
}
