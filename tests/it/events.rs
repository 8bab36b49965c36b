//! `--events`: what happens, line by line.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::User;
use crate::tools::Tools;

impl Tools {
    /// Runs a line of the shell's, in which `$run` starts a step; descriptor 9 is free.
    fn shell_with_run(&self, script: &str) -> Command {
        let mut shell = self.world.shell(script);
        let head = format!("{} run --frozen", self.world.program().display());
        shell.env("run", head).env("registry", &self.registry);
        shell
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect()
}

#[test]
fn a_run_is_told_from_hello_to_result() {
    let tools = Tools::new(User::Unprivileged);
    let script = "$run --registry $registry --events fd:9 -- sh -c 'echo out; echo x > made; exit 3' 9>events";
    let run = tools.world.finished(tools.shell_with_run(script));
    assert_eq!(
        (run.code(), run.stdout().as_str()),
        (Some(3), "out\n"),
        "{}",
        run.stderr()
    );
    let text = fs::read_to_string(tools.world.project().join("events")).unwrap();
    let lines = lines(&text);
    let kinds = kinds(&lines);
    assert_eq!(
        (kinds[0], kinds[kinds.len() - 1]),
        ("hello", "result"),
        "{text}"
    );
    assert_eq!(lines[0]["schema"], "envbox.events/1");
    assert_eq!(lines[0]["interface"], "envbox.interface/1");
    let place = |kind: &str| kinds.iter().position(|one| *one == kind).unwrap();
    let (started, ended) = (place("step-started"), place("step-ended"));
    assert!(started < ended && ended < kinds.len() - 1);
    assert!(lines[started]["pid"].as_u64().unwrap() > 1);
    assert_eq!(lines[ended]["code"], 3);
    let result = &lines[lines.len() - 1]["result"];
    assert_eq!(result["schema"], "envbox.result/1");
    assert_eq!(result["failed_by"], "command");
    assert_eq!(result["run"], lines[started]["run"]);
    assert_eq!(result["changes"][0]["path"], "made");
}

#[test]
fn the_last_line_is_the_result_also_after_failure() {
    let tools = Tools::new(User::Current);
    let file = tools.world.path().join("events");
    let option = ["--events", file.to_str().unwrap()];
    let told = |arguments: &[&str], code: i32| {
        let run = tools.world.run(&[&option[..], arguments].concat());
        assert_eq!(run.code(), Some(code), "{}", run.stderr());
        let lines = lines(&fs::read_to_string(&file).unwrap());
        assert_eq!(kinds(&lines)[0], "hello");
        let last = lines.last().unwrap().clone();
        assert_eq!(last["type"], "result");
        last["result"].clone()
    };
    let head = ["run", "--frozen", "--registry", &tools.registry, "--"];
    assert_eq!(
        told(&[&head[..], &["none"]].concat(), 127)["failed_by"],
        "envbox"
    );
    assert_eq!(
        told(&[&head[..], &["cat", "/etc/shadow"]].concat(), 125)["error"]["exit_status"],
        125
    );
    assert_eq!(told(&["lock", "--check"], 0)["schema"], "envbox.lock/1");
    tools.world.write("envbox.toml", "nonsense");
    assert_eq!(told(&["lock", "--check"], 10)["schema"], "envbox.error/1");
    assert_eq!(
        told(&[&head[..], &["true"]].concat(), 125)["error"]["kind"],
        "user"
    );
}

/// A signal that ends the step ends envbox by the same, after the result.
#[test]
fn the_result_comes_before_the_death() {
    let tools = Tools::new(User::Current);
    let file = tools.world.path().join("events");
    let option = ["--events", file.to_str().unwrap()];
    let run = tools.run_with(&option, &["sh", "-c", "kill -9 $$"]);
    assert_eq!(run.code(), None);
    let lines = lines(&fs::read_to_string(&file).unwrap());
    assert_eq!(lines.last().unwrap()["result"]["exit"]["signal"], 9);
}

/// Whoever listens cannot fail the run: with a closed descriptor, a full disk, or by not reading.
#[test]
fn a_reader_holds_nothing_up() {
    let tools = Tools::new(User::Current);
    let step = "-- sh -c 'echo out'";
    for (options, redirect) in [("fd:9", ""), ("fd:9", "9>/dev/full"), ("/dev/full", "")] {
        let script = format!("$run --registry $registry --events {options} {step} {redirect}");
        let run = tools.world.finished(tools.shell_with_run(&script));
        assert_eq!(
            (run.code(), run.stdout().as_str()),
            (Some(0), "out\n"),
            "{}",
            run.stderr()
        );
        let stderr = run.stderr();
        assert_eq!(
            stderr.matches("`--events` cannot be written to").count(),
            1,
            "{stderr}"
        );
    }
    // A reader that is gone.
    let script =
        format!("{{ $run --registry $registry --events fd:9 {step} 9>&1 >&8 | true; }} 8>&1");
    let run = tools.world.finished(tools.shell_with_run(&script));
    assert_eq!(
        (run.code(), run.stdout().as_str()),
        (Some(0), "out\n"),
        "{}",
        run.stderr()
    );
}

/// The descriptor is envbox's alone: its end is seen when envbox ends, and the step does not have it.
#[test]
fn the_step_does_not_have_the_descriptor() {
    let tools = Tools::new(User::Current);
    let script = "$run --registry $registry --events fd:9 -- sh -c 'ls /proc/self/fd; echo x >&9'  9>/dev/null";
    let run = tools.world.finished(tools.shell_with_run(script));
    assert_ne!(run.code(), Some(0));
    assert!(
        !run.stdout().lines().any(|line| line == "9"),
        "{}",
        run.stdout()
    );
}

#[test]
fn lines_come_while_the_step_runs() {
    let tools = Tools::new(User::Current);
    let script = "exec $run --registry $registry --events fd:9 -- cat 9>&2 2>/dev/null";
    let mut shell = tools.shell_with_run(script);
    let pipes = shell.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut step = pipes
        .stdout(File::create("/dev/null").unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(step.stderr.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    while next()["type"] != "step-started" {}
    // It waits for its input, so all this was told before it ended.
    drop(step.stdin.take());
    while next()["type"] != "result" {}
    assert!(step.wait().unwrap().success());
}

#[test]
fn a_wrong_name_is_refused() {
    let tools = Tools::new(User::Current);
    for (name, words) in [
        ("fd:1", "hint: write `--events fd:3`"),
        ("fd:x", "hint: write `--events fd:3`"),
        (
            "/no/such/directory/file",
            "failed to write `/no/such/directory/file`",
        ),
    ] {
        let run = tools.run_with(&["--events", name], &["true"]);
        assert_eq!(run.code(), Some(125));
        assert!(run.stderr().contains(words), "{}", run.stderr());
    }
    let run = tools.world.run(&["--events", "fd:2", "lock", "--check"]);
    assert_eq!(run.code(), Some(10));
}
