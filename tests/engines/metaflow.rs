//! Metaflow runs its tasks in envbox: `integrations/metaflow`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::downloads;
use crate::project::pins;
use crate::support::{Run, User, World};
use crate::venv::Venv;

mod card;
mod conda;
mod elsewhere;

/// A virtual environment with Metaflow and our package, and a world with the flows.
struct Launcher {
    venv: Venv,
    world: World,
}

impl Launcher {
    fn new(user: User) -> Self {
        let world = World::new(user);
        downloads::share(&world);
        // A build leaves files beside what it builds.
        let source = world.path().join("package");
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/metaflow");
        let copied = Command::new("cp")
            .arg("-r")
            .args([&package, &source])
            .status();
        assert!(copied.unwrap().success());
        let pins = pins("metaflow");
        let venv = Venv::new(&[
            "--no-deps",
            "--requirement",
            &pins,
            source.to_str().unwrap(),
        ]);
        for (name, text) in [
            ("probe.py", include_str!("metaflow/probe.py")),
            ("waits.py", include_str!("metaflow/waits.py")),
            ("client.py", include_str!("metaflow/client.py")),
            ("text.txt", "included\n"),
        ] {
            world.write(name, text);
        }
        Self { venv, world }
    }

    /// Python with a flow or another script of the project.
    fn python(&self, arguments: &str) -> Command {
        let python = self.venv.program("python");
        let mut command = self
            .world
            .shell(&format!("exec {} {arguments}", python.display()));
        command
            .env("METAFLOW_USER", "tester")
            .env(
                "METAFLOW_CLIENT_CACHE_PATH",
                self.world.path().join("home/cache"),
            )
            .env("METAFLOW_ENVBOX_BINARY", self.world.program());
        command
    }

    fn runs(&self, arguments: &str) -> Run {
        let run = self.world.finished(self.python(arguments));
        assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
        run
    }

    fn fails(&self, arguments: &str) -> String {
        let run = self.world.finished(self.python(arguments));
        assert_eq!(run.code(), Some(1), "{}{}", run.stdout(), run.stderr());
        run.stdout() + &run.stderr()
    }

    fn run_id(&self, file: &str) -> String {
        fs::read_to_string(self.world.project().join(file)).unwrap()
    }

    /// What the client API says of each task of a run.
    fn tasks(&self, flow: &str, run_id: &str) -> BTreeMap<String, Value> {
        let run = self.runs(&format!("client.py {flow}/{run_id}"));
        serde_json::from_str(&run.stdout()).unwrap()
    }

    fn environments(&self) -> Vec<PathBuf> {
        let root = self.world.project().join(".metaflow/envbox");
        let mut found: Vec<_> = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path().join("envbox.lock"))
            .filter(|lock| lock.exists())
            .collect();
        found.sort();
        found
    }
}

#[test]
fn net_metaflow_runs_every_task_inside_and_twice_alike() {
    for user in User::ALL {
        let launcher = Launcher::new(user);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let run = |file: &str| {
            launcher.runs(&format!(
                "probe.py --no-pylint --environment=envbox run --port {port} --run-id-file {file}"
            ))
        };
        let _ = run("first");
        let locks: Vec<_> = launcher
            .environments()
            .iter()
            .map(fs::read)
            .map(Result::unwrap)
            .collect();
        assert_eq!(locks.len(), 2, "one with `six`, and one for all others");
        let second = run("second");
        assert!(!second.stdout().contains("Locking"), "{}", second.stdout());
        let again: Vec<_> = launcher
            .environments()
            .iter()
            .map(fs::read)
            .map(Result::unwrap)
            .collect();
        assert!(locks == again, "a lockfile changed between two runs");

        let first = launcher.tasks("ProbeFlow", &launcher.run_id("first"));
        let second = launcher.tasks("ProbeFlow", &launcher.run_id("second"));
        let names: Vec<_> = first.keys().map(String::as_str).collect();
        let all = [
            "both", "end", "fan/0", "fan/1", "fan/2", "join", "left", "right", "split", "start",
        ];
        assert_eq!(names, all);
        for (name, task) in &first {
            assert_eq!(
                task["artifacts"], second[name]["artifacts"],
                "{user:?}: {name}"
            );
        }
        for name in [
            "start", "left", "right", "both", "fan/0", "fan/2", "join", "end",
        ] {
            looked_around_inside(&first[name], name);
        }
        assert_eq!(first["right"]["six"], "1.16.0");
        assert_eq!(first["left"]["attempts"], serde_json::json!(["0", "1"]));
        let drawn: Vec<_> = (0..3)
            .map(|i| &first[&format!("fan/{i}")]["drawn"][1])
            .collect();
        assert!(
            drawn[0] != drawn[1] && drawn[1] != drawn[2],
            "siblings draw the same: {drawn:?}"
        );
        let nobody = listener.accept().unwrap_err();
        assert_eq!(
            nobody.kind(),
            ErrorKind::WouldBlock,
            "a task reached the host's network"
        );
        assert!(!launcher.world.project().join("written").exists());
        downloads::keep(&launcher.world);
    }
}

