//! Registries that fail.

use std::time::Duration;

use crate::resolve::python::tests::Case;
use crate::resolve::python::tests::http::{Answer, Server, nobody};
use crate::resolve::python::tests::making::{Release, Style, serve_index, write_index};
use crate::resolve::python::{PythonError, RegistryFailure};

fn failing(answers: Vec<Answer>) -> (Server, Case) {
    let server = Server::start();
    server.answers("/simple/app/", answers);
    let case = Case::new(&format!("{}/simple", server.url()), &["app"]);
    (server, case)
}

fn first_line(case: &Case) -> String {
    case.report().lines().next().unwrap().to_owned()
}

#[test]
fn a_failing_index_is_named_with_the_project() {
    let (_server, case) = failing(vec![Answer::Status(500, Vec::new())]);
    assert_eq!(
        first_line(&case),
        "Network error: the registry `pypi` answered 500 for `app`"
    );
    let (_server, case) = failing(vec![Answer::Typed(
        b"{".to_vec(),
        "application/vnd.pypi.simple.v1+json",
    )]);
    assert_eq!(
        first_line(&case),
        "Network error: the registry `pypi` gave a malformed answer for `app`"
    );
    let (_server, case) = failing(vec![Answer::HangUp]);
    assert_eq!(
        first_line(&case),
        "Network error: the registry `pypi` could not be reached for `app`"
    );
    for answer in [
        Answer::Truncated(b"<html></html>".to_vec(), 6),
        Answer::Lying(b"<html></html>".to_vec(), 100),
    ] {
        let (_server, case) = failing(vec![answer]);
        assert_eq!(
            first_line(&case),
            "Network error: the registry `pypi` broke off its answer for `app`"
        );
    }
    let case = Case::new(&nobody(), &["app"]);
    assert_eq!(
        first_line(&case),
        "Network error: the registry `pypi` could not be reached for `app`"
    );
    let (_server, case) = failing(vec![Answer::Silence]);
    let case = case.read_timeout(Duration::from_millis(50));
    assert_eq!(
        first_line(&case),
        "Network error: the registry `pypi` did not answer in time for `app`"
    );
}

#[test]
fn a_hiccup_is_survived() {
    let server = Server::start();
    let url = serve_index(
        &server,
        "/files/",
        &[Release::wheel("app", "1")],
        Style::Json,
    );
    let metadata = b"Metadata-Version: 2.1\nName: app\nVersion: 1\n".to_vec();
    let answers = vec![Answer::Status(503, Vec::new()), Answer::Bytes(metadata)];
    server.answers("/files/app-1-py3-none-any.whl.metadata", answers);
    assert_eq!(Case::new(&url, &["app"]).pins(), ["app==1"]);
}

#[test]
fn a_failing_wheel_is_named_with_its_registry() {
    let server = Server::start();
    let url = serve_index(
        &server,
        "/simple/app/",
        &[Release::wheel("app", "1")],
        Style::Json,
    );
    server.answers(
        "/simple/app/app-1-py3-none-any.whl.metadata",
        vec![Answer::Status(500, Vec::new())],
    );
    match Case::new(&url, &["app"]).resolve() {
        Err(PythonError::Registry {
            registry,
            item,
            failure,
            ..
        }) => {
            assert_eq!(registry.unwrap().as_str(), "pypi");
            assert_eq!(item, "app/app-1-py3-none-any.whl.metadata");
            assert_eq!(failure, RegistryFailure::Status(500));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_forbidden_index_asks_for_credentials() {
    let (_server, case) = failing(vec![Answer::Status(401, Vec::new())]);
    insta::assert_snapshot!(case.report(), @r"
    Network error: the registry `pypi` answered 401 for `app`
    caused by: Because app was not found in the package registry and you require app, we can conclude that your requirements are unsatisfiable.
    hint: put a user name and password into the registry's URL
    ");
}

#[test]
fn a_store_that_cannot_be_written_is_the_hosts_affair() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), &[]);
    let mut case = Case::new(&url, &["a"]);
    // A file where a directory should be: permissions would not stop root.
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    case.context.store = file;
    let report = case.report();
    assert!(
        report.starts_with("Host error: failed to open the index cache `"),
        "{report}"
    );
    assert!(report.contains("ENVBOX_STORE"), "{report}");
}

#[test]
fn a_location_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), &[]);
    let report = Case::new(&url, &["a"])
        .find_links("wheels", "./wheels")
        .report();
    assert!(
        report.starts_with("User error: `./wheels` is no URL and no absolute path"),
        "{report}"
    );
    let report = Case::new(&url, &["a"])
        .find_links("wheels", "/nowhere/at/all")
        .report();
    assert!(
        report.starts_with("User error: failed to read the find-links registry `wheels`"),
        "{report}"
    );
    let report = Case::new("file:///nowhere/at/all", &["a"]).report();
    assert!(
        report.starts_with(
            "User error: the registry `pypi` is at `/nowhere/at/all`, which is no directory"
        ),
        "{report}"
    );
}
