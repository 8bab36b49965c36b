//! Locked wheels found again.

use crate::base::{PythonName, RegistryName};
use crate::net::block_on_large_stack;
use crate::resolve::python::WheelLocator;
use crate::resolve::python::tests::Case;
use crate::resolve::python::tests::http::Server;
use crate::resolve::python::tests::making::{
    Release, Style, serve_index, write_index, write_links,
};

fn registry(case: &mut Case, name: &str, url: &str) -> RegistryName {
    let name: RegistryName = name.parse().unwrap();
    case.context.registries.insert(name.clone(), url.to_owned());
    name
}

fn locate(case: &Case, registry: &RegistryName, file: &str) -> Result<String, String> {
    let project: PythonName = "app".parse().unwrap();
    let locator = WheelLocator::new(&case.context);
    let found = block_on_large_stack(|| locator.locate(registry, &project, file));
    found
        .map(|url| url.to_string())
        .map_err(|error| super::report(&error))
}

#[test]
fn after_a_lock_no_index_is_asked() {
    let server = Server::start();
    let releases = [Release::wheel("app", "1"), Release::wheel("app", "2+local")];
    let url = serve_index(&server, "/files/", &releases, Style::Json);
    let mut case = Case::new(&url, &["app"]);
    let name = registry(&mut case, "pypi", &url);
    let file = case.resolve().unwrap().remove(0).artifact.file;
    let asked = server.requests().len();
    let expected = format!("{}/files/app-2+local-py3-none-any.whl", server.url());
    assert_eq!(locate(&case, &name, &file).unwrap(), expected);
    assert_eq!(server.requests().len(), asked);
    // Another file is searched for, and the search is remembered.
    let other = "app-1-py3-none-any.whl";
    let expected = format!("{}/files/{other}", server.url());
    assert_eq!(locate(&case, &name, other).unwrap(), expected);
    let asked = server.requests().len();
    assert_eq!(locate(&case, &name, other).unwrap(), expected);
    assert_eq!(server.requests().len(), asked);
    // Unless the user's registry lies elsewhere now.
    let mirror = Server::start();
    let mirror_url = serve_index(&mirror, "/files/", &releases, Style::BareHtml);
    registry(&mut case, "pypi", &mirror_url);
    let expected = format!("{}/files/{other}", mirror.url());
    assert_eq!(locate(&case, &name, other).unwrap(), expected);
}

#[test]
fn directories_are_searched_as_indexes_and_as_links() {
    let releases = [Release::wheel("app", "1")];
    let file = releases[0].file();
    let directory = tempfile::tempdir().unwrap();
    let mut case = Case::new("file:///", &[]);
    let url = write_index(directory.path(), &releases);
    let name = registry(&mut case, "extra-1", &url);
    assert_eq!(
        locate(&case, &name, &file).unwrap(),
        format!("{url}app/{file}")
    );
    let links = tempfile::tempdir().unwrap();
    let url = write_links(links.path(), &releases);
    let name = registry(&mut case, "find-links-1", &url);
    assert_eq!(locate(&case, &name, &file).unwrap(), format!("{url}{file}"));
}

#[test]
fn what_cannot_be_located_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), &[Release::wheel("app", "1")]);
    let mut case = Case::new(&url, &[]);
    let name = registry(&mut case, "pypi", &url);
    insta::assert_snapshot!(locate(&case, &name, "app-2-py3-none-any.whl").unwrap_err(), @r"
    Network error: the registry `pypi` does not offer `app-2-py3-none-any.whl` of `app`
    hint: use a registry that keeps old files
    hint: lock again with `envbox lock --upgrade`
    ");
    let unknown = "company".parse().unwrap();
    insta::assert_snapshot!(locate(&case, &unknown, "app-1-py3-none-any.whl").unwrap_err(), @r"
    User error: the registry `company` has no location
    hint: say where the registry `company` lies
    ");
}

#[test]
fn a_stale_note_is_asked_about_afresh() {
    let server = Server::start();
    let releases = [Release::wheel("app", "1")];
    let file = releases[0].file();
    let url = serve_index(&server, "/old/", &releases, Style::Json);
    let mut case = Case::new(&url, &["app"]);
    let name = registry(&mut case, "pypi", &url);
    assert_eq!(
        locate(&case, &name, &file).unwrap(),
        format!("{}/old/{file}", server.url())
    );
    serve_index(&server, "/new/", &releases, Style::Json);
    let project: PythonName = "app".parse().unwrap();
    let locator = WheelLocator::new(&case.context);
    let found = block_on_large_stack(|| locator.locate_afresh(&name, &project, &file));
    assert_eq!(
        found.unwrap().to_string(),
        format!("{}/new/{file}", server.url())
    );
    assert_eq!(
        locate(&case, &name, &file).unwrap(),
        format!("{}/new/{file}", server.url())
    );
}
