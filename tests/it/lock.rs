//! `envbox lock` on registries of the test's own.

use std::fs;

use crate::http::Answer;
use crate::registry::Registry;
use crate::support::{Run, User, World};

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"app\"]\n[debian]\nsecurity = false\n";

fn usual(prefix: &str) -> Registry {
    let wheels: [(&str, &str, &[&str]); 4] = [
        ("app", "1", &["library>=1"]),
        ("library", "1", &[]),
        ("library", "2", &[]),
        ("other", "1", &[]),
    ];
    Registry::new(prefix, &wheels)
}

fn project(registry: &Registry, user: User) -> World {
    let world = World::new(user);
    registry.configure(&world);
    world.write("envbox.toml", MANIFEST);
    world
}

fn lock_of(world: &World) -> String {
    fs::read_to_string(world.project().join("envbox.lock")).unwrap()
}

fn ask_for(world: &World, requirements: &str) {
    world.write("envbox.toml", &MANIFEST.replace("\"app\"", requirements));
}

/// Locks and checks that it went well.
fn locked(world: &World, options: &[&str]) -> String {
    let run = world.run(&[&["lock"], options].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    lock_of(world)
}

#[test]
fn two_mirrors_two_users_and_two_time_zones_give_the_same_bytes() {
    let (first, second) = (usual(""), usual("/deep/mirror"));
    let here = locked(&project(&first, User::Current), &[]);
    let there = project(&second, User::Unprivileged);
    let mut lock = there.command(&["lock"]);
    lock.env("TZ", "Asia/Tokyo")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8");
    let run = there.finished(lock);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(here, lock_of(&there));
    for host in ["127.0.0.1", "http", "mirror", "/tmp", "home"] {
        assert!(!here.contains(host), "{host} in {here}");
    }
}

#[test]
fn what_did_not_change_is_not_asked_for_again() {
    let registry = usual("");
    let world = project(&registry, User::Unprivileged);
    let first = locked(&world, &[]);
    let asked = registry.server.requests().len();
    assert_eq!(locked(&world, &[]), first);
    assert_eq!(locked(&world, &["--check"]), first);
    assert_eq!(registry.server.requests().len(), asked);
    drop(registry);
    assert_eq!(locked(&world, &["--offline"]), first);
}

#[test]
fn one_requirement_more_changes_only_its_own_part() {
    let registry = usual("");
    let world = project(&registry, User::Unprivileged);
    let before = locked(&world, &[]);
    ask_for(&world, "\"app\", \"other\"");
    let after = locked(&world, &[]);
    let gone: Vec<&str> = before
        .lines()
        .filter(|line| !after.contains(line))
        .collect();
    let asked = |line: &&str| {
        ["digest = ", "manifest = ", "requirements = "]
            .iter()
            .any(|key| line.starts_with(key))
    };
    assert!(gone.iter().all(asked), "{gone:?}");
    assert_eq!(
        after.matches("[[python]]").count(),
        before.matches("[[python]]").count() + 1
    );
}

#[test]
fn versions_move_only_when_they_are_told_to() {
    let mut registry = Registry::new("", &[("app", "1", &["library"]), ("library", "1", &[])]);
    let world = project(&registry, User::Unprivileged);
    locked(&world, &[]);
    registry.add_wheel("library", "2", &[]);
    registry.add_wheel("app", "2", &["library"]);
    ask_for(&world, "\"app\", \"library\"");
    let versions = |lock: &str| -> Vec<String> {
        let lines = lock
            .lines()
            .filter(|line| line.starts_with("file = ") && line.contains(".whl"));
        lines
            .map(|line| line.replace("file = ", "").replace("-py3-none-any.whl", ""))
            .collect()
    };
    assert_eq!(
        versions(&locked(&world, &[])),
        ["\"app-1\"", "\"library-1\""]
    );
    let one = locked(&world, &["--upgrade-package", "library"]);
    assert_eq!(versions(&one), ["\"app-1\"", "\"library-2\""]);
    assert_eq!(
        versions(&locked(&world, &["--upgrade"])),
        ["\"app-2\"", "\"library-2\""]
    );
}

#[test]
fn a_check_says_every_reason() {
    let registry = usual("");
    let world = project(&registry, User::Unprivileged);
    let lock = locked(&world, &[]);
    let mut all = String::new();
    for (from, to) in [
        ("[\"app\"]", "[\"app\", \"other\"]"),
        ("3.11", "3.12"),
        ("security = false", "security = false\npackages = [\"git\"]"),
        ("[python]", "[python]\nexclude-newer = \"2026-01-01\""),
        ("iris", "rose"),
    ] {
        world.write("envbox.toml", &MANIFEST.replace(from, to));
        let run = world.run(&["lock", "--check"]);
        assert_eq!(run.code(), Some(11));
        all += run.stderr().lines().next().unwrap_or_default();
        all += "\n";
    }
    insta::assert_snapshot!(all, @r#"
    error: the lockfile does not answer the manifest: the requirement `other` was added
    error: the lockfile does not answer the manifest: the Python version changed from `3.11` to `3.12`
    error: the lockfile does not answer the manifest: the Debian package `git` was added
    error: the lockfile does not answer the manifest: `exclude-newer` changed from nothing to `2026-01-01T00:00:00Z`
    error: the lockfile does not answer the manifest: the environment's name changed from `iris` to `rose`
    "#);
    assert_eq!(lock_of(&world), lock);
}

/// Locks with a registry that does something wrong; what was locked before must stay.
fn wrong(change: impl FnOnce(&mut Registry), requirements: &str) -> Run {
    let mut registry = usual("");
    let world = project(&registry, User::Unprivileged);
    world.write("envbox.lock", "what was there\n");
    ask_for(&world, requirements);
    change(&mut registry);
    let run = world.run(&["lock"]);
    assert_eq!(lock_of(&world), "what was there\n");
    assert_eq!(
        run.stderr().matches("error: ").count(),
        1,
        "{}",
        run.stderr()
    );
    run
}

/// As the user sees it, without what differs from run to run.
fn shown(run: &Run) -> String {
    let text = run.whole();
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("127.0.0.1:") {
        shown += before;
        shown += "HOST";
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    without_fingerprints(&(shown + rest))
}

/// Keys are made anew for each run.
fn without_fingerprints(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    words
        .map(|word| match word.len() > 40 {
            true => word.replace(&word[..40], "KEY"),
            false => word.to_owned(),
        })
        .collect()
}

#[test]
fn what_nobody_can_fulfil_is_explained() {
    insta::assert_snapshot!(shown(&wrong(|_| {}, "\"app>1\"")), @r#"
    exit: 10
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because only app==1 is available and you require app>1, we can conclude that your requirements are unsatisfiable.
    "#);
    insta::assert_snapshot!(shown(&wrong(|_| {}, "\"app\", \"library<1\"")), @r#"
    exit: 10
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because all versions of app depend on library>=1 and you require app, we can conclude that you require library>=1.
      And because you require library<1, we can conclude that your requirements are unsatisfiable.
    "#);
    insta::assert_snapshot!(shown(&wrong(|_| {}, "\"nothing\"")), @r#"
    exit: 10
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because nothing was not found in the package registry and you require nothing, we can conclude that your requirements are unsatisfiable.

    hint: check the spelling of what was not found, and whether it is in one of `pypi`
    "#);
}

#[test]
fn a_project_without_a_wheel_is_named() {
    let sdist = |registry: &mut Registry| {
        registry.add_file(
            "source",
            "source-1.tar.gz".to_owned(),
            b"no archive".to_vec(),
        );
    };
    insta::assert_snapshot!(shown(&wrong(sdist, "\"app\", \"source\"")), @r#"
    exit: 10
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: no wheel fits Python 3.11.2 on linux/amd64 for `source` 1

    hint: build the missing wheels, and list the directory that holds them in `find-links`
    "#);
}

#[test]
fn an_index_that_fails_is_named() {
    let page = |registry: &Registry| registry.path("simple/app/");
    let fail = |status| {
        move |registry: &mut Registry| {
            registry
                .server
                .answers(&page(registry), vec![Answer::Status(status, Vec::new())]);
        }
    };
    insta::assert_snapshot!(shown(&wrong(fail(404), "\"app\"")), @r#"
    exit: 10
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because app was not found in the package registry and you require app, we can conclude that your requirements are unsatisfiable.

    hint: check the spelling of what was not found, and whether it is in one of `pypi`
    "#);
    insta::assert_snapshot!(shown(&wrong(fail(500), "\"app\"")), @r#"
    exit: 13
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: the registry `pypi` answered 500 for `app`
    caused by: Failed to fetch: `http://HOST/simple/app/`
    caused by: HTTP status server error (500 Status) for url (http://HOST/simple/app/)

    hint: the registry is at fault: try again later, or use another mirror
    "#);
    insta::assert_snapshot!(shown(&wrong(fail(401), "\"app\"")), @r#"
    exit: 13
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: the registry `pypi` answered 401 for `app`
    caused by: Because app was not found in the package registry and you require app, we can conclude that your requirements are unsatisfiable.

    hint: put a user name and password into the registry's URL
    "#);
    let cut = |registry: &mut Registry| {
        let body = vec![b'<'; 4096];
        registry
            .server
            .answers(&page(registry), vec![Answer::Truncated(body, 100)]);
    };
    insta::assert_snapshot!(shown(&wrong(cut, "\"app\"")), @r#"
    exit: 13
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: the registry `pypi` broke off its answer for `app`
    caused by: Failed to fetch: `http://HOST/simple/app/`
    caused by: error decoding response body for url (http://HOST/simple/app/)
    caused by: request or response body error
    caused by: error reading a body from connection
    caused by: end of file before message length reached

    hint: the registry is at fault: try again later, or use another mirror
    "#);
}

#[test]
fn an_archive_that_nobody_vouches_for_is_refused() {
    let tampered = |registry: &mut Registry| {
        let release = String::from_utf8(registry.signed_release()).unwrap();
        let release = release.replace("oldstable", "stable");
        registry
            .server
            .file(&registry.release(), release.as_bytes());
    };
    insta::assert_snapshot!(shown(&wrong(tampered, "\"app\"")), @r#"
    exit: 14
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: `http://HOST/debian/dists/bookworm/InRelease` is not what the key KEY signed

    hint: use another mirror
    "#);
    insta::assert_snapshot!(shown(&wrong(Registry::sign_as_a_stranger, "\"app\"")), @r#"
    exit: 14
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: `http://HOST/debian/dists/bookworm/InRelease` is signed by no trusted key, only by KEY

    hint: use a newer envbox, which knows newer keys of the archive, or another mirror
    hint: for an archive of your own, set `keyring` of its registry in envbox's `config.toml`
    "#);
    let index = |registry: &mut Registry| {
        registry.server.file(&registry.packages(), b"other bytes");
    };
    insta::assert_snapshot!(shown(&wrong(index, "\"app\"")), @r#"
    exit: 14
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: `http://HOST/debian/dists/bookworm/main/binary-amd64/Packages.gz` has 11 bytes where 1611 were promised

    hint: try again later, as the mirror may be in the middle of an update
    "#);
    let gone = |registry: &mut Registry| {
        registry
            .server
            .answers(&registry.release(), vec![Answer::Status(404, Vec::new())]);
    };
    insta::assert_snapshot!(shown(&wrong(gone, "\"app\"")), @r#"
    exit: 10
    -- stdout
    -- stderr
    warning: failed to parse `[ROOT]/project/envbox.lock`; it is resolved from scratch
    error: registry `debian` has no suite `bookworm`
    caused by: `http://HOST/debian/dists/bookworm/InRelease` does not exist

    hint: check that the registry's URL is that of an archive, which has a `dists`
    "#);
}

#[test]
fn nobody_at_home_is_said() {
    let world = World::new(User::Unprivileged);
    world.write("envbox.toml", MANIFEST);
    let nobody = format!("debian={}", crate::http::nobody());
    insta::assert_snapshot!(shown(&world.run(&["lock", "--registry", &nobody])), @r#"
    exit: 13
    -- stdout
    -- stderr
    error: failed to connect to `http://HOST/dists/bookworm/InRelease`
    caused by: error sending request
    caused by: client error (Connect)
    caused by: tcp connect error
    caused by: Connection refused (os error 111)

    hint: check the network and the proxy settings
    "#);
    insta::assert_snapshot!(shown(&world.run(&["lock", "--offline", "--registry", &nobody])), @r#"
    exit: 13
    -- stdout
    -- stderr
    error: `http://HOST/dists/bookworm/InRelease` is needed, but the network is off

    hint: run once without `--offline`
    "#);
}
