//! The golden examples: projects with a lock that was committed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use envbox::base::Digest;

use crate::downloads;
use crate::support::{User, World};

/// Returns the directory of an example.
pub fn directory(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("lockfiles/golden")
        .join(example)
}

/// A world with a copy of the example, and with the downloads that an earlier check kept.
pub fn world_of(example: &str, user: User) -> World {
    let world = World::new(user);
    for name in ["envbox.toml", "envbox.lock", "train.py"] {
        world.write(
            name,
            &fs::read_to_string(directory(example).join(name)).unwrap(),
        );
    }
    downloads::share(&world);
    world
}

/// Trains in a fresh environment and returns the digest of every output and of what was printed.
fn train(world: &World) -> BTreeMap<String, Digest> {
    let run = world.run(&["run", "--frozen", "--", "python", "train.py"]);
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    let mut outputs = BTreeMap::new();
    outputs.insert(
        "standard output".to_owned(),
        Digest::of(run.stdout().as_bytes()),
    );
    for entry in fs::read_dir(world.project()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !["envbox.toml", "envbox.lock", "train.py"].contains(&name.as_str()) {
            outputs.insert(name, Digest::of(&fs::read(entry.path()).unwrap()));
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert!(outputs.len() >= 3, "a model and its metrics: {outputs:?}");
    outputs
}

/// Trains twice as each user; all four runs must give the same bytes.
pub fn same_outputs_twice_and_as_two_users(example: &str) {
    let mut seen: Option<BTreeMap<String, Digest>> = None;
    for user in User::ALL {
        let world = world_of(example, user);
        for _ in 0..2 {
            let outputs = train(&world);
            assert_eq!(
                seen.get_or_insert_with(|| outputs.clone()),
                &outputs,
                "as {user:?}"
            );
        }
        downloads::keep(&world);
    }
}

/// A program of an example says what it computes with, and ends with an error that names what does
/// not hold after a slip: a variable that is set otherwise, with the name that is told. On the lowest baseline, which every host is beyond, and
/// with the host's CPUID: a masked one hides what the variables are for.
pub fn pins_are_read_back(
    example: &str,
    program: &str,
    held: &[(&str, &str)],
    slips: &[(&str, &str)],
) {
    let world = world_of(example, User::Unprivileged);
    pins_of_world_are_read_back(&world, program, held, slips);
}

/// The same for any project whose manifest ends in `[sandbox]`.
pub fn pins_of_world_are_read_back(
    world: &World,
    program: &str,
    held: &[(&str, &str)],
    slips: &[(&str, &str)],
) {
    let manifest = fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    let older = format!("{manifest}cpu-baseline = \"x86-64-v2\"\ncpuid = \"host\"\n");
    world.write("envbox.toml", &older);
    let run = |options: &[&str]| {
        let step = [
            "--result-file",
            "result.json",
            "--",
            "python",
            "-c",
            program,
        ];
        world.run(&[&["run", "--frozen"], options, &step].concat())
    };
    let done = run(&[]);
    assert_eq!(done.code(), Some(0), "{}", done.stderr());
    let result = fs::read_to_string(world.project().join("result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let told = result["libraries"].as_array().unwrap();
    for (name, found) in held {
        let is_it = |one: &&serde_json::Value| one["name"] == *name && one["state"] == "held";
        let one = told.iter().find(is_it);
        assert_eq!(
            one.map(|one| &one["found"]),
            Some(&(*found).into()),
            "{name}: {told:#?}"
        );
    }
    for (slip, name) in slips {
        let done = run(&["--env", slip]);
        let error = done.stderr();
        assert_eq!(done.code(), Some(1), "{slip}: {error}");
        let said = format!("the baseline of this step: {name} is ");
        assert!(error.contains(&said), "{slip}: {error}");
    }
    downloads::keep(world);
}
