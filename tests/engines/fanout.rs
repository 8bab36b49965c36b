//! One step fanned out over two nodes, of which one dies: `tests/bench/fanout.py` with few tasks.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::downloads;
use crate::project::Engine;
use crate::support::{User, World};

const TASKS: u64 = 24;

/// Fans out with the Python that a shell finds; returns what was found.
fn fanned_out(mut shell: Command, report: &Path) -> Value {
    let output = shell.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    let found: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(found["faults"], serde_json::json!([]), "{said}");
    found["found"].clone()
}

fn fan_out(engine: &str, world: &World, shell: impl Fn(&str) -> Command) {
    downloads::share(world);
    let report = world.path().join("home/report.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/fanout.py");
    let shell = shell(&format!(
        // Slurm's daemons are where only root looks.
        "PATH=$PATH:/usr/sbin:/sbin; exec python3 -B {} {engine} --tasks {TASKS} --envbox {} --store {} --json {}",
        script.display(),
        env!("CARGO_BIN_EXE_envbox"),
        world.path().join("home/.cache/envbox").display(),
        report.display(),
    ));
    let found = fanned_out(shell, &report);
    downloads::keep(world);
    let own = &found[format!("{engine} own stores, one dies")];
    assert_eq!(own["tasks"], TASKS, "{found:#}");
    assert_eq!(own["left"], serde_json::json!([]), "{found:#}");
    // One fetch of each layer for each node, however many tasks began at once.
    assert_eq!(
        own["fetches_of_a_layer"],
        serde_json::json!([2]),
        "{found:#}"
    );
    assert_eq!(own["by_node"].as_object().unwrap().len(), 2, "{found:#}");
}

#[test]
fn root_net_slurm_accounts_for_every_task_when_a_node_dies() {
    let world = World::new(User::Current);
    fan_out("slurm", &world, |script| world.shell(script));
}

#[test]
fn net_ray_accounts_for_every_task_when_a_node_dies() {
    let engine = Engine::new("ray");
    let world = World::new(User::Current);
    fan_out("ray", &world, |script| engine.shell(&world, script));
}
