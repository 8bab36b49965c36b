//! Exit statuses, signals, standard descriptors, terminals, and the end of the tree.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Stdio};

use crate::harness::{World, as_everyone, everywhere};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::tcgetattr;

/// Starts a guest that hangs and waits until it says that it is there.
fn start(world: &World, options: &[&str], look: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = world.command(options, &["/bin/guest", look]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "ready");
    (child, output)
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_status_is_the_steps_own() {
    everywhere(|world| {
        for code in ["0", "1", "125", "127", "255"] {
            let output = world.output::<&str, _>(&[], &["/bin/guest", "exit", code]);
            assert_eq!(
                output.status.code().map(|code| code.to_string()).as_deref(),
                Some(code),
                "{output:?}"
            );
        }
        for signal in [6, 9, 10, 15] {
            let output = world.output::<&str, _>(&[], &["/bin/guest", "die", &signal.to_string()]);
            assert_eq!(output.status.signal(), Some(signal), "{output:?}");
            assert!(!output.status.core_dumped());
        }
    });
}

#[test]
fn a_command_that_cannot_be_executed_is_told_apart() {
    as_everyone(|world| {
        world.file("rootfs/bin/data", "no program");
        let script = world.file("rootfs/bin/script", "#!/bin/missing\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(script, mode).unwrap();
        let run = |name: &str| {
            let output = world.output(&["--env", "PATH=/none:/bin"], &[name]);
            let text = String::from_utf8(output.stderr).unwrap();
            format!(
                "{:?} {}",
                output.status.code().unwrap(),
                text.lines().next().unwrap()
            )
        };
        let all = ["missing", "/bin/missing", "data", "script", "/bin", ""]
            .map(run)
            .join("\n");
        insta::allow_duplicates! { insta::assert_snapshot!(all, @r"
        127 error: there is no command `missing` in the sandbox
        127 error: there is no command `/bin/missing` in the sandbox
        126 error: cannot execute `data`: Permission denied (os error 13)
        126 error: cannot execute `script`: No such file or directory (os error 2)
        126 error: cannot execute `/bin`: Permission denied (os error 13)
        127 error: there is no command `` in the sandbox
        "); }
    });
}

#[test]
fn a_command_is_found_on_the_steps_path() {
    as_everyone(|world| {
        let output = world.output(&["--env", "PATH=/none:/bin"], &["guest", "name"]);
        assert_eq!(output.stdout, b"guest\n");
    });
}

#[test]
fn a_caller_that_ignores_its_children_is_served_too() {
    everywhere(|world| {
        let run = world.command(&["--usage"], &["/bin/guest", "exit", "3"]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "trap '' CHLD; exec \"$0\" \"$@\""]);
        shell.arg(run.get_program()).args(run.get_args());
        world.lower(&mut shell);
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("max_rss: 0 "), "{text}");
    });
}

#[test]
fn output_and_error_are_not_mixed() {
    everywhere(|world| {
        let output = world.output::<&str, _>(&[], &["/bin/guest", "to-both"]);
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (&b"out\n"[..], &b"err\n"[..])
        );
    });
}

#[test]
fn standard_input_is_passed_through() {
    everywhere(|world| {
        let mut command = world.command::<&str, _>(&[], &["/bin/guest", "copy"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"abc").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"abc");
    });
}

#[test]
fn signals_are_forwarded_once() {
    everywhere(|world| {
        let (mut child, mut output) = start(world, &[], "signals");
        let mut told = String::new();
        for signal in [
            Signal::HUP,
            Signal::INT,
            Signal::USR1,
            Signal::USR2,
            Signal::ALARM,
            Signal::WINCH,
        ] {
            send(&child, signal);
            // Two signals on their way at once may arrive in any order.
            output.read_line(&mut told).unwrap();
        }
        send(&child, Signal::TERM);
        output.read_to_string(&mut told).unwrap();
        assert_eq!(told, "HUP\nINT\nUSR1\nUSR2\nALRM\nWINCH\nTERM\n");
        assert_eq!(child.wait().unwrap().code(), Some(7));
    });
}

#[test]
fn a_stop_stops_both_and_a_continue_continues_both() {
    everywhere(|world| {
        let (mut child, mut output) = start(world, &[], "signals");
        send(&child, Signal::TSTP);
        let mut told = String::new();
        output.read_line(&mut told).unwrap();
        let options = rustix::process::WaitOptions::UNTRACED;
        let pid = Pid::from_child(&child);
        let (_, status) = rustix::process::waitpid(Some(pid), options)
            .unwrap()
            .unwrap();
        assert!(status.stopped());
        send(&child, Signal::CONT);
        output.read_line(&mut told).unwrap();
        assert_eq!(told, "TSTP\nCONT\n");
        send(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(7));
    });
}

#[test]
fn the_tree_dies_with_the_supervisor() {
    everywhere(|world| {
        let (mut child, mut output) = start(world, &[], "hang");
        send(&child, Signal::KILL);
        child.wait().unwrap();
        // The pipe ends when the last process in the sandbox is gone.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    });
}

#[test]
fn what_a_step_leaves_behind_is_killed() {
    everywhere(|world| {
        // `output` waits for the end of the pipe, which the orphan holds.
        let output = world.output::<&str, _>(&[], &["/bin/guest", "leave-orphan"]);
        assert_eq!(output.status.code(), Some(0));
    });
}

#[test]
fn a_step_that_kills_everything_keeps_its_status() {
    as_everyone(|world| {
        for signal in ["15", "9"] {
            assert_eq!(world.look(&[], &["kill-all", signal]), "alive\n");
        }
    });
}

#[test]
fn a_terminal_is_the_sandboxes_own() {
    as_everyone(|world| {
        let mut command = world.command(&["--terminal"], &["/bin/guest", "terminal"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        // The echo of the input may come before or after the first lines.
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        insta::allow_duplicates! { insta::assert_snapshot!(lines.join("\n"), @r#"
        controlling true
        hello
        leader true
        name /dev/pts/0
        read "hello\n"
        terminals [1, 1, 1]
        "#); }
    });
}

/// Opens a terminal of the host's.
fn host_terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, terminal)
}

#[test]
fn a_terminal_is_raw_while_the_step_has_it_and_then_restored() {
    everywhere(|world| {
        let (master, terminal) = host_terminal();
        let modes = || format!("{:?}", tcgetattr(&terminal).unwrap());
        let before = modes();
        let mut command = world.command(&["--terminal"], &["/bin/guest", "signals"]);
        let stdin = terminal.try_clone().unwrap();
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_ne!(modes(), before);
        // Raw here, so the key reaches the step's terminal, which makes a signal of it.
        rustix::io::write(&master, b"\x03").unwrap();
        line.clear();
        output.read_line(&mut line).unwrap();
        assert_eq!(line.replace("^C", "").trim_end(), "INT");
        send(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(modes(), before);
    });
}

#[test]
fn a_key_on_the_callers_terminal_reaches_the_step_once() {
    everywhere(|world| {
        let (master, terminal) = host_terminal();
        // `setsid --ctty` makes the terminal on its standard input the controlling one.
        let mut command = std::process::Command::new("setsid");
        let supervisor = world.command::<&str, _>(&[], &["/bin/guest", "signals"]);
        command
            .arg("--ctty")
            .arg(supervisor.get_program())
            .args(supervisor.get_args());
        world.lower(&mut command);
        let mut child = command
            .stdin(terminal)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        output.read_line(&mut told).unwrap();
        rustix::io::write(&master, b"\x03").unwrap();
        output.read_line(&mut told).unwrap();
        send(&child, Signal::TERM);
        output.read_to_string(&mut told).unwrap();
        assert_eq!(told, "ready\nINT\nTERM\n");
        assert_eq!(child.wait().unwrap().code(), Some(7));
    });
}
