//! What is taken from an archive, and what is refused.

use std::fs;

use crate::base::{Digest, Explain as _, Kind, Network, Platform};
use crate::lock::LockedDebian;
use crate::net::NetError;
use crate::net::tests::http::{Answer, Server};
use crate::resolve::debian::tests::fixture::{Suite, Wanted, World, compress, package, shown};
use crate::resolve::debian::tests::keys::{Key, Spec};
use crate::resolve::debian::{DebianError, MalformedRelease};

fn stable() -> Suite {
    Suite::new("stable", &[package("aa", "1", ""), package("bb", "2", "")])
}

fn lock(suite: &Suite) -> Result<LockedDebian, DebianError> {
    let world = World::new();
    world.add(suite);
    world.lock(&["bb"])
}

#[test]
fn every_compression_is_read() {
    for suffix in [".xz", ".gz", ""] {
        let lock = lock(&Suite { suffix, ..stable() });
        assert_eq!(shown(&lock.unwrap()), ["bb=2"], "{suffix}");
    }
}

#[test]
fn indices_are_found_by_hash_or_by_name() {
    for (by_hash, removed) in [("yes", "by-hash"), ("yes", "Packages.xz"), ("", "by-hash")] {
        let world = World::new();
        world.add(&stable().field("Acquire-By-Hash", by_hash));
        let directory = world
            .registry("debian")
            .join("dists/stable/main/binary-amd64");
        let removed = directory.join(removed);
        match removed.is_dir() {
            true => fs::remove_dir_all(removed).unwrap(),
            false => fs::remove_file(removed).unwrap(),
        }
        assert_eq!(shown(&world.lock(&["bb"]).unwrap()), ["bb=2"], "{by_hash}");
    }
    let world = World::new();
    world.add(&stable());
    fs::remove_dir_all(world.registry("debian").join("dists/stable/main")).unwrap();
    let error = world.lock(&["bb"]).unwrap_err();
    assert!(
        matches!(error, DebianError::Net(NetError::NotFound { .. })),
        "{error:?}"
    );
}

#[test]
fn a_registry_may_have_keys_of_its_own() {
    let mut world = World::new();
    let own = Key::of(Spec {
        seed: 7,
        ..Spec::default()
    });
    stable().write(&world.registry("debian"), &own);
    let file = world.directory.path().join("own keys");
    let registry = "debian".parse().unwrap();
    world.context.keyrings.insert(registry, file.clone());
    for keys in [own.armored().into_bytes(), own.bytes()] {
        fs::write(&file, keys).unwrap();
        assert_eq!(shown(&world.lock(&["bb"]).unwrap()), ["bb=2"]);
    }
    // Then nobody else is trusted.
    fs::write(&file, world.key.armored()).unwrap();
    let error = world.lock(&["bb"]).unwrap_err();
    assert!(
        matches!(error, DebianError::UnknownSigner { .. }),
        "{error:?}"
    );
    for no_keys in ["", "keys", &own.armored()[..200]] {
        fs::write(&file, no_keys).unwrap();
        let error = world.lock(&["bb"]).unwrap_err();
        assert!(matches!(error, DebianError::NoKeys { .. }), "{error:?}");
    }
}

#[test]
fn releases_that_nobody_vouches_for_are_refused() {
    let error = lock(&Suite {
        edit_signed: |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace("Codename: stable", "Codename: stable ")
                .replace("amd64 arm64", "amd64 arm63")
                .into_bytes()
        },
        ..stable()
    })
    .unwrap_err();
    assert!(
        matches!(error, DebianError::BadSignature { .. }),
        "{error:?}"
    );

    let error = lock(&Suite {
        edit_signed: |_| b"<html></html>".to_vec(),
        ..stable()
    })
    .unwrap_err();
    assert!(matches!(error, DebianError::NotSigned { .. }), "{error:?}");

    let world = World::new();
    let other = Key::of(Spec {
        seed: 2,
        ..Spec::default()
    });
    stable().write(&world.registry("debian"), &other);
    let error = world.lock(&["bb"]).unwrap_err();
    assert!(
        matches!(error, DebianError::UnknownSigner { .. }),
        "{error:?}"
    );
}

