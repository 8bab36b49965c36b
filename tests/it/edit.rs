//! `envbox add` and `envbox remove` on registries of the test's own.

use std::fs;

use crate::http::Answer;
use crate::registry::Registry;
use crate::support::{User, World};

const MANIFEST: &str = "# Flowers.\n[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\n    \"app\", # needed\n]\n[debian]\nsecurity = false\n";

fn usual() -> Registry {
    let wheels: [(&str, &str, &[&str]); 4] = [
        ("app", "1", &["library>=1"]),
        ("library", "1", &[]),
        ("library", "2.0+local", &[]),
        ("other", "1.5", &[]),
    ];
    Registry::new("", &wheels)
}

fn project(registry: &Registry) -> World {
    let world = World::new(User::Unprivileged);
    registry.configure(&world);
    world.write("envbox.toml", MANIFEST);
    world
}

fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.project().join(name)).unwrap()
}

#[test]
fn what_is_added_is_locked_with_a_lower_bound() {
    let registry = usual();
    let world = project(&registry);
    insta::assert_snapshot!(world.run(&["add", "other", "Library"]).whole(), @r#"
    exit: 0
    -- stdout
    added `other>=1.5` to `[ROOT]/project/envbox.toml`
    added `library>=2.0` to `[ROOT]/project/envbox.toml`
    wrote `[ROOT]/project/envbox.lock`: 3 Python and 18 Debian packages
    -- stderr
    "#);
    insta::assert_snapshot!(read(&world, "envbox.toml"), @r#"
    # Flowers.
    [environment]
    name = "iris"
    python = "3.11"
    [python]
    requirements = [
        "app", # needed
        "library>=2.0",
        "other>=1.5",
    ]
    [debian]
    security = false
    "#);
    let lock = read(&world, "envbox.lock");
    assert_eq!(world.run(&["lock", "--check"]).code(), Some(0));
    // Resolved anew, what was written gives the same.
    fs::remove_file(world.project().join("envbox.lock")).unwrap();
    assert_eq!(world.run(&["lock"]).code(), Some(0));
    assert_eq!(read(&world, "envbox.lock"), lock);
    insta::assert_snapshot!(world.run(&["add", "other"]).whole(), @r#"
    exit: 0
    -- stdout
    `other>=1.5` is in `[ROOT]/project/envbox.toml` already
    nothing to do for `[ROOT]/project/envbox.lock`: 3 Python and 18 Debian packages
    -- stderr
    "#);
    insta::assert_snapshot!(world.run(&["remove", "OTHER", "library"]).whole(), @r#"
    exit: 0
    -- stdout
    removed `other>=1.5` from `[ROOT]/project/envbox.toml`
    removed `library>=2.0` from `[ROOT]/project/envbox.toml`
    - other 1.5
    updated `[ROOT]/project/envbox.lock`: 2 Python and 18 Debian packages
    -- stderr
    "#);
    assert_eq!(read(&world, "envbox.toml"), MANIFEST);
}

#[test]
fn debian_packages_are_added_and_removed() {
    let registry = usual();
    let world = project(&registry);
    let run = world.run(&["add", "--debian", "sed"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let added = MANIFEST.to_owned() + "packages = [\"sed\"]\n";
    assert_eq!(read(&world, "envbox.toml"), added);
    let asked = "name = \"sed\"\nversion = \"4\"\n";
    let lock = read(&world, "envbox.lock");
    let (_, package) = lock.split_once(asked).unwrap();
    let (package, _) = package.split_once("\n\n").unwrap();
    let by_both = "required-by = [\n    \"base\",\n    \"manifest\",\n]";
    assert!(package.contains(by_both), "{package}");
    insta::assert_snapshot!(world.run(&["remove", "sed"]).whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: `sed` is not in `[python] requirements`

    hint: it is in another list: add `--debian`
    "#);
    let run = world.run(&["remove", "--debian", "sed"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
}

#[test]
fn what_cannot_be_locked_changes_nothing() {
    let registry = usual();
    let world = project(&registry);
    assert_eq!(world.run(&["lock"]).code(), Some(0));
    let lock = read(&world, "envbox.lock");
    let runs: [&[&str]; 6] = [
        &["add", "library<1"],
        &["add", "nothing"],
        &["add", "--debian", "nothing"],
        &["add", "a b"],
        &["remove", "library"],
        &["remove", "--debian", "git"],
    ];
    let mut all = String::new();
    for arguments in runs {
        let run = world.run(arguments);
        assert_eq!(run.code(), Some(10), "{arguments:?}: {}", run.stderr());
        all += &format!("$ envbox {}\n{}", arguments.join(" "), run.stderr());
        assert_eq!(read(&world, "envbox.toml"), MANIFEST);
        assert_eq!(read(&world, "envbox.lock"), lock);
    }
    insta::assert_snapshot!(all, @r#"
    $ envbox add library<1
    error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because all versions of app depend on library>=1 and you require app, we can conclude that you require library>=1.
      And because you require library<1, we can conclude that your requirements are unsatisfiable.
    $ envbox add nothing
    error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because nothing was not found in the package registry and you require nothing, we can conclude that your requirements are unsatisfiable.

    hint: check the spelling of what was not found, and whether it is in one of `pypi`
    $ envbox add --debian nothing
    error: package `nothing`, asked for by manifest, does not exist for linux/amd64
    $ envbox add a b
    error: `a b` is not a PEP 508 requirement
    caused by: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `b`
    $ envbox remove library
    error: `library` is not in `[python] requirements`
    $ envbox remove --debian git
    error: `git` is not in `[debian] packages`
    "#);
}

#[test]
fn a_registry_that_is_gone_changes_nothing() {
    let registry = usual();
    let world = project(&registry);
    drop(registry);
    let run = world.run(&["add", "other"]);
    assert_eq!(run.code(), Some(13), "{}", run.stderr());
    assert_eq!(read(&world, "envbox.toml"), MANIFEST);
    assert!(!world.project().join("envbox.lock").exists());
}

#[test]
fn an_interrupted_command_changes_nothing() {
    let registry = usual();
    let world = project(&registry);
    let page = registry.path("simple/other/");
    registry.server.answers(&page, vec![Answer::Silence]);
    let mut envbox = world.command(&["add", "other"]).spawn().unwrap();
    let is_asked = || registry.server.count(&page) > 0;
    while !is_asked() {
        assert!(
            envbox.try_wait().unwrap().is_none(),
            "it waits for the page"
        );
        std::thread::yield_now();
    }
    let id = i32::try_from(envbox.id()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    // Not INT: shells have commands in the background ignore that, and children inherit it.
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(!envbox.wait().unwrap().success());
    assert_eq!(read(&world, "envbox.toml"), MANIFEST);
    let names = fs::read_dir(world.project()).unwrap();
    assert_eq!(names.count(), 1, "nothing half-made is left");
}

#[test]
fn a_project_keeps_its_requirements_where_others_read_them() {
    let registry = usual();
    let world = World::new(User::Unprivileged);
    registry.configure(&world);
    let before = "[project]\nname = \"iris\"\nversion = \"1\"\ndependencies = [\"app\"]\n\n\
        [tool.envbox.environment]\nname = \"iris\"\npython = \"3.11\"\n\n\
        [tool.envbox.debian]\nsecurity = false\n";
    world.write("pyproject.toml", before);
    let run = world.run(&["add", "other<2", "--json"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let report: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(report["schema"], "envbox.add/1");
    assert_eq!(report["added"][0], "other<2");
    let after = before.replace("[\"app\"]", "[\"app\", \"other<2\"]");
    assert_eq!(read(&world, "pyproject.toml"), after);
}
