//! Scripts that are not reproducible, in as many ways as people know: each is held by the sandbox,
//! or caught by `envbox verify`, and what is behind it is named.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::downloads;
use crate::golden::world_of;
use crate::support::{User, World};

/// What is expected of a script.
#[derive(Clone, Copy)]
enum Expected {
    /// Every run leaves the same, and the audit names the source, with a line of the script.
    Held(&'static str),
    /// Every run leaves the same, because the environment does not have what would differ. There is
    /// nothing to draw, so nothing is named.
    Absent,
    /// Runs differ when this is varied, and this source is named, with a line of the script.
    Varied(&'static str, &'static str),
    /// The same; where others make files meanwhile, runs differ also by themselves.
    Disturbed(&'static str, &'static str),
    /// Runs differ by themselves, and this source is named, with a line of the script.
    Caught(&'static str),
    /// Every run fails in the same way.
    Failed,
}

use Expected::{Absent, Caught, Disturbed, Failed, Held, Varied};

/// Every script in `faulty/`. Where runs differ by themselves, whether one processor ends it is
/// chance.
const TABLE: [(&str, Expected); 46] = [
    ("address_in_repr", Absent),
    ("budget_of_time", Caught("monotonic-clock")),
    ("date_in_name", Held("wall-clock")),
    ("directory_order", Held("directory-order")),
    ("elapsed_time", Held("monotonic-clock")),
    ("fails_the_same", Failed),
    ("file_mode", Absent),
    ("first_to_finish", Caught("threads")),
    ("float_reduction", Caught("threads")),
    ("free_space", Caught("file-status")),
    ("glob_order", Held("directory-order")),
    ("gzip_time", Held("wall-clock")),
    ("home_directory", Absent),
    ("host_name", Held("machine")),
    ("inode_number", Caught("file-status")),
    ("inode_order", Disturbed("order", "file-status")),
    ("kernel_counters", Caught("machine")),
    ("locale_sort", Absent),
    ("memory_use", Caught("process-facts")),
    ("modification_time", Varied("times", "file-status")),
    ("mounts", Caught("process-facts")),
    ("newest_file", Varied("times", "file-status")),
    ("numpy_generator", Held("randomness")),
    ("numpy_global", Held("randomness")),
    ("pandas_sample", Held("randomness")),
    ("pid_in_name", Held("process-ids")),
    ("process_race", Caught("threads")),
    ("processor_count", Held("machine")),
    ("processor_time", Held("processor-clock")),
    ("random_unseeded", Held("randomness")),
    ("real_clock", Caught("wall-clock")),
    ("secrets_token", Held("randomness")),
    ("seeded", Absent),
    ("set_order", Absent),
    ("set_order_of_a_child", Absent),
    ("sklearn_unseeded", Held("randomness")),
    ("temporary_name", Held("randomness")),
    ("thread_race", Caught("threads")),
    ("time_in_output", Held("wall-clock")),
    ("time_stamp_counter", Caught("time-stamp-counter")),
    ("time_zone", Absent),
    ("uninitialised_memory", Absent),
    ("urandom_device", Held("randomness")),
    ("uuid_names", Held("randomness")),
    ("variable_passed_on", Absent),
    ("zip_of_inputs", Varied("times", "file-status")),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/net/faulty")
}

/// What a script says after `# options:` or `# manifest:`.
fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines().take_while(|line| line.starts_with('#'));
    let head = format!("# {name}: ");
    lines
        .find_map(|line| line.strip_prefix(head.as_str()))
        .unwrap_or_default()
}

/// Verifies a script and returns the document.
fn verified(world: &World, manifest: &str, name: &str) -> Value {
    let file = format!("{name}.py");
    let text = fs::read_to_string(directory().join(&file)).unwrap();
    world.write(&file, &text);
    let more = header(&text, "manifest");
    world.write("envbox.toml", &format!("{manifest}{more}\n"));
    let options = header(&text, "options").split_whitespace();
    let mut arguments = vec!["--json", "verify"];
    arguments.extend(options);
    arguments.extend(["--", "python", file.as_str()]);
    let run = world.run(&arguments);
    fs::remove_file(world.project().join(&file)).unwrap();
    let found: Result<Value, _> = serde_json::from_str(&run.stdout());
    let found = found.unwrap_or_else(|_| panic!("{name}: {}{}", run.stdout(), run.stderr()));
    assert_eq!(
        run.code(),
        found["exit_code"].as_i64().map(|code| code as i32)
    );
    found
}

/// Says whether `draws` begins with, or has, a source with a line of the script.
fn names(draws: &Value, source: &str, file: &str, first: bool) -> bool {
    let draws = draws.as_array().unwrap();
    let shown = if first { 1 } else { draws.len() };
    let mut draws = draws.iter().take(shown);
    draws.any(|draw| draw["source"] == source && draw["line"]["file"] == file)
}

/// Says what is otherwise than expected.
fn wrong(name: &str, expected: Expected, found: &Value) -> Option<String> {
    let file = format!("{name}.py");
    let (verdict, cause) = (&found["verdict"], &found["cause"]);
    let itself = cause["kind"] == "itself" || cause["kind"] == "threads";
    let right = match expected {
        Held(source) => {
            let held = names(&found["drawn"], source, &file, false);
            verdict == "identical" && held
        }
        Absent => verdict == "identical",
        Varied(variation, source) => {
            let named = names(&found["suspects"], source, &file, true);
            let cause = cause["variations"] == serde_json::json!([variation]);
            verdict == "diverged" && cause && named
        }
        Disturbed(variation, source) => {
            let named = names(&found["suspects"], source, &file, true);
            let cause = cause["variations"] == serde_json::json!([variation]);
            verdict == "diverged" && (cause || itself) && named
        }
        Caught(source) => {
            let named = names(&found["suspects"], source, &file, true);
            verdict == "diverged" && itself && named
        }
        Failed => verdict == "failed",
    };
    (!right).then(|| format!("{name}: {verdict} {cause} {}", found["suspects"]))
}

/// One line of the table that the test prints.
fn row(name: &str, found: &Value) -> String {
    let empty = Vec::new();
    let draws = |list: &str| {
        let draws = found[list].as_array().unwrap_or(&empty).iter();
        let lines = draws.filter(|draw| draw["line"]["file"] == format!("{name}.py"));
        let mut lines: Vec<String> = lines
            .map(|draw| {
                format!(
                    "{}:{}",
                    draw["source"].as_str().unwrap(),
                    draw["line"]["line"]
                )
            })
            .collect();
        lines.dedup();
        lines.truncate(3);
        lines.join(" ")
    };
    let cause = &found["cause"];
    let cause = match cause["variations"].as_array() {
        Some(names) => names
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("+"),
        None => cause["kind"].as_str().unwrap_or_default().to_owned(),
    };
    let named = match found["verdict"] == "diverged" {
        true => draws("suspects"),
        false => draws("drawn"),
    };
    let verdict = found["verdict"].as_str().unwrap();
    format!("{name:<22} {verdict:<10} {cause:<8} {named}\n")
}

#[test]
fn net_every_fault_is_held_or_caught_and_named() {
    let mut scripts: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    scripts.sort();
    assert_eq!(scripts, TABLE.map(|(name, _)| name));
    let world = world_of("sklearn", User::Current);
    world.write("data.csv", "a,b\n1,2\n3,4\n5,6\n7,8\n9,10\n");
    for name in ["one", "two", "three", "four", "five", "six"] {
        world.write(&format!("parts/{name}.txt"), name);
    }
    let manifest = fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    let (mut table, mut mistakes) = (String::new(), Vec::new());
    for (name, expected) in TABLE {
        let found = verified(&world, &manifest, name);
        table.write_str(&row(name, &found)).unwrap();
        mistakes.extend(wrong(name, expected, &found));
    }
    println!("{table}");
    assert!(mistakes.is_empty(), "{}\n\n{table}", mistakes.join("\n"));
    downloads::keep(&world);
}
