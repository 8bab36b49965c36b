use std::path::Path;

use proptest::prelude::*;

use crate::base::{Digest, Platform};
use crate::lock::{
    Artifact, LockError, LockedDebian, LockedInterpreter, LockedPackage, LockedSuite, LockedWheel,
    Lockfile, Origin, Request, StaleReason, diff, satisfies,
};
use crate::manifest::{InterpreterSource, Prerelease};

fn wheel(name: &str, version: &str) -> LockedWheel {
    LockedWheel {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        platforms: vec![Platform::LinuxAmd64],
        artifact: Artifact {
            origin: Origin::Registry("pypi".parse().unwrap()),
            file: format!("{}-{version}-py3-none-any.whl", name.replace('-', "_")),
            size: 7,
            digest: Digest::of(name.as_bytes()),
        },
        required_by: vec!["manifest".to_owned()],
    }
}

fn package(name: &str, version: &str) -> LockedPackage {
    LockedPackage {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        platforms: vec![Platform::LinuxAmd64],
        artifact: Artifact {
            origin: Origin::Registry("debian".parse().unwrap()),
            file: format!("pool/main/x/{name}_{version}_amd64.deb"),
            size: 9,
            digest: Digest::of(name.as_bytes()),
        },
        required_by: vec!["base".to_owned()],
    }
}

fn sample() -> Lockfile {
    Lockfile {
        request: Request {
            name: "iris".parse().unwrap(),
            platforms: vec![Platform::LinuxAmd64],
            python: Some("3.11".to_owned()),
            python_from: None,
            requirements: vec!["numpy".to_owned(), "pandas>=2".to_owned()],
            constraints: Vec::new(),
            overrides: Vec::new(),
            exclude_newer: Some("2026-11-01T00:00:00Z".parse().unwrap()),
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
            from: InterpreterSource::Debian,
            version: "3.11.2".to_owned(),
            path: "/usr/bin/python3.11".to_owned(),
            archives: Vec::new(),
        }),
        python: vec![wheel("numpy", "2.1.3"), wheel("pandas", "2.2.3")],
        debian: LockedDebian {
            suites: vec![LockedSuite {
                name: "bookworm".to_owned(),
                registry: "debian".parse().unwrap(),
                date: "2026-05-16T10:00:00Z".parse().unwrap(),
            }],
            packages: vec![
                package("dash", "0.5.12-2"),
                package("libc6", "2.36-9+deb12u10"),
            ],
        },
    }
}

fn parse(text: &str) -> Result<Lockfile, LockError> {
    Lockfile::parse(text.as_bytes(), Path::new("envbox.lock"))
}

fn text() -> String {
    String::from_utf8(sample().to_bytes()).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    assert_eq!(parse(&text()).unwrap(), sample());
}

#[test]
fn the_written_form_is_stable() {
    insta::assert_snapshot!(text());
}

#[test]
fn every_tampering_has_its_own_error() {
    let good = text();
    let cases: [(String, &str); 8] = [
        (good.replace("version = 1\n", "version = 2\n"), "version 2"),
        (
            good.replace("version = \"2.1.3\"", "version = \"2.1.4\""),
            "cannot be",
        ),
        (good.replace("size = 7", "size = 8"), "edited by hand"),
        (
            good.replace("name = \"dash\"", "name  = \"dash\""),
            "not as `envbox lock` writes",
        ),
        (
            good.replace("[request]", "<<<<<<< ours\n[request]"),
            "merge conflict",
        ),
        (good.replace("no-build", "no-biuld"), "failed to parse"),
        (
            good.replace("name = \"dash\"", "name = \"zash\""),
            "out of order",
        ),
        (
            good.replace("file = \"pool/", "file = \"../pool/"),
            "cannot be",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(&text).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error} should say {expected}");
        assert!(
            error.contains("envbox.lock"),
            "{error} should name the file"
        );
    }
}

#[test]
fn each_change_of_the_request_is_a_reason_of_its_own() {
    let lock = sample();
    let mut request = lock.request.clone();
    assert_eq!(satisfies(&lock, &request), Ok(()));
    request.requirements = vec!["numpy".to_owned(), "scipy".to_owned()];
    request.python = Some("3.13".to_owned());
    let stale = satisfies(&lock, &request).unwrap_err();
    assert_eq!(
        stale.reasons,
        [
            StaleReason::Changed {
                key: "[environment] python",
                locked: "`3.11`".to_owned(),
                asked: "`3.13`".to_owned(),
            },
            StaleReason::Added {
                list: "[python] requirements",
                item: "scipy".to_owned()
            },
            StaleReason::Removed {
                list: "[python] requirements",
                item: "pandas>=2".to_owned()
            },
        ]
    );
    assert!(stale.affected.debian && stale.affected.python);
}

#[test]
fn a_changed_requirement_leaves_the_base_alone() {
    let lock = sample();
    let mut request = lock.request.clone();
    request.requirements.pop();
    assert!(!satisfies(&lock, &request).unwrap_err().affected.debian);
}

#[test]
fn a_diff_names_what_moved() {
    let old = sample();
    let mut new = sample();
    new.python[0] = wheel("numpy", "2.2.0");
    new.debian.packages.pop();
    let changes = diff(&old, &new);
    let names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, ["libc6", "numpy"]);
    assert_eq!(changes[1].after, ["2.2.0"]);
}

proptest! {
    #[test]
    fn any_text_survives_the_round_trip(requirement in "\\PC*", control in "[\\x00-\\x1f\"\\\\]*") {
        let mut lock = sample();
        lock.request.requirements = vec![requirement, control];
        let bytes = lock.to_bytes();
        prop_assert_eq!(Lockfile::parse(&bytes, Path::new("envbox.lock")).unwrap(), lock);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(Lockfile::parse(&bytes, Path::new("envbox.lock")).is_err());
    }
}
