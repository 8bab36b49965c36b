use crate::base::{Explain as _, Platform};
use crate::lock::tests::gpu::gpu;
use crate::lock::tests::{conda, full, grouped, plain};
use crate::lock::{Affected, CondaRequest, GroupRequest, Request, Stale, satisfies};
use crate::manifest::{
    ChannelPriority, CondaBase, DevicePin, DriverPin, Gpu, GpuVendor, InterpreterSource, Prerelease,
};

fn stale(change: impl FnOnce(&mut Request)) -> Stale {
    let lock = full();
    let mut request = lock.request.clone();
    change(&mut request);
    satisfies(&lock, &request).unwrap_err()
}

#[test]
fn a_lock_answers_its_own_request() {
    for lock in [plain(), full(), conda()] {
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
        let conda = python && debian;
        let affected = Affected {
            python,
            conda,
            debian,
        };
        assert_eq!(stale.affected, affected, "{expected}");
        assert!(stale.hints()[0].contains("envbox lock"));
    }
}

#[test]
fn each_change_of_a_group_is_a_reason_of_its_own() {
    let stale = |change: fn(&mut Request)| {
        let lock = grouped();
        let mut request = lock.request.clone();
        change(&mut request);
        satisfies(&lock, &request).unwrap_err()
    };
    fn dev(request: &mut Request) -> &mut GroupRequest {
        request.groups.get_mut(&"dev".parse().unwrap()).unwrap()
    }
    const PYTHON: Affected = Affected {
        python: true,
        ..Affected::NONE
    };
    const CONDA: Affected = Affected {
        conda: true,
        ..Affected::NONE
    };
    const DEBIAN: Affected = Affected {
        debian: true,
        ..Affected::NONE
    };
    type Case = (fn(&mut Request), &'static str, Affected);
    let cases: [Case; 6] = [
        (
            |request| {
                request.groups.remove(&"empty".parse().unwrap());
            },
            "the group `empty` was removed",
            Affected::NONE,
        ),
        (
            |request| {
                let group = GroupRequest {
                    requirements: vec!["pytest".to_owned()],
                    ..GroupRequest::default()
                };
                request.groups.insert("test".parse().unwrap(), group);
            },
            "the group `test` was added; \
             the requirement `pytest` of the group `test` was added",
            PYTHON,
        ),
        (
            |request| dev(request).requirements.truncate(1),
            "the requirement `pandas>=2` of the group `dev` was removed",
            PYTHON,
        ),
        (
            |request| dev(request).packages.push("tree".parse().unwrap()),
            "the Debian package `tree` of the group `dev` was added",
            DEBIAN,
        ),
        (
            |request| dev(request).packages.clear(),
            "the Debian package `git` of the group `dev` was removed",
            DEBIAN,
        ),
        (
            |request| dev(request).conda.push("scipy".to_owned()),
            "the conda dependency `scipy` of the group `dev` was added",
            CONDA,
        ),
    ];
    for (change, expected, affected) in cases {
        let stale = stale(change);
        let whole = format!("the lockfile does not answer the manifest: {expected}");
        assert_eq!(stale.to_string(), whole);
        assert_eq!(stale.affected, affected, "{expected}");
    }
}

#[test]
fn each_change_of_the_conda_request_is_a_reason_of_its_own() {
    const CONDA: Affected = Affected {
        conda: true,
        ..Affected::NONE
    };
    const DEBIAN: Affected = Affected {
        debian: true,
        ..Affected::NONE
    };
    type Case = (fn(&mut CondaRequest), &'static str, Affected);
    let cases: [Case; 15] = [
        (
            |request| request.channels.reverse(),
            "the channels changed from `lab`, `conda-forge` to `conda-forge`, `lab`",
            CONDA,
        ),
        (
            |request| request.channel_priority = ChannelPriority::Strict,
            "`channel-priority` changed from `flexible` to `strict`",
            CONDA,
        ),
        (
            |request| request.dependencies.push("scipy".to_owned()),
            "the conda dependency `scipy` was added",
            CONDA,
        ),
        (
            |request| request.dependencies.truncate(1),
            "the conda dependency `several[version='>=1']` was removed",
            CONDA,
        ),
        (
            |request| request.constraints.push("scipy <2".to_owned()),
            "the conda constraint `scipy <2` was added",
            CONDA,
        ),
        (
            |request| request.constraints.clear(),
            "the conda constraint `blas <3` was removed",
            CONDA,
        ),
        (
            |request| request.exclude_newer = None,
            "`exclude-newer` of `[conda]` changed from `2026-11-01T00:00:00Z` to nothing",
            CONDA,
        ),
        (
            |request| request.virtual_packages.push("__osx=14".to_owned()),
            "the virtual package `__osx=14` was added",
            CONDA,
        ),
        (
            |request| request.virtual_packages.truncate(1),
            "the virtual package `__cuda=12.4` was removed",
            CONDA,
        ),
        (
            |request| request.python_names.push("x=y".to_owned()),
            "the entry `x=y` of `python-names` was added",
            CONDA,
        ),
        (
            |request| request.python_names.truncate(1),
            "the entry `some-meta=` of `python-names` was removed",
            CONDA,
        ),
        (
            |request| request.link_scripts.push("x".parse().unwrap()),
            "the link script of `x` was allowed",
            Affected::NONE,
        ),
        (
            |request| request.link_scripts.clear(),
            "the link script of `several` is no longer allowed",
            Affected::NONE,
        ),
        (
            |request| request.base = CondaBase::Debian,
            "`[conda] base` changed from `glibc` to `debian`",
            DEBIAN,
        ),
        (
            |request| request.dependencies[0] = "numpy".to_owned(),
            "the conda dependency `numpy` was added; \
             the conda dependency `numpy 1.26.*` was removed",
            CONDA,
        ),
    ];
    let lock = conda();
    for (change, expected, affected) in cases {
        let mut request = lock.request.clone();
        change(request.conda.as_mut().unwrap());
        let stale = satisfies(&lock, &request).unwrap_err();
        let whole = format!("the lockfile does not answer the manifest: {expected}");
        assert_eq!(stale.to_string(), whole);
        assert_eq!(stale.affected, affected, "{expected}");
    }
    for (from, to, expected) in [
        (conda(), full(), "`[conda]` was removed"),
        (full(), conda(), "`[conda]` was added"),
    ] {
        let stale = satisfies(&from, &to.request).unwrap_err();
        assert!(stale.to_string().ends_with(expected), "{stale}");
        assert_eq!(stale.affected, Affected::ALL);
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

#[test]
fn each_change_of_a_gpu_is_a_reason_of_its_own() {
    type Case = (fn(&mut Request), &'static str);
    let cases: [Case; 6] = [
        (|request| request.gpu = None, "`[gpu]` was removed"),
        (
            |request| request.gpu.as_mut().unwrap().vendor = GpuVendor::Amd,
            "`[gpu] vendor` changed from `nvidia` to `amd`",
        ),
        (
            |request| request.gpu.as_mut().unwrap().cuda = None,
            "`[gpu] cuda` changed from `12.4` to nothing",
        ),
        (
            |request| request.gpu.as_mut().unwrap().driver = DriverPin::None,
            "`[gpu] driver` changed from `branch` to `none`",
        ),
        (
            |request| request.gpu.as_mut().unwrap().device = DevicePin::Record,
            "`[gpu] device` changed from `require` to `record`",
        ),
        (
            |request| request.gpu = Some(Gpu::default()),
            "`[gpu] cuda` changed from `12.4` to nothing; `[gpu] driver` changed from `branch` to \
             `exact`; `[gpu] device` changed from `require` to `record`",
        ),
    ];
    let lock = gpu();
    for (change, expected) in cases {
        let mut request = lock.request.clone();
        change(&mut request);
        let stale = satisfies(&lock, &request).unwrap_err();
        let whole = format!("the lockfile does not answer the manifest: {expected}");
        assert_eq!(stale.to_string(), whole);
        assert_eq!(stale.affected, Affected::NONE);
    }
    let mut request = full().request;
    request.gpu = Some(Gpu::default());
    let stale = satisfies(&full(), &request).unwrap_err();
    assert!(stale.to_string().ends_with("`[gpu]` was added"));
}
