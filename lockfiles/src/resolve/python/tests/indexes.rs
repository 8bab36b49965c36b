//! Where wheels come from, and what is locked of them.

use crate::lock::Origin;
use crate::resolve::python::tests::Case;
use crate::resolve::python::tests::http::Server;
use crate::resolve::python::tests::making::{
    Release, Style, serve_index, write_index, write_links,
};

fn wheel(project: &str, version: &str) -> Release {
    Release::wheel(project, version)
}

fn origins(case: &Case) -> Vec<String> {
    let wheels = case.resolve().unwrap();
    let origins = wheels.iter().map(|wheel| match &wheel.artifact.origin {
        Origin::Registry(name) => format!("{}=={} {name}", wheel.name, wheel.version),
        Origin::Url(url) => format!("{}=={} {url}", wheel.name, wheel.version),
        Origin::Built => unreachable!("nothing builds"),
    });
    origins.collect()
}

#[test]
fn registries_are_asked_in_order_and_named() {
    let (main, first, second) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let main = write_index(
        main.path(),
        &[wheel("a", "9"), wheel("b", "9"), wheel("c", "9")],
    );
    let _keep = (&first, &second);
    let first_url = write_index(first.path(), &[wheel("a", "1")]);
    let second_url = write_index(second.path(), &[wheel("a", "2"), wheel("b", "2")]);
    let case = Case::new(&main, &["a", "b"])
        .extra_index("extra-1", &first_url)
        .extra_index("company", &second_url);
    assert_eq!(origins(&case), ["a==1 extra-1", "b==2 company"]);
}

#[test]
fn find_links_add_to_what_indexes_have() {
    let main = tempfile::tempdir().unwrap();
    let links = tempfile::tempdir().unwrap();
    let url = write_index(main.path(), &[wheel("a", "1"), wheel("b", "1")]);
    let links_url = write_links(links.path(), &[wheel("a", "2"), wheel("c", "1")]);
    let case = Case::new(&url, &["a", "b", "c"]).find_links("find-links-1", &links_url);
    assert_eq!(
        origins(&case),
        ["a==2 find-links-1", "b==1 pypi", "c==1 find-links-1"]
    );
    // A plain path is as good as a URL.
    let path = links.path().to_str().unwrap();
    let case = Case::new(&url, &["c"]).find_links("find-links-1", path);
    assert_eq!(origins(&case), ["c==1 find-links-1"]);
    let wheels = case.resolve().unwrap();
    assert_eq!(wheels[0].artifact.digest, wheel("c", "1").digest());
}

#[test]
fn a_page_of_links_is_read() {
    let main = tempfile::tempdir().unwrap();
    let url = write_index(main.path(), &[]);
    let server = Server::start();
    serve_index(&server, "/files/", &[wheel("a", "1")], Style::BareHtml);
    let page = format!("{}/simple/a/", server.url());
    let case = Case::new(&url, &["a"]).find_links("find-links-1", &page);
    assert_eq!(origins(&case), ["a==1 find-links-1"]);
}

