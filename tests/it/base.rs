//! An environment that stands on an image: lock, fetch and run, from a directory.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use envbox::base::{Digest, Platform};
use envbox::image::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, MediaType, OciPlatform, RootFs,
};
use envbox::lock::{Lockfile, Request};
use envbox::manifest::Manifest;

use crate::debs;
use crate::http::{Answer, Server, nobody};
use crate::rootfs::{INTERPRETER, standalone};
use crate::support::{User, World};

/// Writes an OCI layout with an image of two layers and returns the image's digest.
fn write_layout(layout: &Path) -> Digest {
    let mut lower = tar::Builder::new(Vec::new());
    debs::append_tools(&mut lower);
    let passwd = "root:x:0:0::/root:/bin/sh\nimage:x:7:7::/:/bin/sh\nother:x:1000:1000::/:/bin/sh";
    for (path, mode, content) in [
        ("etc/passwd", 0o644, passwd),
        ("etc/hostname", 0o644, "image\n"),
        ("srv/gone", 0o644, "gone\n"),
        ("srv/kept", 0o4755, "kept\n"),
        ("opt/python/bin/python3.12", 0o755, "of the image\n"),
        ("opt/python/lib/python3.12/old.py", 0o644, "1line\n"),
    ] {
        debs::append(&mut lower, path, content.as_bytes(), mode);
    }
    debs::append_link(&mut lower, "data", "/srv");
    debs::append_link(&mut lower, "project", "/elsewhere/project");
    let mut upper = tar::Builder::new(Vec::new());
    debs::append(&mut upper, "srv/.wh.gone", b"", 0o644);
    debs::append(&mut upper, "data/new", b"new\n", 0o644);
    let (lower, upper) = (lower.into_inner().unwrap(), upper.into_inner().unwrap());
    let diff_ids = vec![Digest::of(&lower), Digest::of(&upper)];
    let mut packed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(&*lower, flate2::Compression::fast());
    encoder.read_to_end(&mut packed).unwrap();
    let layers = vec![
        blob(layout, MediaType::LAYER_GZIP, &packed),
        blob(
            layout,
            MediaType::LAYER_ZSTD,
            &zstd::encode_all(&*upper, 1).unwrap(),
        ),
    ];
    let OciPlatform {
        architecture, os, ..
    } = Platform::LinuxAmd64.into();
    let config = ImageConfig {
        architecture,
        config: envbox::image::RuntimeConfig::default(),
        created: None,
        history: Vec::new(),
        os,
        rootfs: RootFs {
            diff_ids,
            kind: "layers".to_owned(),
        },
        variant: None,
    };
    let config = blob(layout, MediaType::CONFIG, &config.to_bytes());
    let manifest = ImageManifest::new(config, layers).to_bytes();
    blob(layout, MediaType::MANIFEST, &manifest).digest
}

fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(media_type, bytes);
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(descriptor.digest.hex()), bytes).unwrap();
    descriptor
}

/// A project on the image, and the image's layout beside it.
fn world(user: User) -> (World, PathBuf) {
    let world = World::new(user);
    let layout = world.path().join("layouts/tools");
    let digest = write_layout(&layout);
    let manifest = format!(
        "[environment]\nname = \"on-image\"\n[base]\nimage = \"oci:../layouts/tools@{digest}\"\n"
    );
    world.write("envbox.toml", &manifest);
    (world, layout)
}

/// Runs a command that must succeed and returns what it printed.
fn succeed(world: &World, arguments: &[&str]) -> (String, String) {
    let run = world.run(arguments);
    assert_eq!(run.code(), Some(0), "{arguments:?}: {}", run.stderr());
    (run.stdout(), run.stderr())
}

const LOOK: &str = "cat /srv/* /etc/hostname; pwd; id -u; tail=; while read line; do tail=$line; \
                    echo $line; done < /etc/passwd; stat -c %a /srv/kept";

const SEEN: &str = "kept\nnew\nenvbox\n/project\n1000\nroot:x:0:0::/root:/bin/sh\n\
                    image:x:7:7::/:/bin/sh\nenvbox:x:1000:1000:envbox:/home/envbox:/bin/bash\n755\n";

