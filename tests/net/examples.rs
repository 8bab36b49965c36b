//! The golden examples: locked, fetched and trained for real, twice and as two users.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use envbox::base::Digest;
use envbox::lock::Lockfile;

use crate::downloads;
use crate::support::{User, World};

/// The examples that run in every check.
const EXAMPLES: [&str; 4] = ["sklearn", "jax", "xgboost", "tensorflow"];

fn golden(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("lockfiles/golden")
        .join(example)
}

/// A world with a copy of the example, and with the downloads that an earlier check kept.
fn world_of(example: &str, user: User) -> World {
    let world = World::new(user);
    for name in ["envbox.toml", "envbox.lock", "train.py"] {
        world.write(
            name,
            &fs::read_to_string(golden(example).join(name)).unwrap(),
        );
    }
    downloads::share(&world);
    world
}

/// Trains in a fresh environment and returns the digest of every output.
fn train(world: &World) -> BTreeMap<String, Digest> {
    let run = world.run(&["run", "--frozen", "--", "python", "train.py"]);
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    let mut outputs = BTreeMap::new();
    for entry in fs::read_dir(world.project()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !["envbox.toml", "envbox.lock", "train.py"].contains(&name.as_str()) {
            outputs.insert(name, Digest::of(&fs::read(entry.path()).unwrap()));
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert!(outputs.len() >= 2, "a model and its metrics: {outputs:?}");
    outputs
}

fn same_outputs_twice_and_as_two_users(example: &str) {
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

#[test]
fn net_sklearn() {
    same_outputs_twice_and_as_two_users("sklearn");
}

#[test]
fn net_jax() {
    same_outputs_twice_and_as_two_users("jax");
}

#[test]
fn net_xgboost() {
    same_outputs_twice_and_as_two_users("xgboost");
}

#[test]
fn net_tensorflow() {
    same_outputs_twice_and_as_two_users("tensorflow");
}

/// The manifest's cut-off date makes a lock from scratch the lock that was committed.
#[test]
fn net_locks_from_scratch_are_the_golden_ones() {
    for example in EXAMPLES.into_iter().chain(["torch"]) {
        let world = World::new(User::Unprivileged);
        let manifest = fs::read_to_string(golden(example).join("envbox.toml")).unwrap();
        world.write("envbox.toml", &manifest);
        let run = world.run(&["lock"]);
        assert_eq!(run.code(), Some(0), "{example}: {}", run.stderr());
        let made = Lockfile::read(&world.project().join("envbox.lock")).unwrap();
        let kept = Lockfile::read(&golden(example).join("envbox.lock")).unwrap();
        assert_eq!(made.request, kept.request, "{example}");
        assert_eq!(made.python, kept.python, "{example}");
        // The suite may have had a point release since: its packages are checked by running them.
        assert_eq!(
            made.interpreter.map(|found| found.path),
            kept.interpreter.map(|found| found.path)
        );
        assert_eq!(world.run(&["lock", "--check"]).code(), Some(0), "{example}");
    }
}
