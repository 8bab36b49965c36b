//! Packages of a conda channel: run, resumed, run again.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::Launcher;
use crate::conda_python::{SYSTEM, channel};
use crate::downloads;
use crate::golden::world_of;
use crate::support::User;

#[test]
fn net_metaflow_takes_a_conda_flow_by_another_name() {
    let base = world_of("sklearn", User::Current);
    let server = channel(&base).serve();
    let launcher = Launcher::new(User::Current);
    // The channel's interpreter is Debian's: what conda's own bring along is asked for here, beside the names.
    let flow = include_str!("conda.py").replace("conda", "envbox_conda");
    let python = "python=\"3.11\"";
    let system = format!("{python}, debian_packages=[{SYSTEM}]");
    assert_eq!(flow.matches(python).count(), 1);
    launcher
        .world
        .write("converted.py", &flow.replace(python, &system));
    launcher.world.write("fail", "");
    let run = |arguments: &str, code: i32| {
        let mut command: Command =
            launcher.python(&format!("converted.py --no-pylint {arguments}"));
        command.env("CONDA_CHANNELS", server.url());
        let run = launcher.world.finished(command);
        let said = run.stdout() + &run.stderr();
        assert_eq!(run.code(), Some(code), "{arguments}: {said}");
        said
    };
    let failed = run("run --run-id-file failed", 1);
    assert!(failed.contains("told to fail"), "{failed}");
    fs::remove_file(launcher.world.project().join("fail")).unwrap();
    let asked = server.requests().len();
    let resumed = run("resume --run-id-file resumed", 0);
    assert!(!resumed.contains("Locking"), "{resumed}");
    let _ = run("run --run-id-file again", 0);
    // What is locked and built needs the channel no more.
    assert_eq!(server.requests().len(), asked);

    let resumed = launcher.tasks("CondaFlow", &launcher.run_id("resumed"));
    let again = launcher.tasks("CondaFlow", &launcher.run_id("again"));
    let modules = "/opt/env/lib/python3.11/site-packages";
    let (python, host) = ("/opt/env/bin/python", "envbox");
    let numpy = format!("{modules}/numpy/__init__.py");
    assert_eq!(
        resumed["start"]["seen"],
        json!(["2.4.6", numpy, python, host])
    );
    let app = format!("{modules}/app.py");
    let home = "/opt/env/share/app";
    assert_eq!(resumed["end"]["seen"], json!([app, home, python, host]));
    for name in ["start", "end"] {
        assert_eq!(
            resumed[name]["artifacts"], again[name]["artifacts"],
            "{name}"
        );
    }
    for lock in launcher.environments() {
        let lock = fs::read_to_string(lock).unwrap();
        assert!(!lock.contains("127.0.0.1"), "{lock}");
    }
    downloads::keep(&launcher.world);
}