#[test]
fn an_image_is_locked_fetched_and_run() {
    for user in User::ALL {
        let (world, layout) = world(user);
        let (_, warnings) = succeed(&world, &["lock"]);
        let dropped = "set-user-id and set-group-id bits are dropped: `/srv/kept`";
        assert!(warnings.contains(dropped), "{warnings}");
        let lock = world.project().join("envbox.lock");
        let text = fs::read_to_string(&lock).unwrap();
        assert!(text.contains("version = 2\n"), "{text}");
        assert!(text.contains("repository = \"tools\"\n"), "{text}");
        assert!(!text.contains("layouts"), "the lock names a place: {text}");
        succeed(&world, &["fetch"]);
        // Everything is in the store now.
        fs::rename(&layout, layout.with_extension("away")).unwrap();
        let run = ["run", "--frozen", "--offline", "--", "sh", "-c", LOOK];
        assert_eq!(succeed(&world, &run).0, SEEN);
        // A lock again asks nobody.
        let (told, _) = succeed(&world, &["lock", "--offline", "--json"]);
        assert!(told.contains("\"unchanged\""), "{told}");
        assert_eq!(fs::read_to_string(&lock).unwrap(), text);
        // Elsewhere the same lock is served from wherever the user has the image.
        fs::remove_dir_all(world.path().join("home/.cache/envbox")).unwrap();
        let missing = world.run(&["fetch"]);
        assert_ne!(missing.code(), Some(0));
        let moved = format!("images=file://{}", layout.with_extension("away").display());
        succeed(&world, &["fetch", "--registry", &moved]);
        assert_eq!(succeed(&world, &run).0, SEEN);
    }
}

#[test]
fn another_image_is_another_lock() {
    let (world, layout) = world(User::Current);
    succeed(&world, &["lock"]);
    let manifest = fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    let digest = manifest
        .split('@')
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let config = layout.join("blobs/sha256");
    let other = Digest::of(b"other").to_string();
    world.write("envbox.toml", &manifest.replace(digest, &other));
    let run = world.run(&["run", "--frozen", "--", "true"]);
    let text = run.stderr();
    assert!(text.contains("`[base] image` changed from"), "{text}");
    let run = world.run(&["lock"]);
    let text = run.stderr();
    assert!(text.contains("has no sha256:"), "{text}");
    // A document that was changed where it lies.
    world.write("envbox.toml", &manifest);
    fs::remove_file(world.project().join("envbox.lock")).unwrap();
    let file = config.join(&digest["sha256:".len()..]);
    fs::write(file, "{}").unwrap();
    let run = world.run(&["lock"]);
    assert!(run.stderr().contains("has the digest"), "{}", run.stderr());
}

#[test]
fn a_registry_that_does_not_answer_is_told() {
    let (world, _) = world(User::Current);
    let nowhere = ["--registry", "images=http://127.0.0.1:9"];
    let refused = |verb: &str| {
        let run = world.run(&[&[verb][..], &nowhere].concat());
        assert_eq!(run.code(), Some(13), "{}", run.stderr());
        let said = run.stderr();
        assert!(said.contains("failed to pull manifest"), "{said}");
        assert!(said.contains("in `127.0.0.1:9/tools`"), "{said}");
    };
    refused("lock");
    succeed(&world, &["lock"]);
    let lock = Lockfile::read(&world.project().join("envbox.lock")).unwrap();
    assert_eq!(lock.artifacts().count(), 2);
    fs::remove_dir_all(world.path().join("home/.cache/envbox")).unwrap();
    refused("fetch");
}

/// Serves what is in a layout as a registry of images does.
fn serve(layout: &Path) -> Server {
    let server = Server::start();
    for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let (digest, bytes) = (
            path.file_name().unwrap().display(),
            fs::read(&path).unwrap(),
        );
        server.file(&format!("/v2/tools/blobs/sha256:{digest}"), &bytes);
        let manifest = Answer::Typed(bytes, MediaType::MANIFEST);
        let place = format!("/v2/tools/manifests/sha256:{digest}");
        server.answers(&place, vec![manifest]);
    }
    server
}

