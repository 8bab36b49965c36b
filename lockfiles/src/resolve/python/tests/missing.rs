//! Packages without a wheel.

use crate::resolve::python::PythonError;
use crate::resolve::python::tests::Case;
use crate::resolve::python::tests::making::{Release, write_index};

#[test]
fn all_packages_without_a_wheel_are_named_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(
        directory.path(),
        &[
            Release::wheel("app", "1.0")
                .requires("source-only")
                .requires("lib>=2"),
            Release::sdist("source-only", "0.3"),
            Release::wheel("lib", "1.0"),
            Release::wheel("lib", "1.1"),
            Release::sdist("lib", "2.0"),
            Release::wheel("lib", "2.0").tag("cp39-cp39-win_amd64"),
            Release::wheel("good", "1.0"),
        ],
    );
    let case = Case::new(&url, &["app", "good"]);
    insta::assert_snapshot!(case.report(), @r"
    User error: no wheel fits Python 3.11.2 on linux/amd64 for `lib` 2.0, `source-only` 0.3
    hint: allow a version of `lib` that has a wheel: 1.1, 1.0
    hint: build the missing wheels, and list the directory that holds them in `find-links`
    ");
    let Err(PythonError::NoWheels { packages, .. }) = case.resolve() else {
        panic!("expected packages without wheels");
    };
    assert_eq!(packages[0].name.as_str(), "lib");
    assert_eq!(packages[0].with_wheel, ["1.1", "1.0"]);
    assert_eq!(packages[1].required_by, ["app"]);
}

#[test]
fn an_older_version_with_a_wheel_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(
        directory.path(),
        &[Release::sdist("lib", "2.0"), Release::wheel("lib", "1.0")],
    );
    assert_eq!(Case::new(&url, &["lib"]).pins(), ["lib==1.0"]);
}

#[test]
fn a_true_conflict_is_not_blamed_on_wheels() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(
        directory.path(),
        &[Release::sdist("a", "1.0"), Release::wheel("b", "1.0")],
    );
    let report = Case::new(&url, &["a", "b>=2"]).report();
    assert!(
        report.starts_with("User error: no set of versions"),
        "{report}"
    );
}

#[test]
fn wheels_for_other_platforms_are_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(
        directory.path(),
        &[
            Release::wheel("a", "1.0").tag("cp311-cp311-win_amd64"),
            Release::wheel("b", "1.0").tag("cp38-cp38-manylinux_2_17_x86_64"),
        ],
    );
    insta::assert_snapshot!(Case::new(&url, &["a"]).report(), @r"
    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because a==1.0 has no wheels with a matching platform tag (e.g., `manylinux_2_36_x86_64`) and only a==1.0 is available, we can conclude that all versions of a cannot be used.
    And because you require a, we can conclude that your requirements are unsatisfiable.
    hint: Wheels are available for `a` (v1.0) on the following platform: `win_amd64`
    ");
    insta::assert_snapshot!(Case::new(&url, &["b"]).report(), @r"
    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because b==1.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and only b==1.0 is available, we can conclude that all versions of b cannot be used.
    And because you require b, we can conclude that your requirements are unsatisfiable.
    hint: You require CPython 3.11 (`cp311`), but we only found wheels for `b` (v1.0) with the following Python ABI tag: `cp38`
    ");
}

#[test]
fn what_a_lock_cannot_hold_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), &[]);
    for (requirement, what) in [
        ("a @ git+https://host.test/a", "a Git repository"),
        ("a @ https://host.test/a-1.tar.gz", "a source archive"),
        (
            "a @ file:///srv/a-1-py3-none-any.whl",
            "a path of this machine",
        ),
        ("a @ file:///srv/a", "a path of this machine"),
    ] {
        let report = Case::new(&url, &[requirement]).report();
        let expected = format!("User error: `{requirement}` in `requirements` is {what}");
        assert!(report.starts_with(&expected), "{report}");
    }
    insta::assert_snapshot!(Case::new(&url, &["a >= "]).report(), @r"
    User error: `a >= ` in `requirements` is not a valid requirement
    caused by: Unexpected end of version specifier, expected version
    a >= 
      ^^^
    ");
}
