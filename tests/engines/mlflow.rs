//! MLflow's projects in the sandbox.

use std::fs;
use std::process::{Command, Stdio};

use crate::downloads;
use crate::project::{self, INSIDE, Listener, PROBE};
use crate::support::{Run, User, World};
use serde_json::Value;

struct Engine(project::Engine);

impl Engine {
    fn new() -> Self {
        Self(project::Engine::new("mlflow"))
    }

    fn world(&self, user: User, seconds: &str) -> World {
        let world = World::new(user);
        project::example(&world, "mlflow/example");
        downloads::share(&world);
        let entry = format!(
            "  wait:\n    command: python wait.py {seconds}\n  probe:\n    parameters: {{port: \
             string}}\n    command: python probe.py {{port}} > probe.txt\n"
        );
        let project = fs::read_to_string(world.project().join("MLproject")).unwrap();
        world.write("MLproject", &format!("{project}{entry}"));
        world.write("probe.py", PROBE);
        for name in ["wait.py", "runs.py"] {
            let text = fs::read_to_string(project::beside("mlflow").join(name)).unwrap();
            world.write(name, &text);
        }
        world
    }

    /// A shell in the home directory, with runs tracked below it.
    fn command(&self, world: &World, script: &str) -> Command {
        let home = world.path().join("home");
        let mut shell = self.0.shell(world, &format!("cd && {script}"));
        shell
            .env(
                "MLFLOW_TRACKING_URI",
                format!("sqlite:///{}/track/mlflow.db", home.display()),
            )
            .env("MLFLOW_DISABLE_TELEMETRY", "true");
        shell
    }

    fn run(&self, world: &World, script: &str) -> Run {
        world.finished(self.command(world, script))
    }
}

/// One environment for all: pip takes longer than what is tried in it.
#[test]
fn net_mlflow_runs_projects_inside() {
    let engine = Engine::new();
    tells_the_store(&engine);
    waits_on_the_command_line(&engine);
}

fn tells_the_store(engine: &Engine) {
    let world = engine.world(User::Unprivileged, "73572");
    let script = "mkdir track && cd track && python ../../project/runs.py ../../project 73572";
    let run = engine.run(&world, script);
    assert_eq!(run.code(), Some(0), "{}", run.whole());
    downloads::keep(&world);
    let said: Value = serde_json::from_str(&run.stdout()).unwrap();

    let (first, second) = (&said["first"], &said["second"]);
    assert_eq!(first["returned"], "FINISHED");
    assert_eq!(first["status"], "FINISHED");
    assert_eq!(first["params"]["alpha"], "0.5");
    assert_eq!(
        first["artifacts"],
        serde_json::json!(["envbox", "weights.txt"])
    );
    assert_eq!(first["envbox"][0], "envbox/record.json");
    let weights = first["weights"].as_str().unwrap();
    assert!(weights.starts_with("# envbox 2020-01-01\n"), "{weights}");
    assert_eq!(first["weights"], second["weights"]);
    assert_eq!(first["metrics"], second["metrics"]);
    let lock = fs::read_to_string(world.project().join("envbox.lock")).unwrap();
    let digest = first["tags"]["envbox.lock"].as_str().unwrap();
    assert!(lock.contains(&format!("digest = \"{digest}\"")), "{digest}");
    assert_ne!(first["tags"]["envbox.run"], second["tags"]["envbox.run"]);
    // The project's own clock does not date the run.
    assert!(first["ended"].as_u64().unwrap() > 1_700_000_000_000);

    assert_eq!(said["failed"]["status"], "FAILED");
    assert_eq!(said["failed"]["tags"]["envbox.failed-by"], "command");
    assert_eq!(said["cancelled"]["before"], "RUNNING");
    assert_eq!(said["cancelled"]["after"], "KILLED");
    assert_eq!(said["cancelled"]["status"], "KILLED");
    assert_eq!(said["cancelled"]["left"], false);
    let unknown = said["unknown"].as_str().unwrap();
    assert!(unknown.contains("`netwrok`"), "{unknown}");
}

fn waits_on_the_command_line(engine: &Engine) {
    let world = engine.world(User::Current, "73573");
    let listener = Listener::new();
    let mlflow = "mkdir -p track && cd track && exec mlflow run --backend envbox ../../project";

    let probed = format!("{mlflow} -e probe -P port={}", listener.port());
    let probed = engine.run(&world, &probed);
    assert_eq!(probed.code(), Some(0), "{}", probed.whole());
    let probe = fs::read_to_string(world.project().join("probe.txt")).unwrap();
    assert_eq!(probe.trim(), INSIDE);
    listener.assert_alone();

    let failed = engine.run(&world, &format!("{mlflow} -P alpha=-1"));
    assert_eq!(failed.code(), Some(1), "{}", failed.whole());
    assert!(
        failed.stderr().contains("alpha is negative"),
        "{}",
        failed.whole()
    );

    let mut server = engine.command(&world, mlflow);
    server.env("MLFLOW_TRACKING_URI", "http://127.0.0.1:9");
    server.env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0");
    assert_ne!(world.finished(server).code(), Some(0));

    let mut ended = engine
        .command(&world, &format!("{mlflow} -e wait"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    project::until(|| project::sleeping("73573"));
    let pid = rustix::process::Pid::from_raw(i32::try_from(ended.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(!ended.wait().unwrap().success());
    project::until(|| !project::sleeping("73573"));
    let runs = "cd track && python -c \"import mlflow; print(mlflow.search_runs(\
                ['0'])['status'].value_counts().to_dict())\"";
    let runs = engine.run(&world, runs);
    assert!(runs.stdout().contains("'KILLED': 1"), "{}", runs.whole());
    assert!(runs.stdout().contains("'FAILED': 1"), "{}", runs.whole());
}