#[test]
fn releases_of_another_suite_or_time_are_refused() {
    for (field, value, kind) in [
        ("Codename", "testing", Kind::Integrity),
        (
            "Valid-Until",
            "Mon, 01 Jun 2026 00:59:59 UTC",
            Kind::Integrity,
        ),
        ("Date", "Wed, 03 Jun 2026 00:00:00 UTC", Kind::Host),
    ] {
        let error = lock(&stable().field(field, value)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        let expected = match field {
            "Codename" => {
                matches!(&error, DebianError::WrongSuite { found, .. } if found == "testing")
            }
            "Date" => matches!(error, DebianError::NotYetMade { .. }),
            _ => matches!(error, DebianError::Outdated { .. }),
        };
        assert!(expected, "{error:?}");
    }
    assert!(lock(&stable().field("Valid-Until", "Mon, 01 Jun 2026 01:00:01 UTC")).is_ok());
    let error = lock(&stable().field("Date", "")).unwrap_err();
    let problem = MalformedRelease::Missing { field: "Date" };
    assert!(
        matches!(&error, DebianError::Malformed { source, .. } if *source == problem),
        "{error:?}"
    );
}

#[test]
fn suites_go_by_codename_or_alias() {
    let world = World::new();
    let suite = stable()
        .field("Codename", "bookworm")
        .field("Suite", "stable");
    world.add(&suite);
    let lock = world.lock(&["bb"]).unwrap();
    assert_eq!(lock.suites[0].name, "bookworm");
}

#[test]
fn indices_other_than_promised_are_refused() {
    let error = lock(&Suite {
        edit_index: |mut bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            bytes
        },
        ..stable()
    })
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    let DebianError::WrongDigest {
        expected, found, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains(&expected.hex()));
    assert!(error.to_string().contains(&found.hex()));

    for edit_index in [
        (|bytes| [bytes, vec![0]].concat()) as fn(Vec<u8>) -> Vec<u8>,
        |mut bytes| {
            bytes.pop();
            bytes
        },
    ] {
        let error = lock(&Suite {
            edit_index,
            ..stable()
        })
        .unwrap_err();
        let DebianError::WrongSize {
            expected, found, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(expected.abs_diff(found), 1);
    }
}

/// Makes the `Release` promise an index of which the decompressed size or digest is another.
fn lying(plain: &[u8], stored: &[u8], claimed: &[u8]) -> DebianError {
    let world = World::new();
    let line = |bytes: &[u8], suffix: &str| {
        let digest = Digest::of(bytes).hex();
        format!(
            " {digest} {} main/binary-amd64/Packages{suffix}\n",
            bytes.len()
        )
    };
    let release = format!(
        "Codename: stable\nDate: Mon, 01 Jun 2026 00:00:00 UTC\nSHA256:\n{}{}",
        line(claimed, ""),
        line(stored, ".xz")
    );
    let suite = world.registry("debian").join("dists/stable");
    fs::create_dir_all(suite.join("main/binary-amd64")).unwrap();
    fs::write(suite.join("InRelease"), world.key.sign(&release)).unwrap();
    fs::write(suite.join("main/binary-amd64/Packages.xz"), stored).unwrap();
    assert_ne!(plain, claimed);
    world.lock(&["bb"]).unwrap_err()
}

#[test]
fn nothing_grows_beyond_what_was_promised() {
    let plain = vec![b'\n'; 1 << 20];
    let stored = compress(&plain, ".xz");
    let error = lying(&plain, &stored, b"small");
    assert!(
        matches!(
            error,
            DebianError::WrongSize {
                expected: 5,
                found: 6,
                ..
            }
        ),
        "{error:?}"
    );
    let claimed = vec![b' '; 1 << 20];
    let error = lying(&plain, &stored, &claimed);
    assert!(
        matches!(error, DebianError::WrongDigest { .. }),
        "{error:?}"
    );
    let error = lying(&plain, b"not xz", &claimed);
    assert!(matches!(error, DebianError::Decompress { .. }), "{error:?}");
    let error = lying(&plain, &stored[..stored.len() / 2], &plain[1..]);
    assert!(matches!(error, DebianError::Decompress { .. }), "{error:?}");
}

#[test]
fn indices_that_are_none_are_refused() {
    let suite = Suite::new("stable", &["Version: 1\n".to_owned()]);
    let error = lock(&suite).unwrap_err();
    assert!(
        matches!(error, DebianError::NotPackages { .. }),
        "{error:?}"
    );
}

#[test]
fn missing_suites_and_platforms_are_users_errors() {
    for (suite, hint) in [
        ("bokworm", "did you mean `bookworm`?"),
        ("plan9", "use one of `bullseye`, `bookworm`, `trixie`"),
        ("../x", "use one of `bullseye`, `bookworm`, `trixie`"),
    ] {
        let error = World::new()
            .resolve(&Wanted {
                suite: suite.to_owned(),
                // Both archives lack it; the one that is told of is the first.
                security: true,
                ..Wanted::of(&["bb"])
            })
            .unwrap_err();
        assert_eq!(error.kind(), Kind::User, "{error:?}");
        assert_eq!(error.hints(), [hint]);
    }
    let world = World::new();
    world.add(&stable());
    let error = world
        .resolve(&Wanted {
            platforms: vec![Platform::LinuxArm64],
            ..Wanted::of(&["bb"])
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "suite `stable` has no packages for linux/arm64, only for all, amd64, arm64"
    );
    let error = world
        .resolve(&Wanted {
            security: true,
            ..Wanted::of(&["bb"])
        })
        .unwrap_err();
    assert!(error.hints()[0].contains("security = false"));
}

#[test]
fn what_was_read_is_not_read_again() {
    let server = Server::start();
    let mut world = World::new();
    let url = format!("{}/debian", server.url());
    let debian = "debian".parse().unwrap();
    world.context.registries.insert(debian, url);
    let mut index = String::new();
    for (path, bytes) in stable().files(&world.key) {
        let path = format!("/debian/dists/stable/{path}");
        match path.ends_with("InRelease") {
            true => server.answers(&path, vec![Answer::Tagged(bytes, "\"one\"")]),
            false => server.file(&path, &bytes),
        };
        if path.contains("by-hash") {
            index = path;
        }
    }
    let release = "/debian/dists/stable/InRelease";
    let first = world.lock(&["bb"]).unwrap();
    assert_eq!(world.lock(&["bb"]).unwrap(), first);
    assert_eq!((server.count(release), server.count(&index)), (2, 1));
    assert_eq!(server.requests().len(), 3);
    let condition = |at: usize| server.requests()[at].headers.get("if-none-match").cloned();
    assert_eq!(condition(0), None);
    assert_eq!(condition(2).as_deref(), Some("\"one\""));

    world.context.network = Network::Offline;
    assert_eq!(world.lock(&["bb"]).unwrap(), first);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn offline_without_a_cache_is_an_error() {
    let server = Server::start();
    let mut world = World::new();
    let debian = "debian".parse().unwrap();
    world.context.registries.insert(debian, server.url());
    world.context.network = Network::Offline;
    let error = world.lock(&["bb"]).unwrap_err();
    assert!(
        matches!(error, DebianError::Net(NetError::Offline { .. })),
        "{error:?}"
    );
}

#[test]
fn a_damaged_cache_is_made_again() {
    let world = World::new();
    world.add(&stable());
    let first = world.lock(&["bb"]).unwrap();
    let cache = world.context.store.join("index/debian");
    for kind in ["packages-1", "releases"] {
        let mut files = fs::read_dir(cache.join(kind)).unwrap();
        let file = files.next().unwrap().unwrap().path();
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(world.lock(&["bb"]).unwrap(), first, "{kind}");
    }
}

#[test]
fn snapshots_are_read_from_the_archive_that_keeps_them() {
    let world = World::new();
    let old = Suite::new("stable", &[package("bb", "1", "")]);
    // What was valid then is taken although it is not any more.
    let old = old
        .field("Date", "Thu, 01 Jan 2026 00:00:00 UTC")
        .field("Valid-Until", "Sun, 04 Jan 2026 00:00:00 UTC");
    let place = "debian-snapshot";
    let stamp = "20260103T120000Z";
    let kept = world.registry(place).join("debian").join(stamp);
    old.write(&kept, &world.key);
    world.add(&stable());
    let wanted = |snapshot: &str| Wanted {
        snapshot: Some(snapshot.to_owned()),
        ..Wanted::of(&["bb"])
    };
    let lock = world.resolve(&wanted(stamp)).unwrap();
    assert_eq!(shown(&lock), ["bb=1"]);
    // The lock does not say from which archive it was made.
    assert_eq!(lock.suites[0].registry.as_str(), "debian");

    // A mirror that stands still does as well, if it is not from later.
    let lock = world.resolve(&wanted("20260601T000000Z")).unwrap();
    assert_eq!(shown(&lock), ["bb=2"]);
    let error = world.resolve(&wanted("20260531T235959Z")).unwrap_err();
    assert_eq!(error.kind(), Kind::User);
    let text = error.to_string();
    for asked in ["registry `debian-snapshot`", "registry `debian`"] {
        assert!(text.contains(asked), "{text}");
    }
    for bad in [
        "",
        "20260601",
        "2026-06-01T00:00:00Z",
        "20261301T000000Z",
        "20260601T000000X",
    ] {
        let error = world.resolve(&wanted(bad)).unwrap_err();
        assert!(
            matches!(error, DebianError::InvalidSnapshot { .. }),
            "{bad}"
        );
    }
}
