//! Groups of the manifest: one lock, and environments with some of them.

use std::fs;

use crate::registry::Registry;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"app\"]\n[debian]\nsecurity = false\n";
const GROUPS: &str = "[groups.dev]\nrequirements = [\"other\"]\n\
    [groups.test]\nrequirements = [\"library\"]\n";

fn usual() -> Registry {
    let wheels: [(&str, &str, &[&str]); 5] = [
        ("app", "1", &["library>=1"]),
        ("library", "1", &[]),
        ("library", "2", &[]),
        ("other", "1", &["library<2", "deep"]),
        ("deep", "1", &[]),
    ];
    Registry::new("", &wheels)
}

fn project(registry: &Registry, manifest: &str) -> World {
    let world = World::new(User::Unprivileged);
    registry.configure(&world);
    world.write("envbox.toml", manifest);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world
}

fn sbom(world: &World, options: &[&str]) -> String {
    let run = world.run(&[&["sbom", "--lock-only"], options].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    run.stdout()
}

/// Returns the wheels of a parts list.
fn wheels(sbom: &str) -> Vec<String> {
    let list: serde_json::Value = serde_json::from_str(sbom).unwrap();
    let packages = list["packages"].as_array().unwrap().iter();
    let urls = packages.flat_map(|package| package["externalRefs"].as_array().cloned());
    let urls = urls.flatten();
    let urls = urls.filter_map(|url| Some(url["referenceLocator"].as_str()?.to_owned()));
    urls.filter_map(|url| Some(url.strip_prefix("pkg:pypi/")?.to_owned()))
        .collect()
}

#[test]
fn groups_are_solved_together_and_chosen_by_name() {
    let registry = usual();
    let world = project(&registry, &format!("{MANIFEST}{GROUPS}"));
    // `dev` holds the library back, for all.
    for (options, expected) in [
        (&[][..], &["app@1", "library@1"][..]),
        (&["--group", "test"], &["app@1", "library@1"]),
        (
            &["--group", "dev"],
            &["app@1", "deep@1", "library@1", "other@1"],
        ),
        (
            &["--all-groups"],
            &["app@1", "deep@1", "library@1", "other@1"],
        ),
    ] {
        assert_eq!(wheels(&sbom(&world, options)), expected, "{options:?}");
    }
    insta::assert_snapshot!(world.run(&["sbom", "--group", "tests"]).whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: the manifest has no group `tests`

    hint: it has `dev`, `test`
    "#);
    insta::assert_snapshot!(world.run(&["why", "library"]).whole(), @r#"
    exit: 0
    -- stdout
    library 1 (Python)
      group test -> library
      manifest -> app -> library
      group dev -> other -> library
    -- stderr
    "#);
}

#[test]
fn an_environment_depends_on_groups_only_through_its_packages() {
    let registry = usual();
    let grouped = project(&registry, &format!("{MANIFEST}{GROUPS}"));
    let alone = project(&registry, MANIFEST);
    // Without groups the library is newer.
    assert_ne!(sbom(&grouped, &[]), sbom(&alone, &[]));
    let with = "[groups.dev]\nrequirements = [\"deep\"]\n";
    let grouped = project(&registry, &format!("{MANIFEST}{with}"));
    assert_eq!(sbom(&grouped, &[]), sbom(&alone, &[]));
    let both = MANIFEST.replace("\"app\"", "\"app\", \"deep\"");
    let merged = project(&registry, &both);
    assert_eq!(sbom(&grouped, &["--group", "dev"]), sbom(&merged, &[]));
}

#[test]
fn a_lock_without_groups_is_of_the_old_version() {
    let registry = usual();
    let world = project(&registry, MANIFEST);
    let lock = || fs::read_to_string(world.project().join("envbox.lock")).unwrap();
    let before = lock();
    assert!(before.contains("\nversion = 1\n"), "{before}");
    let run = world.run(&["add", "--group", "dev", "deep"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(lock().contains("\nversion = 3\n"));
    let manifest = fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    let added = "\n[groups.dev]\nrequirements = [\"deep>=1\"]\n";
    assert_eq!(manifest, format!("{MANIFEST}{added}"));
    let run = world.run(&["lock", "--check"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world.write("envbox.toml", MANIFEST);
    insta::assert_snapshot!(world.run(&["lock", "--check"]).whole(), @r#"
    exit: 11
    -- stdout
    -- stderr
    error: the lockfile does not answer the manifest: the group `dev` was removed; the requirement `deep>=1` of the group `dev` was removed

    hint: run `envbox lock` to bring the lockfile up to date
    "#);
    assert_eq!(world.run(&["lock"]).code(), Some(0));
    assert_eq!(lock(), before);
}