/// Checks what a task saw, and what is known of it.
fn looked_around_inside(task: &Value, name: &str) {
    let seen = &task["seen"];
    assert_eq!(seen["host"], "envbox", "{name}");
    assert_eq!(seen["network"], "refused", "{name}");
    assert_eq!(seen["code"], "Read-only file system", "{name}");
    // The manifest says nothing of the epoch or the clock: 2020, and what the step itself took.
    let time = seen["time"].as_u64().unwrap();
    assert!(
        (1_577_836_800..1_577_840_400).contains(&time),
        "{name}: {time}"
    );
    // Metaflow's own books have today.
    assert_eq!(task["ended_after_creation"], true, "{name}: {task}");
    assert!(task["year"].as_u64().unwrap() > 2020, "{name}: {task}");
    let record = &task["record"];
    let digest = &task["metadata"]["envbox-lock-digest"];
    assert!(
        record.to_string().contains(digest.as_str().unwrap()),
        "{name}: {record}"
    );
}

#[test]
fn net_metaflow_resumes_and_spins_inside() {
    let launcher = Launcher::new(User::Current);
    let flow = "probe.py --no-pylint --environment=envbox";
    launcher.world.write("fail", "");
    let failed = launcher.fails(&format!("{flow} run --port 9 --run-id-file failed"));
    assert!(failed.contains("told to fail"), "{failed}");
    fs::remove_file(launcher.world.project().join("fail")).unwrap();
    let resumed = launcher.runs(&format!("{flow} resume --run-id-file resumed"));
    assert!(
        !resumed.stdout().contains("lockfile"),
        "{}",
        resumed.stdout()
    );
    let before = launcher.tasks("ProbeFlow", &launcher.run_id("failed"));
    let after = launcher.tasks("ProbeFlow", &launcher.run_id("resumed"));
    assert_eq!(after["end"]["seen"]["host"], "envbox");
    assert_eq!(after["fan/1"]["artifacts"], before["fan/1"]["artifacts"]);

    let spun = launcher.runs(&format!("{flow} spin fan"));
    let dropped = spun.stdout().contains("Ignoring Step decorator 'envbox'");
    assert!(!dropped, "{}", spun.stdout());
    let records = launcher
        .world
        .project()
        .join(".metaflow/envbox/records/ProbeFlow");
    let spins = fs::read_dir(records).unwrap().count();
    assert_eq!(
        spins, 3,
        "the run, its resumption and the spin have records"
    );
    downloads::keep(&launcher.world);
}

#[test]
fn net_metaflow_tells_resume_from_another_lockfile() {
    let launcher = Launcher::new(User::Current);
    launcher.world.write("fail", "");
    let _ = launcher.fails("probe.py --no-pylint run --with envbox --port 9");
    fs::remove_file(launcher.world.project().join("fail")).unwrap();
    let text = include_str!("metaflow/probe.py").replace("1.16.0", "1.17.0");
    launcher.world.write("probe.py", &text);
    let strict = text.replace("\"1.17.0\"}", "\"1.17.0\"}, strict=True");
    launcher.world.write("strict.py", &strict);
    let refused = launcher.fails("strict.py --no-pylint resume");
    assert!(
        refused.contains("Step right ran with the lockfile sha256:"),
        "{refused}"
    );
    let warned = launcher.runs("probe.py --no-pylint --environment=envbox resume");
    assert!(
        warned
            .stdout()
            .contains("Step *right* ran with the lockfile"),
        "{}",
        warned.stdout()
    );
    downloads::keep(&launcher.world);
}

