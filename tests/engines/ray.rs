//! Ray's tasks and actors that run in the sandbox.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::downloads;
use crate::project::{self, Engine, INSIDE, Listener};
use crate::support::{User, World};

/// Runs a script beside these tests as a driver, and returns what it printed.
fn driven(engine: &Engine, user: User, script: &str, sleep: &str) -> Value {
    let world = World::new(user);
    project::example(&world, "ray/example");
    downloads::share(&world);
    for name in [script, "processes.py"] {
        let text = fs::read_to_string(project::beside("ray").join(name)).unwrap();
        world.write(name, &text);
    }
    let listener = Listener::new();
    // Ray cancels by SIGINT, which a shell ignores for what it starts in the background.
    let python = "env --default-signal=INT python";
    let command = format!(
        "mkdir \"$TMPDIR\" && {python} {script} \"$PWD\" {} {sleep}",
        listener.port()
    );
    let mut shell = engine.shell(&world, &command);
    let temporary = world.path().join("home/tmp");
    shell
        .env("TMPDIR", &temporary)
        .env("RAY_PLACE", world.path().join("home/ray"))
        .env("RAY_USAGE_STATS_ENABLED", "0");
    let run = world.finished(shell);
    assert_eq!(run.code(), Some(0), "{}", run.whole());
    downloads::keep(&world);
    listener.assert_alone();
    // Workers were killed, and what is in Ray's session directory goes with the session.
    let left = fs::read_dir(temporary)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().contains("envbox"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    serde_json::from_str(run.stdout().lines().last().unwrap()).unwrap()
}

/// Asserts on the type of an error, that of its cause, and a part of its text.
fn assert_error(found: &Value, kind: &str, cause: &str, text: &str) {
    let said = found[2].as_str().unwrap_or_default();
    assert_eq!([&found[0], &found[1]], [kind, cause], "{found}");
    assert!(said.contains(text), "{said}");
}

#[test]
fn net_ray_tasks_run_inside() {
    let engine = Engine::new("ray");
    for user in User::ALL {
        let said = driven(&engine, user, "tasks.py", "73576");
        let sweeps = &said["sweeps"];
        assert_eq!(sweeps[0], sweeps[1]);
        assert_ne!(sweeps[0][0], sweeps[0][1]);
        assert_eq!(said["probe"], INSIDE);

        assert_eq!(said["fails"], json!(["RayTaskError(KeyError)", "KeyError"]));
        assert_eq!(said["exits"][1], 7, "{}", said["exits"]);
        assert_eq!(said["crashes"][1], -11, "{}", said["crashes"]);
        let nowhere = said["nowhere"][2].as_str().unwrap();
        assert!(nowhere.contains("no program `/absent`"), "{nowhere}");
        assert_eq!(said["cancelled"], json!(["cancelled", "cancelled"]));
        let declared = said["declared"].as_str().unwrap();
        assert!(declared.contains("`/absent`"), "{declared}");
        // Ray passes over a plugin that a node does not have.
        let unplugged = said["unplugged"][2].as_str().unwrap();
        assert!(unplugged.contains("has no plugin"), "{unplugged}");
    }
}

#[test]
fn net_ray_plugin_puts_plain_tasks_and_actors_inside() {
    let engine = Engine::new("ray");
    for user in User::ALL {
        let said = driven(&engine, user, "plugin.py", "73577");
        is_inside(&said);
        passes_objects(&said);
        says_what_was_raised(&said);
        refuses(&said);
    }
}

fn is_inside(said: &Value) {
    assert_eq!(said["probe"], INSIDE);
    let sweeps = &said["sweeps"];
    assert_eq!(sweeps[0], sweeps[1]);
    assert_eq!(sweeps[0][0][0], "envbox");
    assert_eq!(sweeps[0][0][1], "2020-01-01");
    assert_ne!(sweeps[0][0][2], sweeps[0][1][2]);
    // Nothing stays from call to call, but in actors.
    assert_eq!(said["states"], json!([[1, "x"], [1, "x"]]));
    let counted = json!([
        2,
        4,
        7,
        8,
        ["RayTaskError(KeyError)", "KeyError"],
        "envbox 2020-01-01 alone"
    ]);
    assert_eq!(said["counted"], json!([counted, counted]));
    let seeds = &said["seeds"];
    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);
    // Once for all tasks and actors, with other seeds and binds; Ray tries three times what fails.
    assert_eq!(said["made"], json!([1 + 3, 1 + 3]));
    assert_eq!(said["killed"], "nothing left");
    assert_eq!(said["cancelled"], "RayTaskError(TaskCancelledError)");
}

