//! The schemas of `docs/schemas`, and what commands print, as another's validator sees them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::downloads;
use crate::support::{User, World};

const VALIDATOR: &str = r#"
[environment]
name = "validator"
python = "3.11"

[python]
requirements = ["jsonschema==4.26.0"]
"#;

/// The project that has the validator, the schemas and, in a directory, the documents.
struct Project(World);

impl Project {
    fn new() -> Self {
        let world = World::new(User::Unprivileged);
        world.write("envbox.toml", VALIDATOR);
        world.write("validate.py", include_str!("schemas/validate.py"));
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
        for entry in fs::read_dir(schemas).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            world.write(&format!("schemas/{name}"), &text);
        }
        downloads::share(&world);
        Self(world)
    }

    /// Keeps documents by the name of their schema, each in one line.
    fn keep(&self, name: &str, documents: &[&str]) {
        let lines = documents.iter().map(|document| {
            let document: Value = serde_json::from_str(document).unwrap();
            format!("{document}\n")
        });
        let name = format!("documents/{name}.jsonl");
        self.0.write(&name, &lines.collect::<String>());
    }

    /// What a command prints, which must end with this status.
    fn printed(&self, arguments: &[&str], code: i32) -> String {
        let run = self.0.run(&[&["--json"], arguments].concat());
        assert_eq!(run.code(), Some(code), "{arguments:?}: {}", run.whole());
        run.stdout()
    }

    /// Runs a step and returns its result, record and events.
    fn step(&self, script: &str, code: Option<i32>) -> [String; 3] {
        let command = format!(
            "exec {} run --frozen --bind /usr:/in --result-file result --record record --events \
             events -- {script}",
            self.0.program().display()
        );
        let run = self.0.finished(self.0.shell(&command));
        assert_eq!(run.code(), code, "{}", run.whole());
        let read = |name| fs::read_to_string(self.0.project().join(name)).unwrap();
        [read("result"), read("record"), read("events")]
    }
}

#[test]
fn net_what_is_printed_is_valid_for_others() {
    let project = Project::new();
    let locked = project.printed(&["lock"], 0);
    downloads::keep(&project.0);
    project.keep(
        "lock",
        &[&locked, &project.printed(&["lock", "--check"], 0)],
    );
    let failed = project.step(
        "python -c 'import jsonschema; open(\"a\", \"w\"); exit(3)'",
        Some(3),
    );
    let died = project.step("sh -c 'ln -s a b; kill -9 $$'", None);
    let absent = project.step("none", Some(127));
    project.keep("result", &[&failed[0], &died[0], &absent[0]]);
    project.keep("run", &[&failed[1], &died[1]]);
    let events: Vec<_> = failed[2].lines().chain(died[2].lines()).collect();
    project.keep("events", &events);
    project.keep("build", &[&project.printed(&["build", "--frozen"], 0)]);
    let drawing = "cat /proc/vmstat > a; date; exit 0";
    let verified = [
        &[
            "verify", "-n", "2", "--vary", "times", "--", "sh", "-c", drawing,
        ][..],
        &["verify", "--", "python", "-c", "print(1)"],
    ];
    let [diverged, same] = verified;
    let verified = [&project.printed(diverged, 1), &project.printed(same, 0)];
    project.keep("verify", &verified.map(String::as_str));
    let key = ["key", "--bind", "/usr:/in", "--env", "A=1", "--", "x"];
    project.keep("key", &[&project.printed(&key, 0)]);
    for name in ["runs", "version", "doctor"] {
        project.keep(name, &[&project.printed(&[name], 0)]);
    }
    project.0.write("wrong.toml", "nonsense");
    let wrong = project.printed(&["--manifest", "wrong.toml", "lock"], 10);
    let usage = project.printed(&["no-such-command"], 2);
    project.keep("error", &[&wrong, &usage]);
    let validated = project
        .0
        .run(&["run", "--frozen", "--", "python", "validate.py"]);
    assert_eq!(validated.code(), Some(0), "{}", validated.whole());
    let names = [
        "build", "doctor", "error", "events", "key", "lock", "result", "run", "runs", "verify",
        "version",
    ];
    let expected: String = names.iter().map(|name| format!("{name} valid\n")).collect();
    assert_eq!(validated.stdout(), expected);
    downloads::keep(&project.0);
}
