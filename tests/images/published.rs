//! Images by way of a registry: from a project to a machine that has nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::golden::{directory, world_of};
use crate::registry::Registry;
use crate::schema::check;
use crate::support::{User, World};

const SCHEMA: &str = include_str!("../../docs/schemas/build.json");

/// Registries of packages that do not answer: what runs all the same came from the image.
const NOWHERE: [&str; 4] = [
    "--registry",
    "pypi=http://127.0.0.1:9/",
    "--registry",
    "debian=http://127.0.0.1:9/",
];

/// Returns what it printed.
fn succeeds(world: &World, arguments: &[&str]) -> String {
    let run = world.run(arguments);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    run.stdout()
}

/// Pushes the sklearn example, signed, with everything beside it; returns the digest.
fn push(world: &World, repository: &str) -> String {
    let keys = [
        "key",
        "generate",
        "--output-key-prefix",
        "own",
        "--unencrypted",
    ];
    succeeds(world, &keys);
    let image = format!("{repository}:v1");
    let words = [
        "build", "--record", "--attest", "--json", "--key", "own.key", "--push", &image,
    ];
    let printed = succeeds(world, &words);
    let document: Value = serde_json::from_str(&printed).unwrap();
    document["digest"].as_str().unwrap().to_owned()
}

fn model(world: &World) -> Vec<u8> {
    fs::read(world.project().join("model.joblib")).unwrap()
}

fn rootfs_list(world: &World) -> Vec<u8> {
    let directory = world.path().join("home/.cache/envbox/rootfs");
    let mut files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let list = files.find(|path| path.extension().is_some_and(|end| end == "manifest"));
    fs::read(list.unwrap()).unwrap()
}

#[test]
fn images_a_machine_with_nothing_runs_a_step() {
    let registry = Registry::start();
    let repository = format!("{}/team/environments", registry.host);
    let origin = world_of("sklearn", User::Current);
    registry.let_in(&origin);
    let digest = push(&origin, &repository);
    succeeds(&origin, &["run", "--frozen", "--", "python", "train.py"]);

    // What is there is not sent again, and building gives what the lock says.
    let again = [
        "build",
        "--frozen",
        "--json",
        "--push",
        &format!("{repository}:v2"),
    ];
    let printed = succeeds(&origin, &again);
    let document: Value = serde_json::from_str(&printed).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut wrong = Vec::new();
    check(&schema, &schema, &document, "build", &mut wrong);
    assert_eq!(wrong, [""; 0], "{printed}");
    assert_eq!(
        (&document["pushed"]["uploaded"], &document["digest"]),
        (&0.into(), &digest.as_str().into())
    );

    // Another repository takes the layers of this one without their being sent.
    let elsewhere = format!("{}/team/elsewhere:v1", registry.host);
    let mount = ["--mount-from", "team/environments", "--push", &elsewhere];
    let printed = succeeds(&origin, &[&["build", "--json"][..], &mount].concat());
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["pushed"]["uploaded"], 0, "{printed}");

    by_lock(&registry, &repository, &origin);
    by_digest(&registry, &repository, &origin, &digest);
    skopeo_sees_it(&registry, &repository, &digest);
    another_stands_on_it(&registry, &repository, &digest);
}

/// `[base] image`: another environment has the image for its base.
fn another_stands_on_it(registry: &Registry, repository: &str, digest: &str) {
    let world = World::new(User::Unprivileged);
    registry.let_in(&world);
    let manifest =
        format!("[environment]\nname = \"above\"\n[base]\nimage = \"{repository}@{digest}\"\n");
    world.write("envbox.toml", &manifest);
    succeeds(&world, &["lock"]);
    let lock = fs::read_to_string(world.project().join("envbox.lock")).unwrap();
    assert!(
        lock.contains(digest) && !lock.contains(&registry.host),
        "{lock}"
    );
    let step = [
        "python3.11",
        "-c",
        "import sqlite3; print(sqlite3.sqlite_version_info > (3,))",
    ];
    let printed = succeeds(&world, &[&["run", "--frozen", "--"], &step[..]].concat());
    assert_eq!(printed, "True\n");
    // A second machine has the lock alone.
    let second = World::new(User::Unprivileged);
    registry.let_in(&second);
    second.write("envbox.toml", &manifest);
    second.write("envbox.lock", &lock);
    succeeds(&second, &["fetch"]);
    let offline = ["--offline", "run", "--frozen", "--"];
    let printed = succeeds(&second, &[&offline, &step[..]].concat());
    assert_eq!(printed, "True\n");
}

/// With the lock, and without any package.
fn by_lock(registry: &Registry, repository: &str, origin: &World) {
    let world = World::new(User::Unprivileged);
    registry.let_in(&world);
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    world.write("envbox.lock", &text(&origin.project().join("envbox.lock")));
    for name in ["envbox.toml", "train.py"] {
        world.write(name, &text(&directory("sklearn").join(name)));
    }
    let step = ["run", "--frozen", "--", "python", "train.py"];
    let without = world.run(&[&NOWHERE[..], &step].concat());
    assert_eq!(without.code(), Some(125), "{}", without.stderr());
    let images = ["--images", repository];
    succeeds(&world, &[&NOWHERE[..], &images, &step].concat());
    assert!(model(&world) == model(origin));
    assert!(rootfs_list(&world) == rootfs_list(origin));
}

/// With the digest alone: no manifest, no lock.
fn by_digest(registry: &Registry, repository: &str, origin: &World, digest: &str) {
    let world = World::new(User::Unprivileged);
    registry.let_in(&world);
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    world.write("own.pub", &text(&origin.project().join("own.pub")));
    world.write("train.py", &text(&directory("sklearn").join("train.py")));
    let image = format!("{repository}@{digest}");
    let trusted = ["--image", &image, "--verify-key", "own.pub"];
    let step = ["--", "python", "train.py"];
    let other = [
        "key",
        "generate",
        "--output-key-prefix",
        "other",
        "--unencrypted",
    ];
    succeeds(&world, &other);
    let distrusted = ["run", "--image", &image, "--verify-key", "other.pub"];
    let refused = world.run(&[&distrusted[..], &step].concat());
    assert_eq!(refused.code(), Some(125));
    assert!(
        refused.stderr().contains("is not signed with the key"),
        "{}",
        refused.stderr()
    );
    succeeds(&world, &[&["run"], &trusted[..], &step].concat());
    assert!(model(&world) == model(origin));
    // The second time it needs nobody.
    fs::remove_file(world.project().join("model.joblib")).unwrap();
    succeeds(
        &world,
        &[&["--offline", "run"], &trusted[..2], &step].concat(),
    );
    assert!(model(&world) == model(origin));
}

fn skopeo_sees_it(registry: &Registry, repository: &str, digest: &str) {
    let plain = "--tls-verify=false";
    let text = registry.skopeo(&["inspect", plain, &format!("docker://{repository}:v1")]);
    let found: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(found["Digest"], digest);
    // Registries without a list of referrers keep it under this tag.
    let tags: Vec<&str> = found["RepoTags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    let beside = digest.replace(':', "-");
    for end in ["", ".sig", ".att"] {
        let tag = format!("{beside}{end}");
        assert!(tags.contains(&tag.as_str()), "{tag}: {tags:?}");
    }
}
