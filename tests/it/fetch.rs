//! `envbox fetch`, and the store that it fills.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::http::Answer;
use crate::registry::Registry;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"app\"]\n[debian]\nsecurity = false\n";

/// The base, the interpreter and the wheel.
const ARTIFACTS: usize = 19;

/// A project with a lock.
fn locked() -> (Registry, World) {
    let registry = Registry::new("", &[("app", "1", &[])]);
    let world = World::new(User::Unprivileged);
    registry.configure(&world);
    world.write("envbox.toml", MANIFEST);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    (registry, world)
}

fn store(world: &World) -> PathBuf {
    world.path().join("home/.cache/envbox")
}

/// Returns the files of all blobs.
fn blobs(world: &World) -> Vec<PathBuf> {
    let mut blobs = Vec::new();
    let folders = fs::read_dir(store(world).join("blobs/sha256"))
        .into_iter()
        .flatten();
    for folder in folders {
        let files = fs::read_dir(folder.unwrap().path()).unwrap();
        blobs.extend(files.map(|file| file.unwrap().path()));
    }
    blobs
}

fn remove_store(world: &World) {
    fs::remove_dir_all(store(world)).unwrap();
}

#[test]
fn after_a_fetch_no_network_is_needed() {
    let (registry, world) = locked();
    let run = world.run(&["fetch"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(blobs(&world).len(), ARTIFACTS);
    let asked = registry.server.requests().len();
    let again = world.run(&["fetch", "--offline"]);
    assert_eq!(again.code(), Some(0), "{}", again.stderr());
    assert_eq!(registry.server.requests().len(), asked);
}

#[test]
fn without_a_network_all_that_is_missing_is_named() {
    let (_registry, world) = locked();
    let run = world.run(&["fetch", "--offline"]);
    assert_eq!(run.code(), Some(13));
    for artifact in ["app-1-py3-none-any.whl", "libc6_2.36-9.deb", "19 artifacts"] {
        assert!(run.stderr().contains(artifact), "{}", run.stderr());
    }
}

#[test]
fn a_download_that_broke_off_is_gone_on_with() {
    let (registry, world) = locked();
    let path = registry.path("debian/pool/main/libc6_2.36-9.deb");
    let bytes = crate::debs::deb_of("libc6", &[]);
    let half = bytes.len() / 2;
    let answers = vec![Answer::Truncated(bytes.clone(), half), Answer::Bytes(bytes)];
    registry.server.answers(&path, answers);
    let run = world.run(&["fetch"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let requests = registry.server.requests();
    let ranges: Vec<_> = requests
        .iter()
        .filter(|request| request.path == path)
        .map(|request| request.range())
        .collect();
    assert_eq!(ranges, [None, Some(half)]);
}

#[test]
fn wrong_bytes_are_named_and_leave_nothing() {
    for (path, bytes) in [
        ("files/app-1-py3-none-any.whl", Vec::from(b"other")),
        ("debian/pool/main/libc6_2.36-9.deb", {
            let mut bytes = crate::debs::deb_of("libc6", &[]);
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }),
    ] {
        let (registry, world) = locked();
        registry.server.file(&registry.path(path), &bytes);
        let run = world.run(&["fetch"]);
        assert_eq!(run.code(), Some(14), "{}", run.stderr());
        let file = path.rsplit('/').next().unwrap();
        let said = run.stderr();
        assert!(said.contains(file), "{said}");
        assert!(
            said.matches("sha256:").count() == 2 || said.contains("found 5"),
            "{said}"
        );
        for blob in blobs(&world) {
            assert_ne!(fs::read(blob).unwrap(), bytes);
        }
        let partial = fs::read_dir(store(&world).join("tmp/partial"));
        let left = partial
            .into_iter()
            .flatten()
            .map(|file| file.unwrap().path());
        for file in left {
            // Others were broken off, maybe before their first byte.
            let beginning = fs::read(&file).unwrap();
            let ours = !beginning.is_empty() && bytes.starts_with(&beginning);
            assert!(!ours, "{}", file.display());
        }
    }
}

#[test]
fn a_length_that_is_not_true_is_told() {
    let (registry, world) = locked();
    let bytes = crate::debs::deb_of("libc6", &[]);
    let path = registry.path("debian/pool/main/libc6_2.36-9.deb");
    for length in [bytes.len() - 1, bytes.len() + 1] {
        registry
            .server
            .answers(&path, vec![Answer::Lying(bytes.clone(), length)]);
        let run = world.run(&["fetch"]);
        assert!(matches!(run.code(), Some(13 | 14)), "{}", run.stderr());
        assert!(
            run.stderr().contains("libc6_2.36-9.deb"),
            "{}",
            run.stderr()
        );
    }
}

#[test]
fn a_wheel_that_is_gone_is_named() {
    let (registry, world) = locked();
    remove_store(&world);
    let path = registry.path("simple/app/");
    registry
        .server
        .answers(&path, vec![Answer::Status(404, Vec::new())]);
    let run = world.run(&["fetch"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 13
    -- stdout
    -- stderr
    error: failed to find `app-1-py3-none-any.whl` from `pypi`
    caused by: the registry `pypi` does not offer `app-1-py3-none-any.whl` of `app`

    hint: use a registry that keeps old files
    hint: lock again with `envbox lock --upgrade`
    "#);
}

#[test]
fn two_at_once_download_once() {
    let (registry, world) = locked();
    let wheel = registry.path("files/app-1-py3-none-any.whl");
    let package = registry.path("debian/pool/main/libc6_2.36-9.deb");
    let counts = || {
        [
            registry.server.count(&wheel),
            registry.server.count(&package),
        ]
    };
    // The lock took the wheel's metadata from it.
    let [before, 0] = counts() else { panic!() };
    let running: Vec<_> = (0..3)
        .map(|_| {
            world
                .command(&["fetch"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut envbox in running {
        assert!(envbox.wait().unwrap().success());
    }
    assert_eq!(counts(), [before + 1, 1]);
    assert_eq!(blobs(&world).len(), ARTIFACTS);
}

#[test]
fn the_store_is_looked_after() {
    let (_registry, world) = locked();
    assert_eq!(world.run(&["fetch"]).code(), Some(0));
    let json = |arguments: &[&str]| -> (Option<i32>, serde_json::Value) {
        let run = world.run(&[arguments, &["--json"]].concat());
        (run.code(), serde_json::from_str(&run.stdout()).unwrap())
    };
    let (code, usage) = json(&["store", "du"]);
    assert_eq!(
        (code, usage["blobs"]["count"].as_u64()),
        (Some(0), Some(ARTIFACTS as u64))
    );

    // What a lock needs is kept; when the lock is gone, nobody needs it.
    let (code, _) = json(&["store", "gc"]);
    assert_eq!((code, blobs(&world).len()), (Some(0), ARTIFACTS));

    let damaged = blobs(&world).pop().unwrap();
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&damaged, "other").unwrap();
    let (code, report) = json(&["store", "verify"]);
    assert_eq!(code, Some(1), "{report}");
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(report["damaged"].to_string().contains(name), "{report}");
    assert_eq!(json(&["store", "verify", "--discard"]).0, Some(1));
    assert_eq!(world.run(&["fetch"]).code(), Some(0));
    assert_eq!(
        (json(&["store", "verify"]).0, blobs(&world).len()),
        (Some(0), ARTIFACTS)
    );

    fs::remove_file(world.project().join("envbox.lock")).unwrap();
    let (code, _) = json(&["store", "gc"]);
    assert_eq!((code, blobs(&world).len()), (Some(0), 0));
}
