//! Steps without namespaces, as in a container. What holds with and without is in the other files,
//! under `everywhere`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{World, as_everyone, bare};

#[test]
fn a_step_without_namespaces_draws_the_same() {
    as_everyone(|whole| {
        // Devices opened with `O_CLOEXEC` share a stream, but with `--files`; others never do.
        let looks = [
            (&["--deterministic"][..], &["random"][..]),
            (&["--deterministic"], &["devices", "plain"]),
            (&["--deterministic", "--files"], &["random"]),
        ];
        let draw = |world: &World| looks.map(|(options, look)| world.look(options, look));
        let expected = draw(whole);
        bare(|world| {
            for _ in 0..3 {
                assert_eq!(draw(world), expected);
            }
        });
    });
}

#[test]
fn a_step_without_namespaces_is_told_of_the_same_machine() {
    as_everyone(|whole| {
        let told = |world: &World| {
            let text = world.look(&["--deterministic"], &["machine"]);
            // A listing of `/sys` is the kernel's.
            let told = text.lines().filter(|line| !line.starts_with("cpu0"));
            told.map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = told(whole);
        bare(|world| assert_eq!(told(world), expected));
    });
}

#[test]
fn a_ticking_clock_starts_at_the_epoch_without_namespaces_too() {
    bare(|world| {
        let options = ["--clock", "ticking", "--epoch", "86400"];
        let text = world.look(&options, &["clocks", "0"]);
        let wall = ["REALTIME", "TAI", "gettimeofday", "time"];
        let lines = text
            .lines()
            .filter(|line| wall.iter().any(|name| line.starts_with(name)));
        let seconds = lines.flat_map(|line| line.split(' ').filter_map(|word| word.parse().ok()));
        let seconds: Vec<i64> = seconds.collect();
        assert!(seconds.len() >= 10, "{text}");
        assert!(
            seconds.iter().all(|at| (86_400..86_460).contains(at)),
            "{text}"
        );
    });
}

#[test]
fn directories_are_sorted_without_namespaces_too() {
    bare(|world| {
        let place = world.directory("lower");
        let look = ["fill-and-list", place.to_str().unwrap(), "11", "7", "300"];
        let text = world.look(&["--sorted"], &look);
        assert_eq!(text, ". .. 0 1 10 2 3 4 5 6 7 8 9\ntrue\n");
    });
}

#[test]
fn addresses_are_equal_without_namespaces_too() {
    bare(|world| {
        let first = world.look(&[], &["addresses"]);
        for _ in 0..5 {
            assert_eq!(world.look(&[], &["addresses"]), first);
        }
    });
}

/// Runs a step with some calls forbidden around the supervisor.
fn forbidden(world: &World, calls: &str, options: &[&str], guest: &[&str]) -> Output {
    let supervisor = world.command(options, &[&["/bin/guest"], guest].concat());
    let mut command = Command::new(world.path("rootfs/bin/guest"));
    command.args(["filtered", calls]);
    // Without `env`, which the harness has in front.
    command.args(supervisor.get_args().skip(1)).env_clear();
    world.lower(&mut command);
    command.output().unwrap()
}

fn number(call: libc::c_long) -> String {
    call.to_string()
}

#[test]
fn what_a_container_refuses_is_named() {
    bare(|world| {
        let told = |call| {
            let output = forbidden(world, &number(call), &["--deterministic"], &["exit", "0"]);
            assert_eq!(output.status.code(), Some(125));
            String::from_utf8(output.stderr)
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .to_owned()
        };
        let calls = [
            libc::SYS_seccomp,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
        ];
        insta::allow_duplicates! { insta::assert_snapshot!(calls.map(told).join("\n"), @r"
        error: this container does not allow being asked about system calls (seccomp user notification): the seccomp profile of the container forbids it
        error: this container does not allow stopping a child (ptrace): the seccomp profile of the container forbids it
        error: this container does not allow writing to the memory of a child (`/proc/PID/mem`, process_vm_writev): the seccomp profile of the container forbids it
        "); }
    });
}

#[test]
fn a_layout_that_a_container_refuses_is_passed_over() {
    bare(|world| {
        let call = number(libc::SYS_personality);
        // The query is refused too, by this filter alone.
        let output = forbidden(world, &call, &["--deterministic"], &["clocks", "6"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("REALTIME 1577836800.000001"), "{text}");
    });
}

#[test]
fn directories_are_sorted_where_no_descriptor_can_be_taken() {
    bare(|world| {
        let place = world.directory("lower");
        let call = number(libc::SYS_pidfd_getfd);
        for (count, size) in [("11", "64"), ("11", "32768"), ("3000", "4096")] {
            let look = ["fill-and-list", place.to_str().unwrap(), count, "7", size];
            let output = forbidden(world, &call, &["--sorted"], &look);
            let text = String::from_utf8(output.stdout).unwrap();
            let (list, again) = text.trim_end().split_once('\n').unwrap();
            assert_eq!(again, "true");
            let names: Vec<&str> = list.split(' ').collect();
            assert_eq!(names.len(), count.parse::<usize>().unwrap() + 2);
            assert!(names.is_sorted(), "{list}");
        }
    });
}

/// Runs the supervisor as pid 1 of a pid namespace.
fn as_pid_1(world: &World, guest: &[&str]) -> Command {
    let supervisor = world.command(&["--reap"], &[&["/bin/guest"], guest].concat());
    let mut command = Command::new("unshare");
    command.args([
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command
        .arg(supervisor.get_program())
        .args(supervisor.get_args());
    world.lower(&mut command);
    command
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

#[test]
fn pid_1_mirrors_what_it_cannot_die_of() {
    bare(|world| {
        let status = |guest: &[&str]| as_pid_1(world, guest).status().unwrap().code();
        assert_eq!(status(&["exit", "7"]), Some(7));
        assert_eq!(status(&["die", "15"]), Some(128 + 15));
        assert_eq!(status(&["die", "9"]), Some(128 + 9));
    });
}

#[test]
fn pid_1_forwards_signals_and_reaps_what_others_leave() {
    bare(|world| {
        let mut command = as_pid_1(world, &["signals"]);
        let mut unshare = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(unshare.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let [supervisor] = children(unshare.id())[..] else {
            panic!("unshare has one child");
        };
        // As `docker exec` does: a process from outside, whose child becomes pid 1's.
        let mut exec = Command::new("nsenter");
        exec.args(["--user", "--preserve-credentials", "--pid", "--target"]);
        exec.arg(supervisor.to_string())
            .args(["sh", "-c", "sh -c 'exit 3' &"]);
        world.lower(&mut exec);
        assert!(exec.status().unwrap().success());
        // Only what starts the step is left of its children; a zombie would stay.
        while children(supervisor).len() > 1 {
            std::thread::yield_now();
        }
        let supervisor = Pid::from_raw(supervisor as i32).unwrap();
        kill_process(supervisor, Signal::TERM).unwrap();
        let mut told = String::new();
        output.read_to_string(&mut told).unwrap();
        assert_eq!(told, "TERM\n");
        assert_eq!(unshare.wait().unwrap().code(), Some(7));
    });
}
