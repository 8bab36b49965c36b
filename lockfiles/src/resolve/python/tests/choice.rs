//! Which versions are chosen.

use std::collections::BTreeSet;

use crate::base::Platform;
use crate::manifest::Prerelease;
use crate::resolve::Upgrade;
use crate::resolve::python::tests::Case;
use crate::resolve::python::tests::making::{Release, write_index};

fn index(releases: &[Release]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), releases);
    (directory, url)
}

fn wheel(project: &str, version: &str) -> Release {
    Release::wheel(project, version)
}

#[test]
fn extras_markers_and_who_asked() {
    let (_index, url) = index(&[
        wheel("app", "1.0")
            .extra("plot", "plotter>=2")
            .requires("base")
            .requires("old-python ; python_version < '3.10'")
            .requires("windows-only ; sys_platform == 'win32'")
            .requires("arm-only ; platform_machine == 'aarch64'"),
        wheel("plotter", "1.0"),
        wheel("plotter", "2.1").requires("base>=1"),
        wheel("base", "1.5"),
        wheel("arm-only", "3.0"),
    ]);
    let mut case = Case::new(&url, &["app[plot]"]);
    assert_eq!(case.pins(), ["app==1.0", "base==1.5", "plotter==2.1"]);
    let wheels = case.resolve().unwrap();
    let asked: Vec<_> = wheels
        .iter()
        .map(|wheel| wheel.required_by.join(" "))
        .collect();
    assert_eq!(asked, ["manifest", "app plotter", "app"]);
    case.platform = Platform::LinuxArm64;
    assert_eq!(
        case.pins(),
        ["app==1.0", "arm-only==3.0", "base==1.5", "plotter==2.1"]
    );
}

#[test]
fn constraints_limit_and_overrides_replace() {
    let (_index, url) = index(&[
        wheel("app", "1.0").requires("base<2"),
        wheel("base", "1.0"),
        wheel("base", "1.5"),
        wheel("base", "2.0"),
        wheel("unused", "1.0"),
    ]);
    let case = Case::new(&url, &["app"]);
    assert_eq!(case.pins(), ["app==1.0", "base==1.5"]);
    let case = case.constraints(&["base<1.5", "unused"]);
    assert_eq!(case.pins(), ["app==1.0", "base==1.0"]);
    let case = Case::new(&url, &["app"]).overrides(&["base==2.0"]);
    assert_eq!(case.pins(), ["app==1.0", "base==2.0"]);
}

#[test]
fn files_newer_than_the_date_are_not_there() {
    let (_index, url) = index(&[
        wheel("app", "1.0").uploaded("2024-01-01T00:00:00Z"),
        wheel("app", "2.0").uploaded("2025-01-01T00:00:00Z"),
    ]);
    let mut case = Case::new(&url, &["app"]);
    assert_eq!(case.pins(), ["app==2.0"]);
    case.python.exclude_newer = Some("2024-06-01T00:00:00Z".parse().unwrap());
    assert_eq!(case.pins(), ["app==1.0"]);
    case.python.requirements = vec!["app>=2".to_owned()];
    let report = case.report();
    assert!(report.contains("only app==1.0 is available"), "{report}");
}

#[test]
fn pre_releases_follow_the_policy() {
    let (_index, url) = index(&[
        wheel("app", "1.0"),
        wheel("app", "2.0rc1"),
        wheel("only-pre", "0.1a1"),
    ]);
    for (policy, requirements, expected) in [
        (
            Prerelease::IfNecessaryOrExplicit,
            &["app"][..],
            Some("app==1.0"),
        ),
        (
            Prerelease::IfNecessaryOrExplicit,
            &["app>=2.0rc1"],
            Some("app==2.0rc1"),
        ),
        (
            Prerelease::IfNecessaryOrExplicit,
            &["only-pre"],
            Some("only-pre==0.1a1"),
        ),
        (Prerelease::Disallow, &["app>=2.0rc1"], None),
        (Prerelease::Disallow, &["only-pre"], None),
        (Prerelease::Allow, &["app"], Some("app==2.0rc1")),
        (Prerelease::Explicit, &["only-pre"], None),
        (Prerelease::Explicit, &["app>=2.0rc1"], Some("app==2.0rc1")),
        (
            Prerelease::IfNecessary,
            &["only-pre"],
            Some("only-pre==0.1a1"),
        ),
    ] {
        let mut case = Case::new(&url, requirements);
        case.python.prerelease = policy;
        match expected {
            Some(pin) => assert_eq!(case.pins(), [pin], "{policy:?}"),
            None => {
                let report = case.report();
                assert!(
                    report.starts_with("User error: no set of versions"),
                    "{report}"
                );
                assert!(report.contains("prerelease = \"allow\""), "{report}");
            }
        }
    }
}

#[test]
fn a_yanked_version_needs_to_be_named() {
    let (_index, url) = index(&[wheel("app", "1.0"), wheel("app", "2.0").yanked("broken")]);
    assert_eq!(Case::new(&url, &["app"]).pins(), ["app==1.0"]);
    assert_eq!(Case::new(&url, &["app==2.0"]).pins(), ["app==2.0"]);
    let report = Case::new(&url, &["app>=2"]).report();
    assert!(
        report.contains("app==2.0 was yanked (reason: broken)"),
        "{report}"
    );
}

