//! The scenarios of `fixtures/packse`, beside uv itself on the same indexes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use envbox::lock::Lockfile;
use serde::Deserialize;

use crate::downloads;
use crate::support::{User, World};

/// What the oracle tells of a scenario.
#[derive(Deserialize)]
struct Outcome {
    requires: Vec<String>,
    prereleases: bool,
    uv: Option<BTreeMap<String, String>>,
}

/// Copies a directory of files and directories.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Returns the indexes of all scenarios with what uv makes of them.
fn oracle(world: &World, python: &str) -> BTreeMap<String, Outcome> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = root.join("tests/net/conda");
    let manifest = fs::read_to_string(files.join("envbox.toml")).unwrap();
    world.write(
        "envbox.toml",
        &format!("{manifest}\n[sandbox]\noutputs = [\"indexes\"]\n"),
    );
    world.write(
        "packse.py",
        &fs::read_to_string(files.join("packse.py")).unwrap(),
    );
    copy(
        &root.join("fixtures/packse/scenarios"),
        &world.project().join("scenarios"),
    );
    let words = [
        "run",
        "--",
        "python",
        "packse.py",
        python,
        "x86_64-manylinux_2_36",
    ];
    let run = world.run(&words);
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    serde_json::from_str(&run.stdout()).unwrap()
}

/// Locks what `outcome` requires from its index; none without a solution.
fn locked(
    world: &World,
    base: &[u8],
    index: &Path,
    outcome: &Outcome,
) -> Option<BTreeMap<String, String>> {
    let requires: Vec<_> = outcome
        .requires
        .iter()
        .map(|text| format!("{text:?}"))
        .collect();
    let prerelease = match outcome.prereleases {
        true => "prerelease = \"allow\"",
        false => "",
    };
    let manifest = format!(
        "[environment]\nname = \"packse\"\npython = \"3.11\"\n[python]\nindex-url = \"file://{}\"\n\
         requirements = [{}]\n{prerelease}\n",
        index.display(),
        requires.join(", ")
    );
    world.write("envbox.toml", &manifest);
    let file = world.project().join("envbox.lock");
    fs::write(&file, base).unwrap();
    let run = world.run(&["lock"]);
    if run.code() != Some(0) {
        let known = ["no set of versions fulfils", "no wheel fits"];
        let text = run.stderr();
        assert!(
            known.iter().any(|known| text.contains(known)),
            "{}: {text}",
            index.display()
        );
        return None;
    }
    let wheels = Lockfile::read(&file).unwrap().python.into_iter();
    Some(
        wheels
            .map(|wheel| (wheel.name.to_string(), wheel.version))
            .collect(),
    )
}

#[test]
fn net_scenarios_end_as_with_uv() {
    let ours = World::new(User::Unprivileged);
    downloads::share(&ours);
    ours.write(
        "envbox.toml",
        "[environment]\nname = \"packse\"\npython = \"3.11\"\n",
    );
    let lock = ours.run(&["lock"]);
    assert_eq!(lock.code(), Some(0), "{}", lock.stderr());
    let file = ours.project().join("envbox.lock");
    let base = fs::read(&file).unwrap();
    let python = Lockfile::read(&file).unwrap().interpreter.unwrap().version;

    let theirs = World::new(User::Unprivileged);
    downloads::share(&theirs);
    let outcomes = oracle(&theirs, &python);
    let indexes = ours.project().join("indexes");
    copy(&theirs.project().join("indexes"), &indexes);
    let mut differing = Vec::new();
    for (name, outcome) in &outcomes {
        let found = locked(&ours, &base, &indexes.join(name), outcome);
        if found != outcome.uv {
            differing.push(format!("{name}: {found:?}, and uv {:?}", outcome.uv));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert_eq!(outcomes.len(), 148);
    downloads::keep(&theirs);
}
