//! What is stated, and what is refused.

mod any_input;
mod attachments;
mod keys;
mod licences;
mod provenance;
mod sboms;
mod signing;

use envbox_lockfiles::base::{Digest, Platform};
use envbox_lockfiles::lock::{
    Artifact, LockedArchive, LockedConda, LockedDebian, LockedInterpreter, LockedPackage,
    LockedSuite, LockedWheel, Lockfile, Origin, Request,
};
use envbox_lockfiles::manifest::{InterpreterSource, Prerelease};
use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::attest::{PrivateKey, Subject};

const AMD64: Platform = Platform::LinuxAmd64;

/// Files that cosign 2.5.0 wrote; the password is `secret`.
mod cosign {
    pub(super) const PRIVATE: &str = include_str!("../../../fixtures/cosign/cosign.key");
    pub(super) const PUBLIC: &str = include_str!("../../../fixtures/cosign/cosign.pub");
    pub(super) const BLOB: &[u8] = include_bytes!("../../../fixtures/cosign/blob");
    pub(super) const SIGNATURE: &str = include_str!("../../../fixtures/cosign/blob.sig");
    pub(super) const ENVELOPE: &[u8] = include_bytes!("../../../fixtures/cosign/blob.dsse.json");
}

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn key() -> PrivateKey {
    PrivateKey::generate(&mut random())
}

fn subject() -> Subject {
    Subject {
        name: "team/iris".to_owned(),
        digest: Digest::of(b"a manifest"),
    }
}

fn epoch() -> Timestamp {
    "2020-01-01T00:00:00Z".parse().unwrap()
}

fn artifact(registry: &str, file: &str) -> Artifact {
    Artifact {
        origin: Origin::Registry(registry.parse().unwrap()),
        file: file.to_owned(),
        size: file.len() as u64,
        digest: Digest::of(file.as_bytes()),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn package(name: &str, version: &str, required_by: &[&str]) -> LockedPackage {
    let file = format!("pool/main/{name}_{version}_amd64.deb");
    LockedPackage {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        platforms: vec![AMD64],
        artifact: artifact("debian", &file),
        required_by: names(required_by),
    }
}

fn wheel(name: &str, version: &str, required_by: &[&str]) -> LockedWheel {
    LockedWheel {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        platforms: Platform::ALL.to_vec(),
        artifact: artifact("pypi", &format!("{name}-{version}-py3-none-any.whl")),
        required_by: names(required_by),
        built_from: None,
    }
}

/// A lock with one of each kind: from a registry and from a URL, for one platform and for all.
fn lock() -> Lockfile {
    let archive = |platform: Platform| LockedArchive {
        platform,
        artifact: artifact(
            "python-build-standalone",
            &format!(
                "20240726/cpython-3.11.9+20240726-{}.tar.gz",
                platform.machine()
            ),
        ),
    };
    let mut direct = wheel("direct", "0.1", &["manifest"]);
    direct.artifact.origin = Origin::Url("https://example.com/direct-0.1.whl".to_owned());
    Lockfile {
        base: None,
        gpu: None,
        built: Vec::new(),
        conda: LockedConda::default(),
        request: Request {
            base: None,
            conda: None,
            gpu: None,
            groups: std::collections::BTreeMap::new(),
            name: "iris".parse().unwrap(),
            platforms: Platform::ALL.to_vec(),
            python: Some("3.11".to_owned()),
            python_from: None,
            requirements: names(&["app"]),
            constraints: Vec::new(),
            overrides: Vec::new(),
            exclude_newer: None,
            prerelease: Prerelease::default(),
            extra_indexes: Vec::new(),
            find_links: Vec::new(),
            no_build: true,
            suite: None,
            snapshot: None,
            security: None,
            packages: Vec::new(),
        },
        interpreter: Some(LockedInterpreter {
            from: InterpreterSource::Standalone,
            version: "3.11.9".to_owned(),
            path: "/opt/python/bin/python3.11".to_owned(),
            archives: Platform::ALL.map(archive).to_vec(),
        }),
        python: vec![
            wheel("app", "1.0+cpu", &["manifest"]),
            direct,
            wheel("library", "2", &["app"]),
        ],
        debian: LockedDebian {
            suites: vec![LockedSuite {
                name: "bookworm".to_owned(),
                registry: "debian".parse().unwrap(),
                date: epoch(),
            }],
            packages: vec![
                package("libc6", "2.36-9+deb12u10", &["base", "libstdc++6"]),
                package("libstdc++6", "12.2.0-14", &["manifest"]),
            ],
        },
    }
}