#[test]
fn the_users_registries_win_over_the_manifest() {
    let (manifest, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = write_index(manifest.path(), &[wheel("a", "1")]);
    let mirror = write_index(user.path(), &[wheel("a", "2")]);
    let mut case = Case::new(&url, &["a"]);
    assert_eq!(origins(&case), ["a==1 pypi"]);
    case.context
        .registries
        .insert("pypi".parse().unwrap(), mirror);
    assert_eq!(origins(&case), ["a==2 pypi"]);
}

#[test]
fn two_mirrors_give_the_same_wheels() {
    let releases = [
        wheel("app", "1.0").requires("base").extra("x", "c"),
        wheel("base", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64"),
        wheel("base", "1.0").tag("cp310-cp310-manylinux_2_17_x86_64"),
        wheel("c", "1"),
    ];
    let mut locks = Vec::new();
    let directory = tempfile::tempdir().unwrap();
    locks.push(Case::new(
        &write_index(directory.path(), &releases),
        &["app[x]"],
    ));
    let mut servers = Vec::new();
    for style in [Style::Html, Style::BareHtml, Style::Json, Style::BareJson] {
        let server = Server::start();
        let url = serve_index(&server, "/elsewhere/", &releases, style);
        locks.push(Case::new(&url, &["app[x]"]));
        servers.push(server);
    }
    let locks: Vec<_> = locks.iter().map(|case| case.resolve().unwrap()).collect();
    assert_eq!(locks[0].len(), 3);
    for lock in &locks {
        assert_eq!(lock, &locks[0]);
    }
}

#[test]
fn what_an_index_leaves_out_is_computed() {
    let release = wheel("app", "1.0");
    let server = Server::start();
    let url = serve_index(
        &server,
        "/files/",
        std::slice::from_ref(&release),
        Style::BareJson,
    );
    let mut case = Case::new(&url, &["app"]);
    let wheels = case.resolve().unwrap();
    assert_eq!(wheels[0].artifact.digest, release.digest());
    assert_eq!(wheels[0].artifact.size, release.bytes().len() as u64);
    // And not again when the old lock has it.
    let path = format!("/files/{}", release.file());
    let downloads = server.count(&path);
    case.previous = wheels;
    case.resolve().unwrap();
    assert_eq!(server.count(&path), downloads);
}

#[test]
fn wheels_are_taken_from_direct_urls() {
    let main = tempfile::tempdir().unwrap();
    let url = write_index(main.path(), &[wheel("base", "1"), wheel("base", "2")]);
    let server = Server::start();
    let release = wheel("app", "1.0").requires("base<2");
    server.file("/app/app-1.0-py3-none-any.whl", &release.bytes());
    let direct = format!("{}/app/app-1.0-py3-none-any.whl", server.url());
    let requirement = format!("app @ {direct}");
    let case = Case::new(&url, &[&requirement]);
    assert_eq!(
        origins(&case),
        [format!("app==1.0 {direct}"), "base==1 pypi".to_owned()]
    );
    let wheels = case.resolve().unwrap();
    assert_eq!(wheels[0].artifact.file, "app-1.0-py3-none-any.whl");
    assert_eq!(wheels[0].artifact.digest, release.digest());
    // A digest in the URL is a promise, not a part of where the wheel lies.
    let digest = release.digest().hex();
    let case = Case::new(&url, &[&format!("{requirement}#sha256={digest}")]);
    assert_eq!(case.resolve().unwrap(), wheels);
}

#[test]
fn direct_urls_that_contradict_are_the_users_affair() {
    let main = tempfile::tempdir().unwrap();
    let url = write_index(
        main.path(),
        &[Release::wheel("lib", "1").requires("app @ https://host.test/app-2-py3-none-any.whl")],
    );
    let server = Server::start();
    server.file("/app-1-py3-none-any.whl", &wheel("app", "1").bytes());
    server.file("/b/app-1-py3-none-any.whl", &wheel("app", "1").bytes());
    let requirements =
        ["", "/b"].map(|folder| format!("app @ {}{folder}/app-1-py3-none-any.whl", server.url()));
    let report = Case::new(&url, &[&requirements[0], &requirements[1]]).report();
    assert!(
        report.starts_with("User error: no set of versions"),
        "{report}"
    );
    assert!(report.contains("conflicting URLs"), "{report}");
    let report = Case::new(&url, &["lib"]).report();
    assert!(
        report.starts_with("User error: no set of versions"),
        "{report}"
    );
    assert!(
        report.contains("was included as a URL dependency"),
        "{report}"
    );
}

#[test]
fn what_a_direct_url_asks_for_must_not_be_a_path() {
    let (main, local) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = write_index(main.path(), &[]);
    let lib = wheel("lib", "1");
    let path = format!(
        "{}{}",
        write_links(local.path(), std::slice::from_ref(&lib)),
        lib.file()
    );
    let server = Server::start();
    let release = wheel("app", "1").requires(&format!("lib @ {path}"));
    server.file("/app-1-py3-none-any.whl", &release.bytes());
    let requirement = format!("app @ {}/app-1-py3-none-any.whl", server.url());
    let report = Case::new(&url, &[&requirement]).report();
    assert!(report.starts_with("User error: `lib @ file:"), "{report}");
    assert!(report.contains("is a path of this machine"), "{report}");
}

#[test]
fn offline_resolves_from_the_cache() {
    let releases = [wheel("app", "1.0").requires("base"), wheel("base", "1.0")];
    let server = Server::start();
    let url = serve_index(&server, "/files/", &releases, Style::Json);
    let case = Case::new(&url, &["app"]);
    let online = case.resolve().unwrap();
    let asked = server.requests().len();
    let case = case.offline();
    assert_eq!(case.resolve().unwrap(), online);
    assert_eq!(server.requests().len(), asked);
    let cold = Case::new(&url, &["app"]).offline();
    insta::assert_snapshot!(cold.report(), @r"
    Network error: the cache does not hold what resolving needs, and the network is disabled
    caused by: Because app was not found in the cache and you require app, we can conclude that your requirements are unsatisfiable.
    hint: run the command once without `--offline`
    ");
}
