//! `envbox tree`, `why` and `diff`.

use std::process::Command;

use crate::registry::Registry;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"app\", \"other\"]\n[debian]\nsecurity = false\n";

fn project(registry: &Registry) -> World {
    let world = World::new(User::Unprivileged);
    registry.configure(&world);
    world.write("envbox.toml", MANIFEST);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world
}

fn usual() -> Registry {
    let wheels: [(&str, &str, &[&str]); 4] = [
        ("app", "1", &["library", "core"]),
        ("library", "2", &["core"]),
        ("core", "3", &[]),
        ("other", "1", &["library"]),
    ];
    Registry::new("", &wheels)
}

/// The sections of a tree that begin with a line of their own.
fn section(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("\n{name}\n")).unwrap();
    let lines = rest
        .lines()
        .take_while(|line| line.starts_with(['├', '└', '│', ' ']));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_tree_takes_each_package_apart_once() {
    let world = project(&usual());
    let run = world.run(&["tree"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    insta::assert_snapshot!(section(&run.stdout(), "manifest"), @r#"
    ├── app 1
    │   ├── core 3
    │   └── library 2
    │       └── core 3
    └── other 1
        └── library 2 (*)
    "#);
    insta::assert_snapshot!(section(&run.stdout(), "interpreter"), @"└── python3.11 3.11.2-6 (Debian)");
    let flat = world.run(&["tree", "--depth", "1"]).stdout();
    insta::assert_snapshot!(section(&flat, "manifest"), @r#"
    ├── app 1
    └── other 1
    "#);
    assert_eq!(section(&flat, "base").lines().count(), 17);
}

#[test]
fn a_tree_is_a_graph_for_programs() {
    let world = project(&usual());
    let run = world.run(&["tree", "--json"]);
    let tree: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(tree["schema"], "envbox.tree/1");
    let packages = tree["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 18 + 4);
    let core = packages
        .iter()
        .find(|one| one["id"] == "python/core")
        .unwrap();
    let expected: serde_json::Value = serde_json::json!(["python/app", "python/library"]);
    assert_eq!(core["required_by"], expected);
    assert_eq!(core["asked_by"], serde_json::json!([]));
}

#[test]
fn every_way_to_a_package_is_told() {
    let world = project(&usual());
    insta::assert_snapshot!(world.run(&["why", "Core"]).whole(), @r#"
    exit: 0
    -- stdout
    core 3 (Python)
      manifest -> app -> core
      manifest -> app -> library -> core
    -- stderr
    "#);
    insta::assert_snapshot!(world.run(&["why", "python3.11"]).whole(), @r#"
    exit: 0
    -- stdout
    python3.11 3.11.2-6 (Debian)
      interpreter -> python3.11
    -- stderr
    "#);
    insta::assert_snapshot!(world.run(&["why", "libary"]).whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: the lockfile has no package `libary` for linux/amd64

    hint: did you mean `library`?
    "#);
    insta::assert_snapshot!(world.run(&["why", "app", "--platform", "linux/arm64"]).whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: the lockfile is not for linux/arm64

    hint: choose one of linux/amd64
    "#);
}

fn git(world: &World, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(world.project());
    command.args(["-c", "user.name=a", "-c", "user.email=a@b.example"]);
    command.args(["-c", "safe.directory=*", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_changed_lock_is_compared_with_the_committed_one() {
    let mut registry = usual();
    let world = World::new(User::Current);
    registry.configure(&world);
    world.write("envbox.toml", MANIFEST);
    assert_eq!(world.run(&["lock"]).code(), Some(0));
    git(&world, &["init", "--quiet"]);
    git(&world, &["add", "envbox.lock"]);
    git(&world, &["commit", "--quiet", "-m", "lock"]);
    let same = world.run(&["diff"]);
    assert_eq!(
        same.whole(),
        "exit: 0\n-- stdout\nno difference\n-- stderr\n"
    );
    registry.add_wheel("core", "4", &[]);
    registry.add_wheel("extra", "1", &[]);
    world.write("envbox.toml", &MANIFEST.replace("\"other\"", "\"extra\""));
    let run = world.run(&["lock", "--upgrade-package", "core"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    insta::assert_snapshot!(world.run(&["diff"]).whole(), @r#"
    exit: 0
    -- stdout
    the requirement `extra` was added
    the requirement `other` was removed
    ~ core 3 -> 4 (python, 493 B)
    + extra 1 (python, 500 B)
    - other 1 (python, 523 B)
    3 packages changed; 59.4 KiB -> 59.4 KiB
    -- stderr
    "#);
    let run = world.run(&["diff", "--json", "HEAD:envbox.lock", "envbox.lock"]);
    let diff: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(diff["schema"], "envbox.diff/1");
    let core = &diff["changes"][0];
    assert_eq!(core["name"], "core");
    assert_eq!(core["kind"], "updated");
    assert_eq!(core["new_files"][0]["file"], "core-4-py3-none-any.whl");
    assert_eq!(core["new_files"][0]["platforms"][0], "linux/amd64");
}

#[test]
fn what_is_no_lockfile_is_named() {
    let world = project(&usual());
    git(&world, &["init", "--quiet"]);
    world.write("bad.lock", "version = 1\n");
    insta::assert_snapshot!(world.run(&["diff", "nowhere.lock", "."]).whole(), @r#"
    exit: 11
    -- stdout
    -- stderr
    error: there is no lockfile `[ROOT]/project/nowhere.lock`

    hint: run `envbox lock` to make it
    "#);
    insta::assert_snapshot!(world.run(&["diff", "bad.lock", "."]).whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: failed to parse `[ROOT]/project/bad.lock`
    caused by: TOML parse error at line 1, column 1
        |
      1 | version = 1
        | ^
      missing field `digest`

    hint: run `envbox lock` to write it anew, or restore it from version control
    "#);
    let run = world.run(&["diff", "HEAD~1:envbox.lock"]);
    assert_eq!(run.code(), Some(10));
    assert!(
        run.stderr()
            .contains("`HEAD~1:envbox.lock` is no file and no run"),
        "{}",
        run.stderr()
    );
}