fn passes_objects(said: &Value) {
    assert_eq!(said["objects"], 9_999_900_000.0);
    assert_eq!(said["two"], json!(["one", "two"]));
    assert_eq!(said["opened"], json!(["envbox", "envbox"]));
    assert_eq!(said["helped"], "brought");
    assert_eq!(said["words"], "bound red");
}

fn says_what_was_raised(said: &Value) {
    let (key, import) = ("RayTaskError(KeyError)", "RayTaskError(ImportError)");
    assert_error(&said["fails"], key, "KeyError", "KeyError: 'absent'");
    for (name, text) in [
        ("nested", "no `ray.get` in the sandbox"),
        ("reference", "as arguments"),
    ] {
        assert_error(&said[name], import, "ImportError", text);
    }
    let exits = "RayTaskError(EnvboxError)";
    assert_error(&said["exits"], exits, "EnvboxError", "ended with status 7");
}

fn refuses(said: &Value) {
    for (name, text) in [
        (
            "skewed",
            "Ray's Python is 3.10 and that of the environment 3.11",
        ),
        ("missing", "there is no manifest `/absent`"),
        ("actor missing", "there is no manifest `/absent`"),
        ("unknown", "no key `colour`"),
        ("beside pip", "`pip` does not reach the sandbox"),
        ("stale", "was declared"),
        ("nowhere", "no program `/absent` on node"),
    ] {
        assert_error(&said[name], "RuntimeEnvSetupError", "NoneType", text);
    }
    for (name, text) in [
        ("asynchronous", "`async` methods"),
        ("threaded", "`max_concurrency`"),
    ] {
        let found = &said[name];
        assert_eq!(found[0], "ActorDiedError", "{found}");
        assert!(found[2].as_str().unwrap().contains(text), "{found}");
    }
    assert!(said["declared"][0].as_str().unwrap().contains("`/absent`"));
    assert!(said["declared"][1].as_str().unwrap().contains("`colour`"));
}

#[test]
fn net_ray_marks_are_opened_whichever_python_pickled_them() {
    let engine = Engine::new("ray");
    let world = World::new(User::Current);
    world.write("marks.py", include_str!("ray/marks.py"));
    let run = world.finished(engine.shell(&world, "python marks.py"));
    assert_eq!(run.stdout(), "_Mark\nAbsent\n", "{}", run.whole());
}

#[test]
fn net_ray_bench_of_environments_measures_calls() {
    let engine = Engine::new("ray");
    let world = World::new(User::Current);
    downloads::share(&world);
    let report = world.path().join("home/report.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/ray_environments.py");
    // Without `pip` and `uv`, which need more of PyPI than the pins have.
    let run = world.finished(engine.shell(
        &world,
        &format!(
            "exec python -B {} plain envbox --calls 2 --envbox {} --store {} --json {}",
            script.display(),
            env!("CARGO_BIN_EXE_envbox"),
            world.path().join("home/.cache/envbox").display(),
            report.display(),
        ),
    ));
    assert_eq!(run.code(), Some(0), "{}", run.whole());
    downloads::keep(&world);
    let found: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    for way in ["plain", "envbox"] {
        for name in ["first_s", "new_worker_s", "task_ms", "actor_s", "method_ms"] {
            assert!(found[way][name].as_f64().unwrap() > 0.0, "{found:#}");
        }
    }
}