#[test]
fn conflicts_are_told_in_uvs_words() {
    let (_index, url) = index(&[
        wheel("app", "1.0").requires("base<2"),
        wheel("tool", "1.0").requires("base>=2"),
        wheel("base", "1.0"),
        wheel("base", "2.0"),
    ]);
    insta::assert_snapshot!(Case::new(&url, &["app", "tool"]).report(), @r"
    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because all versions of tool depend on base>=2 and all versions of app depend on base<2, we can conclude that all versions of app and all versions of tool are incompatible.
    And because you require app and tool, we can conclude that your requirements are unsatisfiable.
    ");
    insta::assert_snapshot!(Case::new(&url, &["ap"]).extra_index("extra-1", &url).report(), @r#"
    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because ap was not found in the package registry and you require ap, we can conclude that your requirements are unsatisfiable.
    hint: check the spelling of what was not found, and whether it is in one of `extra-1`, `pypi`
    hint: did you mean `app`?
    "#);
}

#[test]
fn the_python_version_decides() {
    let (_index, url) = index(&[
        wheel("app", "1.0").python(">=3.8"),
        wheel("app", "2.0").python(">=3.12"),
    ]);
    let mut case = Case::new(&url, &["app"]);
    assert_eq!(case.pins(), ["app==1.0"]);
    case.version = "3.13.5".to_owned();
    assert_eq!(case.pins(), ["app==2.0"]);
    case.version = "3.11.2".to_owned();
    case.python.requirements = vec!["app>=2".to_owned()];
    insta::assert_snapshot!(case.report(), @r"
    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because the current Python version (3.11.2) does not satisfy Python>=3.12 and app==2.0 depends on Python>=3.12, we can conclude that app==2.0 cannot be used.
    And because only app<=2.0 is available and you require app>=2, we can conclude that your requirements are unsatisfiable.
    ");
}

#[test]
fn the_best_wheel_for_the_target_is_chosen() {
    let (_index, url) = index(&[
        wheel("fast", "1.0"),
        wheel("fast", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64"),
        wheel("fast", "1.0").tag("cp311-cp311-manylinux_2_38_x86_64"),
        wheel("fast", "1.0").tag("cp39-abi3-manylinux_2_28_x86_64"),
        wheel("fast", "1.0").tag("cp311-cp311-manylinux_2_17_aarch64"),
    ]);
    let mut case = Case::new(&url, &["fast"]);
    let file = |case: &Case| case.resolve().unwrap()[0].artifact.file.clone();
    assert_eq!(
        file(&case),
        "fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    );
    case.glibc = (2, 41);
    assert_eq!(
        file(&case),
        "fast-1.0-cp311-cp311-manylinux_2_38_x86_64.whl"
    );
    case.version = "3.13.5".to_owned();
    assert_eq!(file(&case), "fast-1.0-cp39-abi3-manylinux_2_28_x86_64.whl");
    case.glibc = (2, 17);
    assert_eq!(file(&case), "fast-1.0-py3-none-any.whl");
}

#[test]
fn platforms_are_kept_in_line() {
    let (_index, url) = index(&[
        wheel("app", "1.0"),
        wheel("app", "2.0").tag("py3-none-manylinux_2_17_x86_64"),
        wheel("app", "2.0").tag("py3-none-manylinux_2_17_aarch64"),
        wheel("app", "3.0").tag("py3-none-manylinux_2_17_aarch64"),
        wheel("only", "1.0"),
        wheel("only", "2.0").tag("py3-none-manylinux_2_17_x86_64"),
    ]);
    let mut case = Case::new(&url, &["app", "only"]);
    assert_eq!(case.pins(), ["app==2.0", "only==2.0"]);
    case.siblings = case.resolve().unwrap();
    case.platform = Platform::LinuxArm64;
    assert_eq!(case.pins(), ["app==2.0", "only==1.0"]);
    case.siblings.clear();
    assert_eq!(case.pins(), ["app==3.0", "only==1.0"]);
}

#[test]
fn the_order_of_requirements_does_not_matter() {
    // With two solutions, uv prefers the newest of what it looks at first.
    let (_index, url) = index(&[
        wheel("a", "1"),
        wheel("a", "2").requires("b<2"),
        wheel("b", "1"),
        wheel("b", "2").requires("a<2"),
    ]);
    let pins = Case::new(&url, &["a", "b"]).pins();
    assert_eq!(Case::new(&url, &["b", "a"]).pins(), pins);
}

#[test]
fn locked_versions_stay_until_they_may_move() {
    let (directory, url) = index(&[wheel("app", "1.0").requires("base"), wheel("base", "1.0")]);
    let mut case = Case::new(&url, &["app"]);
    case.previous = case.resolve().unwrap();
    write_index(
        directory.path(),
        &[
            wheel("app", "1.0").requires("base"),
            wheel("app", "2.0").requires("base"),
            wheel("base", "1.0"),
            wheel("base", "2.0"),
        ],
    );
    assert_eq!(case.resolve().unwrap(), case.previous);
    case.upgrade = Upgrade::Packages(BTreeSet::from(["Base".to_owned()]));
    assert_eq!(case.pins(), ["app==1.0", "base==2.0"]);
    case.upgrade = Upgrade::All;
    assert_eq!(case.pins(), ["app==2.0", "base==2.0"]);
    // A kept version that no longer fits moves by itself.
    case.upgrade = Upgrade::None;
    case.python.constraints = vec!["app>1".to_owned()];
    assert_eq!(case.pins(), ["app==2.0", "base==1.0"]);
}
