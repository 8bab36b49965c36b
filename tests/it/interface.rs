//! `docs/interface.md` and its schemas, against what the commands really print.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::schema::check;
use crate::support::User;
use crate::tools::Tools;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn schema(name: &str) -> Value {
    let file = docs().join("schemas").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

/// Asserts that a document is as its schema says.
pub fn follows(name: &str, document: &Value) {
    let mut wrong = Vec::new();
    let schema = schema(name);
    check(&schema, &schema, document, name, &mut wrong);
    assert_eq!(wrong, [""; 0], "{document:#}");
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn what_is_printed_follows_the_schemas() {
    let tools = Tools::new(User::Current);
    let json = |arguments: &[&str]| {
        let run = tools.world.run(&[&["--json"], arguments].concat());
        parsed(&run.stdout())
    };
    let project = tools.world.project();
    let read = |name: &str| fs::read_to_string(project.join(name)).unwrap();
    let options = [
        "--bind",
        "/usr:/in",
        "--events",
        "events",
        "--result-file",
        "result",
        "--record",
        "record",
    ];
    let step = "mkdir d; echo x > d/made; ln -s made d/link; mkfifo pipe 2>/dev/null; exit 3";
    assert_eq!(
        tools.run_with(&options, &["sh", "-c", step]).code(),
        Some(3)
    );
    follows("result", &parsed(&read("result")));
    follows("run", &parsed(&read("record")));
    for line in read("events").lines() {
        follows("events", &parsed(line));
    }
    assert_eq!(tools.run_with(&options, &["none"]).code(), Some(127));
    follows("result", &parsed(&read("result")));
    follows(
        "result",
        &json(&["run", "--registry", &tools.registry, "--", "true"]),
    );
    follows(
        "key",
        &json(&["key", "--bind", "/usr:/in", "--env", "A=1", "--", "x"]),
    );
    follows("lock", &json(&["lock", "--check"]));
    follows("doctor", &json(&["doctor"]));
    follows("runs", &json(&["runs"]));
    follows("version", &json(&["version"]));
    tools.world.write("envbox.toml", "nonsense");
    follows("error", &json(&["lock"]));
    follows("error", &json(&["no-such-command"]));
}

#[test]
fn schemas_name_themselves() {
    let text = fs::read_to_string(docs().join("interface.md")).unwrap();
    for entry in fs::read_dir(docs().join("schemas")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("schemas/{name}")), "{name}");
        let schema = schema(name.trim_end_matches(".json"));
        let draft = "https://json-schema.org/draft/2020-12/schema";
        assert_eq!(schema["$schema"], draft, "{name}");
        let words = &schema["properties"]["schema"]["enum"];
        let own = words[0].as_str().unwrap();
        assert!(text.contains(&format!("| `{own}` |")), "{own}");
    }
}

#[test]
fn every_code_and_schema_is_in_the_document() {
    let text = fs::read_to_string(docs().join("interface.md")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let codes = fs::read_to_string(source.join("bin/envbox/exit.rs")).unwrap();
    let numbers = codes.lines().filter_map(|line| {
        let (_, value) = line.split_once(": u8 = ")?;
        value.trim_end_matches(';').parse::<u8>().ok()
    });
    let numbers: Vec<u8> = numbers.collect();
    assert!(numbers.len() > 8, "{numbers:?}");
    for number in numbers {
        assert!(text.contains(&format!("| {number} |")), "{number}");
    }
    let mut names = Vec::new();
    schema_names(&source, &mut names);
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(text.contains(&name), "{name}");
    }
}

/// Finds `envbox.NAME/1` in the program's sources, tests aside.
fn schema_names(directory: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                schema_names(&path, names);
            }
            continue;
        }
        if path.extension().is_none_or(|end| end != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("\"envbox.").skip(1) {
            let name = part.split('"').next().unwrap();
            if let Some(stem) = name.strip_suffix("/1") {
                let fits = |c: char| c.is_ascii_lowercase() || ['.', '-'].contains(&c);
                if stem.chars().all(fits) {
                    names.push(format!("`envbox.{stem}/1`"));
                }
            }
        }
    }
}
