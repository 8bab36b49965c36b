//! Another tool's choices.

use uv_pep508::MarkerTree;

use crate::base::Digest;
use crate::resolve::python::tests::Case;
use crate::resolve::python::tests::making::{Release, write_index};
use crate::resolve::{PinSource, PinnedFile, PythonPin, Unkept};

fn pin(name: &str, version: &str, files: &[&Release]) -> PythonPin {
    let file = |release: &&Release| PinnedFile {
        file: Some(release.file()),
        size: Some(release.bytes().len() as u64),
        digest: release.digest(),
    };
    PythonPin {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        marker: MarkerTree::TRUE,
        source: PinSource::Index(None),
        files: files.iter().map(file).collect(),
    }
}

/// An index, and a case that asks it for `requirements` with `pins`.
fn case(
    releases: &[Release],
    requirements: &[&str],
    pins: Vec<PythonPin>,
) -> (tempfile::TempDir, Case) {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), releases);
    let mut case = Case::new(&url, requirements);
    case.pins.python = pins;
    (directory, case)
}

fn app() -> [Release; 4] {
    [
        Release::wheel("app", "1").extra("fast", "library"),
        Release::wheel("app", "2"),
        Release::wheel("library", "1"),
        Release::wheel("library", "2"),
    ]
}

#[test]
fn pins_decide_versions_and_leave_extras_alone() {
    let releases = app();
    let pins = vec![pin("app", "1", &[]), pin("library", "1", &[&releases[2]])];
    let (_index, case) = case(&releases, &["app[fast]"], pins);
    assert_eq!(case.pins(), ["app==1", "library==1"]);
}

#[test]
fn a_pin_that_is_not_needed_brings_nothing_in() {
    let releases = app();
    let (_index, case) = case(&releases, &["app"], vec![pin("library", "1", &[])]);
    assert_eq!(case.pins(), ["app==2"]);
}

#[test]
fn of_several_files_the_pinned_one_is_taken() {
    let releases = [
        Release::wheel("app", "1"),
        Release::wheel("app", "1").tag("cp311-cp311-manylinux_2_17_x86_64"),
    ];
    for release in &releases {
        let pins = vec![pin("app", "1", &[release])];
        let (_index, case) = case(&releases, &["app"], pins);
        assert_eq!(case.resolve().unwrap()[0].artifact.file, release.file());
    }
}

#[test]
fn markers_choose_between_pins_of_one_name() {
    let releases = app();
    let mut old = pin("app", "1", &[]);
    old.marker = "python_version >= '3.12'".parse().unwrap();
    let mut new = pin("app", "2", &[]);
    new.marker = "python_version < '3.12'".parse().unwrap();
    let (_index, mut case) = case(&releases, &["app"], vec![old, new]);
    assert_eq!(case.pins(), ["app==2"]);
    case.version = "3.12.1".to_owned();
    assert_eq!(case.pins(), ["app==1"]);
}

#[test]
fn what_is_not_as_pinned_is_told() {
    let releases = [Release::wheel("app", "1"), Release::sdist("sources", "1")];
    let mut other_file = pin("app", "1", &[]);
    other_file.files.push(PinnedFile {
        file: Some(releases[0].file()),
        size: None,
        digest: Digest::of(b"another"),
    });
    let mut other_size = pin("app", "1", &[&releases[0]]);
    other_size.files[0].size = Some(7);
    let mut directory = pin("app", "1", &[]);
    directory.source = PinSource::Unkept(Unkept::Directory);
    let mut repository = pin("gone", "1", &[]);
    repository.source = PinSource::Unkept(Unkept::Repository);
    let mut shown = String::new();
    for (requirement, pin) in [
        ("app", other_file),
        ("app", other_size),
        ("app", directory),
        ("gone", repository),
        ("sources", pin("sources", "1", &[])),
        ("app>1", pin("app", "1", &[])),
    ] {
        let (_index, case) = case(&releases, &[requirement], vec![pin]);
        shown += &case.report();
        shown += "\n\n";
    }
    insta::assert_snapshot!(shown, @r#"
    Integrity error: the registry `pypi` has sha256:de919296d7f84ae8393ae05ed2d30db2b0b3f384e632c615b408d9aee121c893 for `app-1-py3-none-any.whl`, and the other tool's lockfile has sha256:ae448ac86c4e8e4dec645729708ef41873ae79c6dff84eff73360989487f08e5
    hint: use a registry that has the same files, or import the lockfile that belongs to it


    Integrity error: the registry `pypi` has 486 bytes for `app-1-py3-none-any.whl`, and the other tool's lockfile has 7 bytes
    hint: use a registry that has the same files, or import the lockfile that belongs to it


    User error: no lock can hold `app` (it is a directory of the machine)
    hint: go without `app` by `overrides = ["app; python_version < '0'"]` in [python], or build a wheel of it and list its directory in `find-links`


    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because gone was not found in the package registry and you require gone, we can conclude that your requirements are unsatisfiable.
    hint: check the spelling of what was not found, and whether it is in one of `pypi`
    hint: `gone` of the other tool's lockfile cannot be kept: it comes from a repository of sources
    hint: if a pin of the other tool's lockfile, `==`, contradicts the manifest, loosen the manifest or lock anew with that tool


    User error: no wheel fits Python 3.11.2 on linux/amd64 for `sources` 1
    hint: build the missing wheels, and list the directory that holds them in `find-links`


    User error: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because you require app>1 and app==1, we can conclude that your requirements are unsatisfiable.
    hint: if a pin of the other tool's lockfile, `==`, contradicts the manifest, loosen the manifest or lock anew with that tool
    "#);
}

#[test]
fn pins_for_other_environments_are_refused() {
    let releases = app();
    let (_index, mut case) = case(&releases, &["app"], vec![pin("app", "1", &[])]);
    case.pins.environments = vec!["sys_platform == 'win32'".parse().unwrap()];
    insta::assert_snapshot!(case.report(), @r"
    User error: the other tool's lockfile is not for Python 3.11.2 on linux/amd64, but for sys_platform == 'win32'
    hint: set `python` and `platforms` in [environment] to what it is for
    ");
    case.pins
        .environments
        .push("sys_platform == 'linux'".parse().unwrap());
    assert_eq!(case.pins(), ["app==1"]);
}