#[test]
fn net_metaflow_trains_the_example_twice_alike() {
    let launcher = Launcher::new(User::Unprivileged);
    let example = include_str!("../../integrations/metaflow/example/flow.py");
    launcher.world.write("flow.py", example);
    let [first, second] = ["first", "second"].map(|file| {
        let _ = launcher.runs(&format!("flow.py --no-pylint run --run-id-file {file}"));
        launcher.tasks("IrisFlow", &launcher.run_id(file))
    });
    for name in ["train/0", "train/1", "train/2", "best"] {
        assert_eq!(
            first[name]["artifacts"], second[name]["artifacts"],
            "{name}"
        );
        assert!(first[name]["artifacts"]["model"].is_string(), "{name}");
    }
    downloads::keep(&launcher.world);
}

#[test]
fn net_metaflow_reads_what_is_asked_for() {
    let launcher = Launcher::new(User::Current);
    let tests = launcher.world.path().join("package/tests");
    let _ = launcher.runs(&format!("-m unittest discover -s {}", tests.display()));
}

#[test]
fn net_metaflow_takes_a_pypi_flow_by_another_name() {
    let launcher = Launcher::new(User::Current);
    let flow = include_str!("metaflow/pypi.py");
    let converted = flow.replace("pypi", "envbox");
    launcher.world.write("converted.py", &converted);
    let _ = launcher.runs("converted.py --no-pylint run --run-id-file run");
    let tasks = launcher.tasks("PypiFlow", &launcher.run_id("run"));
    assert_eq!(
        tasks["start"]["seen"],
        serde_json::json!(["1.16.0", "envbox"])
    );
    assert_eq!(
        tasks["end"]["seen"],
        serde_json::json!(["1.17.0", "3.10", "envbox"])
    );
    downloads::keep(&launcher.world);
}

#[test]
fn net_metaflow_says_what_is_wrong_before_a_task_starts() {
    let launcher = Launcher::new(User::Current);
    let flow = "probe.py --no-pylint --environment=envbox run --port 9";
    let text = include_str!("metaflow/probe.py");
    launcher
        .world
        .write("unsatisfiable.py", &text.replace("\"1.16.0\"", "\"77.7\""));
    let unsatisfiable = launcher.fails(&flow.replace("probe", "unsatisfiable"));
    assert!(
        unsatisfiable.contains("The environment of step right cannot be locked"),
        "{unsatisfiable}"
    );
    assert!(unsatisfiable.contains("six==77.7"), "{unsatisfiable}");
    assert!(
        !unsatisfiable.contains("Task is starting"),
        "{unsatisfiable}"
    );

    launcher.world.write(
        "mistyped.py",
        &text.replace("packages={\"six\": \"1.16.0\"}", "clock=\"frosen\""),
    );
    let mistyped = launcher.fails(&flow.replace("probe", "mistyped"));
    assert!(mistyped.contains("Did you mean `frozen`?"), "{mistyped}");

    let with_binary = |path: &Path| {
        let mut command = launcher.python(flow);
        command.env("METAFLOW_ENVBOX_BINARY", path);
        let run = launcher.world.finished(command);
        assert_eq!(run.code(), Some(1), "{}{}", run.stdout(), run.stderr());
        run.stdout() + &run.stderr()
    };
    let missing = with_binary(Path::new("/nowhere/envbox"));
    assert!(
        missing.contains("There is no program `/nowhere/envbox`"),
        "{missing}"
    );
    launcher
        .world
        .write("newer", "#!/bin/sh\necho envbox 9.0.0\n");
    let newer = launcher.world.project().join("newer");
    let executable = Command::new("chmod").arg("+x").arg(&newer).status();
    assert!(executable.unwrap().success());
    let newer = with_binary(&newer);
    assert!(
        newer.contains("`envbox 9.0.0`") && newer.contains(">=0.1.0,<0.2.0"),
        "{newer}"
    );
}

#[test]
fn net_metaflow_leaves_nothing_when_it_is_killed() {
    for signal in [Signal::KILL, Signal::TERM] {
        let launcher = Launcher::new(User::Current);
        let mut command = launcher.python("waits.py --no-pylint run --with envbox");
        let mut child = command
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(
            lines.any(|line| line.ends_with("waiting")),
            "the task never started"
        );
        let root = launcher.world.path().to_str().unwrap();
        assert!(processes(root).len() > 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let _ = child.wait().unwrap();
        // Nothing is waited for but the kernel: the processes die of what has happened already.
        let mut patience = 600;
        while !processes(root).is_empty() && patience > 0 {
            sleep(Duration::from_millis(100));
            patience -= 1;
        }
        assert_eq!(processes(root), Vec::<String>::new(), "{signal:?}");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(root), "{mounts}");
        downloads::keep(&launcher.world);
    }
}

/// The command lines that name this directory.
fn processes(root: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(root)).collect()
}
