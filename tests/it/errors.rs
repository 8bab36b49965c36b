//! Bad input: one clear error, a code of its own, nothing lost.

use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n";

#[test]
fn no_manifest() {
    let world = World::new(User::Current);
    insta::assert_snapshot!(world.run(&["lock"]).whole(), @r"
    exit: 10
    -- stdout
    -- stderr
    error: [ROOT]/project: there is no `envbox.toml`, and no `pyproject.toml` with a `[tool.envbox]` table

    hint: run `envbox init` to write an `envbox.toml`
    ");
}

#[test]
fn a_slip_in_the_manifest() {
    let world = World::new(User::Current);
    world.write("envbox.toml", &MANIFEST.replace("python", "pyhton"));
    insta::assert_snapshot!(world.run(&["lock"]).whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: [ROOT]/project/envbox.toml:3:1: unknown key `pyhton` in [environment]
      |
    3 | pyhton = "3.11"
      | ^^^^^^

    hint: write `python`
    "#);
}

#[test]
fn a_missing_lock_is_no_lock_that_answers() {
    let world = World::new(User::Current);
    world.write("envbox.toml", MANIFEST);
    insta::assert_snapshot!(world.run(&["lock", "--check"]).whole(), @r"
    exit: 11
    -- stdout
    -- stderr
    error: there is no lockfile `[ROOT]/project/envbox.lock`

    hint: run `envbox lock` to make it
    ");
}

#[test]
fn errors_are_documents_too() {
    let world = World::new(User::Current);
    insta::assert_snapshot!(world.run(&["lock", "--json"]).whole(), @r#"
    exit: 10
    -- stdout
    {
      "schema": "envbox.error/1",
      "kind": "user",
      "message": "[ROOT]/project: there is no `envbox.toml`, and no `pyproject.toml` with a `[tool.envbox]` table",
      "causes": [],
      "hints": [
        "run `envbox init` to write an `envbox.toml`"
      ],
      "exit_code": 10
    }
    -- stderr
    "#);
}

#[test]
fn init_never_overwrites() {
    let world = World::new(User::Current);
    assert_eq!(world.run(&["init"]).code(), Some(0));
    let again = world.run(&["init"]);
    assert_eq!(again.code(), Some(10));
    assert!(
        again.stderr().contains("exists already"),
        "{}",
        again.stderr()
    );
}

#[test]
fn no_home_is_said() {
    let world = World::new(User::Current);
    let output = world
        .command(&["doctor"])
        .env_remove("HOME")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("ENVBOX_STORE"), "{stderr}");
}

#[test]
fn a_typo_in_the_configuration_is_said() {
    let world = World::new(User::Current);
    let directory = world.path().join("home/.config/envbox");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), "[registrys]\n").unwrap();
    let run = world.run(&["doctor"]);
    assert_eq!(run.code(), Some(10));
    assert!(run.stderr().contains("config.toml"), "{}", run.stderr());
}
