//! `--die-with-parent`: who started envbox is gone, and so is the step.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::tools::{Tools, for_both};

/// Says whether a process of this command line is there.
fn lives(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(mark))
}

/// Waits until something is so; the test's own limit is the runner's.
fn until(is: impl Fn() -> bool) {
    while !is() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Tools {
    /// A line of the shell's that starts a step that sleeps under a name.
    fn sleeper(&self, mark: &str, options: &str) -> String {
        format!(
            "{} run --frozen --registry {} {options} -- sh -c 'echo x > /project/out; echo started >&2; exec sleep {mark}'",
            self.world.program().display(),
            self.registry
        )
    }

    fn left(&self) -> usize {
        let runs = self.world.path().join("home/.cache/envbox/runs");
        fs::read_dir(runs).map_or(0, Iterator::count)
    }
}

#[test]
fn a_step_ends_when_its_parent_is_killed() {
    for_both(|tools| {
        let mark = format!("3600.{}", std::process::id());
        let line = tools.sleeper(&mark, "--die-with-parent");
        // A shell with something to do afterwards starts a process of its own.
        let mut shell = tools.world.shell(&format!("{line}; true"));
        let mut shell = shell.stderr(Stdio::null()).spawn().unwrap();
        until(|| lives(&format!("sleep\0{mark}")));
        shell.kill().unwrap();
        shell.wait().unwrap();
        until(|| !lives(&mark));
        // In order: the run's directory is gone, and nothing came home.
        until(|| tools.left() == 0);
        assert!(!tools.world.project().join("out").exists());
    });
}

/// Without, a step goes on: launchers leave on purpose.
#[test]
fn a_step_outlives_its_parent_unless_asked() {
    for_both(|tools| {
        let mark = format!("3601.{}", std::process::id());
        let line = tools.sleeper(&mark, "");
        let mut shell = tools.world.shell(&format!("{line}; true"));
        let mut shell = shell.stderr(Stdio::null()).spawn().unwrap();
        until(|| lives(&format!("sleep\0{mark}")));
        shell.kill().unwrap();
        shell.wait().unwrap();
        // The supervisor is asked whether it is there, after the shell is gone.
        let killed = kill_all(&mark);
        assert!(killed > 0);
        until(|| !lives(&mark));
    });
}

fn kill_all(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ours = processes.filter(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    });
    let ids = ours.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let ids = ids.filter_map(rustix::process::Pid::from_raw);
    ids.filter(|id| rustix::process::kill_process(*id, rustix::process::Signal::TERM).is_ok())
        .count()
}

/// A thread that ends is no parent that ends: engines start steps from pools of threads.
#[test]
fn a_step_outlives_the_thread_that_started_it() {
    if !Path::new("/usr/bin/python3").exists() {
        // The same by this test's own threads, for hosts without Python.
        return by_own_thread();
    }
    for_both(|tools| {
        let script = r#"
import subprocess, sys, threading
started = []
def start():
    started.append(subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
thread = threading.Thread(target=start)
thread.start()
thread.join()
step = started[0]
assert step.stdout.readline() == b"started\n"
step.stdin.write(b"go on\n")
step.stdin.close()
assert step.stdout.read() == b"go on\n", "it went on"
sys.exit(step.wait())
"#;
        let program = tools.world.program();
        let step = [
            "run",
            "--frozen",
            "--registry",
            &tools.registry,
            "--die-with-parent",
            "--",
        ];
        let mut python = tools.world.shell("exec \"$@\"");
        python
            .args(["sh", "/usr/bin/python3", "-c", script])
            .arg(program)
            .args(step);
        python.args(["sh", "-c", "echo started; cat"]);
        let run = tools.world.finished(python);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    });
    by_own_thread();
}

fn by_own_thread() {
    for_both(|tools| {
        let arguments = [
            "run",
            "--frozen",
            "--registry",
            &tools.registry,
            "--die-with-parent",
        ];
        let command = ["--", "sh", "-c", "echo started; cat"];
        let mut step: Command = tools.world.command(&[&arguments[..], &command].concat());
        step.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = std::thread::spawn(move || step.spawn().unwrap())
            .join()
            .unwrap();
        let output = {
            use std::io::{Read as _, Write as _};
            let mut child = child;
            let mut first = [0; 8];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut first)
                .unwrap();
            child.stdin.as_mut().unwrap().write_all(b"go on").unwrap();
            child.wait_with_output().unwrap()
        };
        assert!(output.status.success());
        assert_eq!(output.stdout, b"go on");
    });
}
