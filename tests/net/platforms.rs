//! One lock for two platforms, made on either, of packages that differ between them.

use std::collections::{BTreeMap, BTreeSet};

use envbox::base::Platform;
use envbox::lock::Lockfile;

use crate::support::{User, World};

const HEAD: &str = "[environment]\nname = \"both\"\nplatforms = PLATFORMS\n";
const BODY: &str = "[python]\nrequirements = [\n\
    \"numpy\", \"pandas>=2\", \"uvloop\", \"orjson\", \"cryptography\",\n\
    \"psutil ; platform_machine == 'x86_64'\",\n\
    \"ujson ; platform_machine == 'aarch64'\",\n\
    \"colorama ; sys_platform == 'win32'\",\n]\nexclude-newer = \"2026-11-01\"\n";
const BOTH: &str = "[\"linux/amd64\", \"linux/arm64\"]";

fn locked(python: &str, debian: &str, platforms: &str) -> Lockfile {
    let world = World::new(User::Current);
    let head = HEAD.replace("PLATFORMS", platforms);
    world.write(
        "envbox.toml",
        &format!("{head}python = {python}\n{BODY}{debian}"),
    );
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    Lockfile::read(&world.project().join("envbox.lock")).unwrap()
}

/// Returns name and file of what a lock has for a platform, and the version of each wheel.
fn contents(lock: &Lockfile, platform: Platform) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let wheels = lock
        .python
        .iter()
        .filter(|wheel| wheel.platforms.contains(&platform));
    let versions = wheels
        .clone()
        .map(|wheel| (wheel.name.to_string(), wheel.version.clone()));
    let packages = lock.debian.packages.iter();
    let packages = packages.filter(|package| package.platforms.contains(&platform));
    let archives = lock.interpreter.iter().flat_map(|python| &python.archives);
    let archives = archives.filter(|archive| archive.platform == platform);
    let files = wheels.map(|wheel| wheel.artifact.file.clone());
    let files = files.chain(packages.map(|package| package.artifact.file.clone()));
    let files = files.chain(archives.map(|archive| archive.artifact.file.clone()));
    (files.collect(), versions.collect())
}

#[test]
fn net_a_lock_of_two_platforms_has_what_a_lock_of_each_has() {
    let debian = "[debian]\npackages = [\"libgomp1\", \"git\"]\n";
    // Each from another suite. Standalone interpreters lie where not every network reaches.
    let pythons = ["\"3.11\"", "\"3.13\""];
    for python in pythons {
        let both = locked(python, debian, BOTH);
        for platform in Platform::ALL {
            let alone = locked(python, debian, &format!("[\"{platform}\"]"));
            let (files, versions) = contents(&both, platform);
            assert_eq!(files, contents(&alone, platform).0, "{python} {platform}");
            assert_eq!(
                versions.contains_key("psutil"),
                platform == Platform::LinuxAmd64
            );
            assert_eq!(
                versions.contains_key("ujson"),
                platform == Platform::LinuxArm64
            );
            assert!(!versions.contains_key("colorama"));
            let foreign = match platform {
                Platform::LinuxAmd64 => ["aarch64", "arm64"],
                Platform::LinuxArm64 => ["x86_64", "amd64"],
            };
            let wrong = files
                .iter()
                .find(|file| foreign.iter().any(|word| file.contains(word)));
            assert_eq!(wrong, None);
        }
        let [amd64, arm64] = Platform::ALL.map(|platform| contents(&both, platform).1);
        for (name, version) in &amd64 {
            let other = arm64.get(name);
            assert!(
                other.is_none_or(|other| other == version),
                "{name} {version} {other:?}"
            );
        }
    }
    let world = World::new(User::Current);
    let head = HEAD.replace("PLATFORMS", BOTH);
    // A library of the compiler's for amd64 alone.
    world.write(
        "envbox.toml",
        &format!("{head}[debian]\npackages = [\"libquadmath0\"]\n"),
    );
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(10), "{}", run.stderr());
    assert!(run.stderr().contains("linux/arm64"), "{}", run.stderr());
}
