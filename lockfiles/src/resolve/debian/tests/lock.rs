//! What the lock says.

use std::collections::BTreeSet;

use crate::base::Platform;
use crate::lock::{LockedDebian, Origin};
use crate::resolve::Upgrade;
use crate::resolve::debian::Root;
use crate::resolve::debian::tests::fixture::{Suite, Wanted, World, package, shown};

fn packages() -> Vec<String> {
    vec![
        package("app", "1", "Depends: common, lib (>= 1)"),
        package("common", "1", "Architecture: all"),
        package("lib", "1", ""),
        package("lib", "2", "Depends: common"),
    ]
}

#[test]
fn packages_are_complete_and_say_who_asked() {
    let world = World::with(&packages());
    let root = |name: &str, required_by: &str| Root {
        name: name.parse().unwrap(),
        required_by: required_by.to_owned(),
    };
    let lock = world
        .resolve(&Wanted {
            roots: vec![
                root("app", "manifest"),
                root("common", "base"),
                root("app", "interpreter"),
            ],
            ..Wanted::of(&[])
        })
        .unwrap();
    let asked: Vec<_> = lock
        .packages
        .iter()
        .map(|package| (package.name.as_str(), package.required_by.join(" ")))
        .collect();
    assert_eq!(
        asked,
        [
            ("app", "interpreter manifest".to_owned()),
            ("common", "app base lib".to_owned()),
            ("lib", "app".to_owned()),
        ]
    );
    let lib = &lock.packages[2];
    assert_eq!(
        (lib.version.as_str(), lib.architecture.as_str()),
        ("2", "amd64")
    );
    assert_eq!(lib.artifact.file, "pool/main/lib_2.deb");
    assert_eq!(lib.artifact.size, 7);
    assert_eq!(
        lib.artifact.origin,
        Origin::Registry("debian".parse().unwrap())
    );
    assert_eq!(lock.suites[0].name, "stable");
    assert_eq!(lock.suites[0].date.to_string(), "2026-06-01T00:00:00Z");
}

#[test]
fn a_lock_depends_on_the_archive_alone() {
    let (first, second) = (World::with(&packages()), World::new());
    // Another mirror: another place, another compression, another order of downloads.
    second.add(&Suite {
        suffix: ".gz",
        ..Suite::new("stable", &packages()).field("Acquire-By-Hash", "")
    });
    let lock = first.lock(&["app"]).unwrap();
    assert_eq!(second.lock(&["app"]).unwrap(), lock);
    assert_eq!(first.lock(&["app"]).unwrap(), lock);
}

#[test]
fn platforms_share_what_is_for_all() {
    let world = World::new();
    let mut suite = Suite::new("stable", &packages());
    let arm64 = |text: String| match text.contains("Architecture: all") {
        true => text,
        false => text
            .replace("Architecture: amd64", "Architecture: arm64")
            .replace("SHA256: ", "SHA256: 0000000000000000")
            .lines()
            .map(|line| match line.strip_prefix("SHA256: ") {
                Some(hex) => format!("SHA256: {}\n", &hex[..64]),
                None => format!("{line}\n"),
            })
            .collect(),
    };
    let text = packages()
        .into_iter()
        .map(arm64)
        .map(|text| format!("{text}\n"));
    suite.packages.insert("arm64", text.collect());
    world.add(&suite);
    let lock = world
        .resolve(&Wanted {
            platforms: Platform::ALL.to_vec(),
            ..Wanted::of(&["app"])
        })
        .unwrap();
    let shown: Vec<_> = lock
        .packages
        .iter()
        .map(|package| {
            let platforms = package.platforms.iter().map(|platform| platform.debian());
            let platforms: Vec<_> = platforms.collect();
            format!(
                "{} {} {}",
                package.name,
                package.architecture,
                platforms.join("+")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "app amd64 amd64",
            "app arm64 arm64",
            "common all amd64+arm64",
            "lib amd64 amd64",
            "lib arm64 arm64",
        ]
    );
}

fn with_security(security: bool) -> LockedDebian {
    let world = World::with(&packages());
    world.add(&Suite::new(
        "stable-security",
        &[
            package("lib", "2+deb1", ""),
            package("common", "1", "Architecture: all"),
        ],
    ));
    let wanted = Wanted {
        security,
        ..Wanted::of(&["app"])
    };
    world.resolve(&wanted).unwrap()
}

#[test]
fn security_updates_are_taken_unless_refused() {
    let lock = with_security(true);
    assert_eq!(shown(&lock), ["app=1", "common=1", "lib=2+deb1"]);
    let origins: Vec<_> = lock
        .packages
        .iter()
        .map(|package| package.artifact.origin.clone())
        .collect();
    let registry = |name: &str| Origin::Registry(name.parse().unwrap());
    // What both have comes from the archive that keeps it longer.
    assert_eq!(
        origins,
        [
            registry("debian"),
            registry("debian"),
            registry("debian-security")
        ]
    );
    let suites: Vec<_> = lock
        .suites
        .iter()
        .map(|suite| suite.name.as_str())
        .collect();
    assert_eq!(suites, ["stable", "stable-security"]);
    let lock = with_security(false);
    assert_eq!(shown(&lock), ["app=1", "common=1", "lib=2"]);
    assert_eq!(lock.suites.len(), 1);
}

#[test]
fn versions_stay_until_they_are_upgraded_or_gone() {
    let old = World::with(&packages()[..3]);
    let previous = old.lock(&["app"]).unwrap();
    assert_eq!(shown(&previous), ["app=1", "common=1", "lib=1"]);
    let new = World::with(&packages());
    let wanted = |upgrade| Wanted {
        previous: Some(previous.clone()),
        upgrade,
        ..Wanted::of(&["app"])
    };
    let only = |name: &str| Upgrade::Packages(BTreeSet::from([name.to_owned()]));
    for (upgrade, expected) in [
        (Upgrade::None, "lib=1"),
        (only("common"), "lib=1"),
        (only("lib"), "lib=2"),
        (Upgrade::All, "lib=2"),
    ] {
        let lock = new.resolve(&wanted(upgrade)).unwrap();
        assert_eq!(shown(&lock)[2], expected);
    }
    let gone = World::with(&[
        packages()[0].clone(),
        packages()[1].clone(),
        packages()[3].clone(),
    ]);
    let lock = gone.resolve(&wanted(Upgrade::None)).unwrap();
    assert_eq!(shown(&lock)[2], "lib=2");
}
