//! Parts lists, provenance and keys, without a network.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use envbox::lock::Lockfile;

use crate::support::{Run, User, World};

const DIGEST: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const OTHER: &str = "sha256:0000b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// A project with a lock, and an empty store.
fn world(user: User) -> World {
    let world = World::new(user);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/golden/sklearn");
    for name in ["envbox.toml", "envbox.lock"] {
        world.write(name, &fs::read_to_string(golden.join(name)).unwrap());
    }
    world
}

fn run(world: &World, password: Option<&str>, arguments: &[&str]) -> Run {
    let mut command = world.command(arguments);
    if let Some(password) = password {
        command.env("COSIGN_PASSWORD", password);
    }
    command.stdin(std::process::Stdio::null());
    world.finished(command)
}

/// Returns what a command printed that went well.
fn succeeds(world: &World, password: Option<&str>, arguments: &[&str]) -> String {
    let run = run(world, password, arguments);
    assert_eq!(run.code(), Some(0), "{arguments:?}: {}", run.stderr());
    run.stdout()
}

#[test]
fn a_lock_alone_gives_a_list_that_two_users_make_alike() {
    for format in ["spdx", "cyclonedx"] {
        let lists = User::ALL.map(|user| {
            let world = world(user);
            let list = ["--offline", "sbom", "--lock-only", "--format", format];
            let printed = succeeds(&world, None, &list);
            let mut written = world.command(&[&list[..], &["-o", "list.json"]].concat());
            written.env("TZ", "Asia/Tokyo");
            let written = world.finished(written);
            assert_eq!(written.stdout(), "wrote `[ROOT]/project/list.json`\n");
            let file = fs::read_to_string(world.project().join("list.json")).unwrap();
            assert_eq!(printed, file);
            file
        });
        assert_eq!(lists[0], lists[1]);
        let lock =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/golden/sklearn/envbox.lock");
        for artifact in Lockfile::read(&lock).unwrap().artifacts() {
            assert!(
                lists[0].contains(&artifact.digest.hex()),
                "{}",
                artifact.file
            );
        }
    }
}

#[test]
fn what_the_store_lacks_is_named() {
    let world = world(User::Unprivileged);
    let run = run(&world, None, &["--offline", "sbom"]);
    assert_eq!(run.code(), Some(13));
    assert!(run.stderr().contains("numpy-2.4.6"), "{}", run.stderr());
    let run = world.run(&["sbom", "--lock-only", "--platform", "linux/arm64"]);
    assert_eq!(
        (run.code(), run.stderr().as_str()),
        (
            Some(10),
            "error: the lock has no linux/arm64\n\nhint: take one of the lock's: linux/amd64\n"
        )
    );
}

#[test]
fn a_signed_provenance_is_verified_against_the_lock() {
    for user in User::ALL {
        let world = world(user);
        succeeds(&world, Some("secret"), &["key", "generate"]);
        let subject = format!("team/iris@{DIGEST}");
        let state = [
            "provenance",
            "--subject",
            &subject,
            "--key",
            "envbox.key",
            "-o",
            "image.json",
        ];
        succeeds(&world, Some("secret"), &state);
        let verify = |digest: &str, key: &str| {
            run(
                &world,
                None,
                &[
                    "verify-attestation",
                    "--key",
                    key,
                    "--digest",
                    digest,
                    "image.json",
                ],
            )
        };
        let verified = verify(DIGEST, "envbox.pub");
        assert_eq!(verified.code(), Some(0), "{}", verified.stderr());
        assert!(
            verified
                .stdout()
                .contains("built from the lock sha256:084afcdc")
        );

        let refused = verify(OTHER, "envbox.pub");
        assert_eq!(refused.code(), Some(14));
        assert_eq!(
            refused.stderr(),
            format!(
                "error: failed to use `[ROOT]/project/image.json`\n\
                 caused by: what was signed is {DIGEST}, not {OTHER}\n\n\
                 hint: get the signature that belongs to this digest\n"
            )
        );

        let other = [
            "key",
            "generate",
            "--output-key-prefix",
            "other",
            "--unencrypted",
        ];
        succeeds(&world, None, &other);
        let refused = verify(DIGEST, "other.pub");
        assert_eq!(refused.code(), Some(14));
        assert!(
            refused.stderr().contains("is not by the key"),
            "{}",
            refused.stderr()
        );

        // The same image by the same key, but the lock is another one now.
        let moved = world.project().join("envbox.lock");
        let torch = Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/golden/xgboost");
        fs::copy(torch.join("envbox.lock"), &moved).unwrap();
        let manifest = fs::read_to_string(torch.join("envbox.toml")).unwrap();
        world.write("envbox.toml", &manifest);
        let refused = verify(DIGEST, "envbox.pub");
        assert_eq!(refused.code(), Some(14));
        assert!(
            refused
                .stderr()
                .contains("is about the lock sha256:084afcdc")
        );
    }
}

#[test]
fn the_same_statement_and_key_give_the_same_envelope() {
    let world = world(User::Current);
    succeeds(&world, None, &["key", "generate", "--unencrypted"]);
    let subject = format!("team/iris@{DIGEST}");
    let state = [
        "provenance",
        "--subject",
        &subject,
        "--builder-id",
        "https://ci.example/1",
    ];
    let statement = succeeds(&world, None, &state);
    assert!(
        statement.contains(r#""id":"https://ci.example/1""#),
        "{statement}"
    );
    let signed = || {
        succeeds(
            &world,
            None,
            &[&state[..], &["--key", "envbox.key"]].concat(),
        )
    };
    assert_eq!(signed(), signed());
}

#[test]
fn keys_are_kept_and_kept_private() {
    let world = world(User::Unprivileged);
    let generate = ["key", "generate", "--output-key-prefix", "team.v1"];
    let refused = run(&world, None, &generate);
    assert_eq!(refused.code(), Some(10));
    insta::assert_snapshot!(refused.stderr(), @r#"
    error: the private key is sealed with a password

    hint: set `COSIGN_PASSWORD`, or type it on a terminal
    "#);
    succeeds(&world, Some("secret"), &generate);
    let private = world.project().join("team.v1.key");
    let text = fs::read_to_string(&private).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
    assert_eq!(
        fs::metadata(&private).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let public = fs::read(world.project().join("team.v1.pub")).unwrap();

    let refused = run(&world, Some("secret"), &generate);
    assert_eq!(refused.code(), Some(10));
    insta::assert_snapshot!(refused.stderr(), @r#"
    error: failed to use `[ROOT]/project/team.v1.pub`
    caused by: there is a key already

    hint: choose another prefix; what the old key signed needs it
    "#);
    fs::remove_file(world.project().join("team.v1.pub")).unwrap();
    assert_eq!(run(&world, Some("secret"), &generate).code(), Some(10));
    assert_eq!(fs::read_to_string(&private).unwrap(), text);
    assert!(!world.project().join("team.v1.pub").exists());
    fs::write(world.project().join("team.v1.pub"), public).unwrap();

    let subject = format!("team/iris@{DIGEST}");
    let state = ["provenance", "--subject", &subject, "--key", "team.v1.key"];
    let refused = run(&world, Some("wrong"), &state);
    assert_eq!(refused.code(), Some(10));
    insta::assert_snapshot!(refused.stderr(), @r#"
    error: failed to use `[ROOT]/project/team.v1.key`
    caused by: the password does not open the private key, or the key was changed

    hint: check `COSIGN_PASSWORD`
    "#);
}
