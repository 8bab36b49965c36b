//! Ray's tasks whose functions run in the sandbox.

use std::fs;

use serde_json::{Value, json};

use crate::downloads;
use crate::project::{self, INSIDE, Listener};
use crate::support::{User, World};

#[test]
fn net_ray_tasks_run_inside() {
    let engine = project::Engine::new("ray");
    for user in User::ALL {
        let world = World::new(user);
        project::example(&world, "ray/example");
        downloads::share(&world);
        let script = fs::read_to_string(project::beside("ray/tasks.py")).unwrap();
        world.write("tasks.py", &script);
        let listener = Listener::new();
        let script = format!("python tasks.py \"$PWD\" {} 73576", listener.port());
        let mut shell = engine.shell(&world, &script);
        shell
            .env("RAY_PLACE", world.path().join("home/ray"))
            .env("RAY_USAGE_STATS_ENABLED", "0");
        let run = world.finished(shell);
        assert_eq!(run.code(), Some(0), "{}", run.whole());
        downloads::keep(&world);
        let said: Value = serde_json::from_str(run.stdout().lines().last().unwrap()).unwrap();

        let sweeps = &said["sweeps"];
        assert_eq!(sweeps[0], sweeps[1]);
        assert_eq!(sweeps[0][0][0], "envbox");
        assert_eq!(sweeps[0][0][1], "2020-01-01");
        assert_ne!(sweeps[0][0][2], sweeps[0][1][2]);
        assert_eq!(said["probe"], INSIDE);
        listener.assert_alone();

        assert_eq!(said["fails"], json!(["RayTaskError(KeyError)", "KeyError"]));
        assert_eq!(said["exits"][1], 7, "{}", said["exits"]);
        assert_eq!(said["crashes"][1], -11, "{}", said["crashes"]);
        let nowhere = said["nowhere"][2].as_str().unwrap();
        assert!(nowhere.contains("no program `/absent`"), "{nowhere}");
        assert_eq!(said["cancelled"], json!(["cancelled", "cancelled"]));
        let declared = said["declared"].as_str().unwrap();
        assert!(declared.contains("`/absent`"), "{declared}");
    }
}
