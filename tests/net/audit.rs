//! Audits of real interpreters: who drew, to the line.

use serde_json::Value;

use crate::downloads;
use crate::golden::world_of;
use crate::support::{User, World};

/// Draws that nobody seeded, one a line, in the step's own code and through libraries.
const STEP: &str = r#"import threading
import time

import numpy as np


def noise():
    return np.random.default_rng().normal()


def main():
    started = time.time()
    print(noise(), started)
    worker = threading.Thread(target=noise)
    worker.start()
    worker.join()
    try:
        open("/data/train.csv")
    except FileNotFoundError as error:
        print(error)


main()
"#;

/// Returns the draw of a source from the step's own code.
fn draw<'a>(audit: &'a Value, source: &str, what: &str) -> &'a Value {
    let sources = audit["sources"].as_array().unwrap();
    let draws = sources.iter().filter(|one| one["source"] == source);
    let mut draws = draws.flat_map(|one| one["draws"].as_array().unwrap());
    let found = draws.find(|one| one["origin"] == "code" && one["what"] == what);
    found.unwrap_or_else(|| panic!("{source} {what} in {audit:#}"))
}

fn audited(world: &World, command: &[&str]) -> Value {
    let head = [
        "--json",
        "audit",
        "--frozen",
        "--result-file",
        "result.json",
        "--",
    ];
    let run = world.run(&[&head, command].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    // The step prints to the same place, before.
    let text = run.stdout();
    serde_json::from_str(&text[text.find("{\n").unwrap()..]).unwrap()
}

#[test]
fn net_an_unseeded_generator_is_found_to_the_line() {
    for user in User::ALL {
        let world = world_of("sklearn", user);
        world.write("draws.py", STEP);
        let audit = audited(&world, &["python", "draws.py"]);
        let line = |file: &str, line: u32, function: &str| serde_json::json!({ "file": file, "line": line, "function": function });
        let clock = draw(&audit, "wall-clock", "CLOCK_REALTIME");
        assert_eq!(clock["first"], line("draws.py", 12, "main"));
        assert_eq!(
            (&clock["count"], &clock["held"]),
            (&1.into(), &"held".into())
        );
        let generator = draw(&audit, "randomness", "getrandom");
        assert_eq!(generator["first"], line("draws.py", 8, "noise"));
        // From the main thread and from the other.
        assert_eq!(generator["count"], 2);
        let through = generator["through"]["file"].as_str().unwrap();
        assert!(through.ends_with("/random.py"), "{generator:#}");
        let thread = draw(&audit, "threads", "clone");
        assert_eq!(thread["first"], line("draws.py", 15, "main"));
        assert_eq!(thread["held"], "not-held");
        let missing = draw(&audit, "outside", "/data/train.csv");
        assert_eq!(missing["first"], line("draws.py", 18, "main"));

        // A text for a program, and an audit that sees and changes nothing.
        let text = "import os; print(os.urandom(4).hex())";
        let audit = audited(&world, &["python", "-c", text]);
        let generator = draw(&audit, "randomness", "getrandom");
        assert_eq!(generator["first"], line("<string>", 1, "<module>"));
        let seen = |verb| {
            let run = world.run(&[verb, "--frozen", "--", "python", "-c", text]);
            assert_eq!(run.code(), Some(0), "{}", run.stderr());
            run.stdout()
        };
        assert_eq!(seen("audit"), seen("run"));
        downloads::keep(&world);
    }
}

/// Training with an audit gives the model that training gives.
#[test]
fn net_an_audited_training_is_the_same() {
    let world = world_of("sklearn", User::Unprivileged);
    let model = |verb| {
        let run = world.run(&[verb, "--frozen", "--", "python", "train.py"]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        std::fs::read(world.project().join("model.joblib")).unwrap()
    };
    assert!(model("audit") == model("run"));
    downloads::keep(&world);
}

/// CPython 3.13 and later tell where they keep what.
#[test]
fn net_an_interpreter_that_tells_its_layout_is_read() {
    let world = World::new(User::Unprivileged);
    world.write(
        "envbox.toml",
        "[environment]\nname = \"new\"\npython = \"3.13\"\n[debian]\nsuite = \"trixie\"\n",
    );
    downloads::share(&world);
    let locked = world.run(&["lock"]);
    assert_eq!(locked.code(), Some(0), "{}", locked.stderr());
    world.write(
        "draws.py",
        "import os\nimport threading\n\n\ndef draw():\n    return os.urandom(4)\n\n\n\
         draw()\nthreading.Thread(target=draw).start()\n",
    );
    let audit = audited(&world, &["python", "draws.py"]);
    let generator = draw(&audit, "randomness", "getrandom");
    let line = serde_json::json!({ "file": "draws.py", "line": 6, "function": "draw" });
    assert_eq!(
        (&generator["first"], &generator["count"]),
        (&line, &2.into())
    );
    downloads::keep(&world);
}
