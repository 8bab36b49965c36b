use crate::base::{Explain as _, Platform};
use crate::lock::tests::{full, plain};
use crate::lock::{Affected, Request, Stale, satisfies};
use crate::manifest::{InterpreterSource, Prerelease};

fn stale(change: impl FnOnce(&mut Request)) -> Stale {
    let lock = full();
    let mut request = lock.request.clone();
    change(&mut request);
    satisfies(&lock, &request).unwrap_err()
}

#[test]
fn a_lock_answers_its_own_request() {
    for lock in [plain(), full()] {
        assert_eq!(satisfies(&lock, &lock.request), Ok(()));
    }
}

#[test]
fn each_change_of_the_request_is_a_reason_of_its_own() {
    type Case = (fn(&mut Request), &'static str, (bool, bool));
    let cases: [Case; 22] = [
        (
            |request| request.name = "other".parse().unwrap(),
            "the environment's name changed from `iris` to `other`",
            (false, false),
        ),
        (
            |request| request.platforms = vec![Platform::LinuxArm64],
            "the platform `linux/amd64` was removed",
            (true, true),
        ),
        (
            |request| request.python = None,
            "the Python version changed from `3.12.9` to nothing",
            (true, true),
        ),
        (
            |request| request.python_from = Some(InterpreterSource::Debian),
            "the interpreter's source changed from `standalone` to `debian`",
            (true, true),
        ),
        (
            |request| request.requirements.push("scipy".to_owned()),
            "the requirement `scipy` was added",
            (true, false),
        ),
        (
            |request| request.requirements.retain(|text| text != "numpy"),
            "the requirement `numpy` was removed",
            (true, false),
        ),
        (
            |request| request.constraints.push("scipy<2".to_owned()),
            "the constraint `scipy<2` was added",
            (true, false),
        ),
        (
            |request| request.constraints.clear(),
            "the constraint `numpy<3` was removed",
            (true, false),
        ),
        (
            |request| request.overrides.push("scipy==1".to_owned()),
            "the override `scipy==1` was added",
            (true, false),
        ),
        (
            |request| request.overrides.clear(),
            "the override `pandas==2.2.3 ; python_full_version >= '3.9'` was removed",
            (true, false),
        ),
        (
            |request| request.exclude_newer = None,
            "`exclude-newer` changed from `2026-11-01T00:00:00Z` to nothing",
            (true, false),
        ),
        (
            |request| request.prerelease = Prerelease::IfNecessary,
            "`prerelease` changed from `allow` to `if-necessary`",
            (true, false),
        ),
        (
            |request| request.extra_indexes.reverse(),
            "`extra-index-urls` changed from `own`, `extra-2` to `extra-2`, `own`",
            (true, false),
        ),
        (
            |request| request.find_links.clear(),
            "`find-links` changed from `find-links-1` to nothing",
            (true, false),
        ),
        (
            |request| request.no_build = false,
            "`no-build` changed from `true` to `false`",
            (true, false),
        ),
        (
            |request| request.suite = Some("bookworm".to_owned()),
            "the Debian suite changed from `trixie` to `bookworm`",
            (true, true),
        ),
        (
            |request| request.snapshot = None,
            "the Debian snapshot changed from `20261101T000000Z` to nothing",
            (false, true),
        ),
        (
            |request| request.security = Some(false),
            "`[debian] security` changed from `true` to `false`",
            (false, true),
        ),
        (
            |request| request.packages.push("tree".parse().unwrap()),
            "the Debian package `tree` was added",
            (false, true),
        ),
        (
            |request| {
                request.base = Some("images/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap())
            },
            "`[base] image` changed from nothing to `images/a@sha256:\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`",
            (true, true),
        ),
        (
            |request| request.packages.clear(),
            "the Debian package `libgomp1` was removed",
            (false, true),
        ),
        (
            |request| request.requirements[0] = "numpy>=2".to_owned(),
            "the requirement `numpy>=2` was added; the requirement `numpy` was removed",
            (true, false),
        ),
    ];
    for (change, expected, (python, debian)) in cases {
        let stale = stale(change);
        let whole = format!("the lockfile does not answer the manifest: {expected}");
        assert_eq!(stale.to_string(), whole);
        assert_eq!(stale.affected, Affected { python, debian }, "{expected}");
        assert!(stale.hints()[0].contains("envbox lock"));
    }
}

#[test]
fn a_new_platform_is_a_reason() {
    let lock = plain();
    let stale = satisfies(&lock, &full().request).unwrap_err();
    assert!(
        stale
            .to_string()
            .contains("the platform `linux/arm64` was added")
    );
}

#[test]
fn reasons_are_machine_readable() {
    let stale = stale(|request| request.python = Some("3.13".to_owned()));
    insta::assert_snapshot!(serde_json::to_string(&stale).unwrap(), @r#"{"reasons":[{"reason":"python-changed","locked":"3.12.9","asked":"3.13"}]}"#);
}
