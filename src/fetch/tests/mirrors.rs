//! Downloads with a mirror in front of the registry.

use super::*;

/// A case with a mirror on the server, and the path of a package in it.
fn mirrored(server: &Server, origin: &str) -> (Case, String) {
    let mut case = Case::at(origin).with_package("a.deb", b"deb");
    let url = format!("{}/mirror", server.url());
    let mirror = Mirror::parse(&url, Path::new("/")).unwrap();
    case.context.mirror = Some(mirror);
    let path = format!("/mirror/blobs/sha256/{}", Digest::of(b"deb").hex());
    (case, path)
}

#[test]
fn the_mirror_is_asked_first_and_the_registry_for_the_rest() {
    let server = Server::start();
    let (case, path) = mirrored(&server, &nobody());
    let case = case.with_wheel(Artifact {
        origin: Origin::Url("http://nowhere.invalid/other-1-py3-none-any.whl".to_owned()),
        ..artifact("pypi", "other-1-py3-none-any.whl", b"direct")
    });
    let direct = format!("/mirror/blobs/sha256/{}", Digest::of(b"direct").hex());
    server.file(&path, b"deb").file(&direct, b"direct");
    case.fetch().unwrap();
    assert_eq!(server.requests().len(), 2);

    let server = Server::start();
    let (case, path) = mirrored(&server, &server.url());
    server.file("/debian/a.deb", b"deb");
    case.fetch().unwrap();
    let asked: Vec<_> = server.requests().into_iter().map(|one| one.path).collect();
    assert_eq!(asked, [path, "/debian/a.deb".to_owned()]);
}

#[test]
fn a_mirror_without_the_artifact_leaves_the_registry_to_blame() {
    let server = Server::start();
    let (case, path) = mirrored(&server, &server.url());
    let error = case.fetch().unwrap_err();
    let FetchError::Download { tried, source, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(source, NetError::NotFound { url } if url.ends_with("/debian/a.deb")));
    assert_eq!(tried, &[format!("{}{path}", server.url())]);
}

#[test]
fn a_mirror_that_fails_is_given_up_and_told_of_once() {
    let server = Server::start();
    let (case, path) = mirrored(&server, &server.url());
    let mut case = case.with_package("b.deb", b"longer");
    server
        .file("/debian/a.deb", b"deb")
        .file("/debian/b.deb", b"longer");
    let other = format!("/mirror/blobs/sha256/{}", Digest::of(b"longer").hex());
    for path in [&path, &other] {
        server.answers(path, vec![Answer::Status(500, vec![])]);
    }
    let listener = Arc::new(Listener::default());
    case.context.reporter = listener.clone();
    case.fetch().unwrap();
    let events = listener.events.lock().unwrap();
    let warnings = events
        .iter()
        .filter(|event| matches!(event, Event::Warning { .. }));
    assert_eq!(warnings.count(), 1);
}

#[test]
fn a_mirror_may_have_what_no_registry_gives() {
    let server = Server::start();
    let (case, _) = mirrored(&server, &nobody());
    let built = Artifact {
        origin: Origin::Built,
        ..artifact("pypi", "made-1-py3-none-any.whl", b"made")
    };
    let layer = artifact("images", "debian@sha256:x", b"layer");
    let wanted = [built.clone(), layer.clone()];
    let blob = |artifact: &Artifact| format!("/mirror/blobs/sha256/{}", artifact.digest.hex());
    server.file(&blob(&built), b"made");
    let store = case.store();
    // What it has not is for others to get.
    fetch_mirrored(&case.context, &wanted, &store).unwrap();
    assert!(store.blob(&built.digest).is_some() && store.blob(&layer.digest).is_none());
    // What is there is not asked for again, and wrong bytes are no absence.
    server.file(&blob(&layer), b"wrong");
    let error = fetch_mirrored(&case.context, &wanted, &store).unwrap_err();
    assert!(matches!(error, FetchError::Mirrored { .. }), "{error}");
    assert_eq!(server.count(&blob(&built)), 1);
}

#[test]
fn a_damaged_mirror_is_named() {
    let server = Server::start();
    for bytes in [&b"dex"[..], b"longer"] {
        let (case, path) = mirrored(&server, &server.url());
        server.file("/debian/a.deb", b"deb").file(&path, bytes);
        let error = case.fetch().unwrap_err();
        assert!(matches!(&error, FetchError::Mirrored { url, .. } if url.ends_with(&path)));
        assert_eq!(error.kind(), Kind::Integrity);
        assert_eq!(case.leftovers(), 0);
    }
}

#[test]
fn a_mirror_on_this_machine_needs_no_network() {
    let mut case = Case::at(&nobody()).with_package("a.deb", b"deb");
    let root = case.directory.path().join("mirror");
    let blobs = root.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(Digest::of(b"deb").hex()), b"deb").unwrap();
    case.context.mirror = Some(Mirror::parse("mirror", case.directory.path()).unwrap());
    case.context.network = Network::Offline;
    assert!(matches!(case.fetch(), Err(FetchError::Offline { .. })));
    case.context.mirror = Some(Mirror::parse("dir:mirror", case.directory.path()).unwrap());
    case.fetch().unwrap();
}