#[test]
fn a_mirror_has_the_image_and_its_documents() {
    for (user, of_registry) in [(User::Unprivileged, true), (User::Current, false)] {
        let (world, layout) = world(user);
        let server = serve(&layout);
        let mut place = match of_registry {
            true => format!("images={}", server.url()),
            false => format!("images={}", layout.display()),
        };
        let with = |words: &[&str], place: &str| {
            let registry = ["--registry", place];
            succeed(&world, &[words, &registry].concat()).0
        };
        let build = |options: &[&str], place: &str| {
            let words = [&["build", "--frozen", "--json"], options].concat();
            let report: serde_json::Value = serde_json::from_str(&with(&words, place)).unwrap();
            report["digest"].to_string()
        };
        with(&["lock"], &place);
        let lock = world.project().join("envbox.lock");
        let locked = fs::read(&lock).unwrap();
        let before = build(&[], &place);
        with(&["mirror", "--to", "dir:../home/mirror"], &place);
        let asked = server.requests().len();
        // Neither the image nor what was brought of it is there any more.
        fs::remove_dir_all(&layout).unwrap();
        let forget = || fs::remove_dir_all(world.path().join("home/.cache/envbox")).unwrap();
        forget();
        if of_registry {
            place = format!("images={}", nobody());
        }
        let mirror = ["--mirror", "../home/mirror"];
        assert_eq!(build(&mirror, &place), before);
        forget();
        fs::remove_file(&lock).unwrap();
        with(&[&["lock"][..], &mirror].concat(), &place);
        assert_eq!(fs::read(&lock).unwrap(), locked);
        // The registry in the mirror is one of its own.
        forget();
        fs::remove_file(&lock).unwrap();
        let registry = world.path().join("home/mirror/registries/images");
        with(&["lock"], &format!("images={}", registry.display()));
        assert_eq!(fs::read(&lock).unwrap(), locked);
        let index = fs::read(registry.join("index.json")).unwrap();
        let index = ImageIndex::parse(&index).unwrap();
        let reference = Lockfile::read(&lock).unwrap().base.unwrap().reference;
        assert_eq!(index.manifests[0].digest, reference.digest);
        assert!(registry.join("oci-layout").exists());
        assert_eq!(server.requests().len(), asked);
    }
}

#[test]
fn the_interpreter_lies_on_the_image() {
    let (world, _) = world(User::Unprivileged);
    succeed(&world, &["lock"]);
    let archive = debs::tar_gz(&[
        ("python/bin/python3.12", 0o755, INTERPRETER),
        ("python/lib/python3.12/good.py", 0o644, "1line\n"),
    ]);
    let mirror = world.path().join("mirror");
    fs::create_dir(&mirror).unwrap();
    fs::write(mirror.join("python.tar.gz"), &archive).unwrap();
    let (file, lock) = ("envbox.toml", world.project().join("envbox.lock"));
    let manifest = fs::read_to_string(world.project().join(file)).unwrap();
    let manifest = manifest.replace("[base]", "python = \"3.12\"\n[base]");
    world.write(file, &manifest);
    let parsed = Manifest::parse(&manifest, &world.project().join(file)).unwrap();
    let locked = Lockfile {
        request: Request::of(&parsed),
        interpreter: Some(standalone(&archive)),
        ..Lockfile::read(&lock).unwrap()
    };
    world.write(
        "envbox.lock",
        std::str::from_utf8(&locked.to_bytes()).unwrap(),
    );
    let mirror = format!("python-build-standalone={}", mirror.display());
    let look = "readlink -f /opt/env/bin/python; read line < /opt/python/bin/python3.12; \
                echo $line; ls /opt/python/lib/python3.12 /opt/python/lib/python3.12/__pycache__";
    let run = [
        "run",
        "--frozen",
        "--registry",
        &mirror,
        "--",
        "sh",
        "-c",
        look,
    ];
    // The image's own module stays, and nobody compiles it.
    assert_eq!(
        succeed(&world, &run).0,
        "/opt/python/bin/python3.12\n#!/bin/sh\n/opt/python/lib/python3.12:\n__pycache__\ngood.py\n\
         old.py\nsite-packages\n\n/opt/python/lib/python3.12/__pycache__:\ngood.cpython-312.pyc\n"
    );
}
