//! Downloads from conda channels.

use super::*;

const PACKAGE: &str = "noarch/name-1-0.conda";

#[test]
fn a_private_channel_gives_its_packages_to_who_has_credentials() {
    let netrc = "machine 127.0.0.1 login me password secret\n";
    let bearer = r#"{"127.0.0.1": {"BearerToken": "token"}}"#;
    for (name, text, shown) in [
        ("netrc", netrc, "Basic bWU6c2VjcmV0"),
        ("credentials.json", bearer, "Bearer token"),
    ] {
        let server = Server::start();
        // It breaks off once, and wants to see them again for the rest.
        let behind = |answer| Answer::Behind(shown, Box::new(answer));
        let answers = [
            Answer::Truncated(b"conda".to_vec(), 2),
            Answer::Bytes(b"conda".to_vec()),
        ];
        let path = format!("/lab/{PACKAGE}");
        let answers = answers.map(behind).to_vec();
        server.answers(&path, answers.clone());
        server.file("/debian/a.deb", b"deb");
        let case = || {
            let case = Case::new(&server).with_conda(PACKAGE, b"conda");
            case.with_package("a.deb", b"deb")
        };
        let refused = case().fetch().unwrap_err();
        assert!(matches!(
            &refused,
            FetchError::Download {
                source: NetError::Status { status: 401, .. },
                ..
            }
        ));
        server.answers(&path, answers);
        let before = server.count(&path);
        case().with_credentials(name, text).fetch().unwrap();
        assert_eq!(server.count(&path), before + 2);
        // They are for channels.
        let others = server.requests();
        let debs = others
            .iter()
            .filter(|request| request.path == "/debian/a.deb");
        for request in debs {
            assert!(
                !request.headers.contains_key("authorization"),
                "{request:?}"
            );
        }
    }
}

#[test]
fn credentials_are_not_taken_along_to_another_host() {
    let token = r#"{"127.0.0.1": {"CondaToken": "secret"}}"#;
    for (name, text, path) in [
        (
            "netrc",
            "machine 127.0.0.1 login me password secret\n",
            "/lab",
        ),
        ("credentials.json", token, "/t/secret/lab"),
    ] {
        let (server, other) = (Server::start(), Server::start());
        let place = format!("{}/kept", other.url());
        let to = |place: String| vec![Answer::Status(302, vec![("Location", place)])];
        let asked = format!("{path}/{PACKAGE}");
        server.answers(&asked, to(place));
        other.file("/kept", b"conda");
        let case = Case::new(&server).with_conda(PACKAGE, b"conda");
        case.with_credentials(name, text).fetch().unwrap();
        assert_eq!(server.count(&asked), 1);
        let told = format!("{:?}", other.requests());
        assert_eq!(other.count("/kept"), 1);
        assert!(!told.contains("secret") && !told.contains("bWU6"), "{told}");
        assert!(!told.contains("authorization"), "{told}");
    }
}

#[test]
fn a_channel_that_gives_other_bytes_than_it_lists_is_to_blame() {
    let server = Server::start();
    server.file(&format!("/lab/{PACKAGE}"), b"other");
    let error = Case::new(&server).with_conda(PACKAGE, b"conda").fetch();
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    assert_eq!(
        error.hints(),
        [
            "use another mirror, or tell who keeps the channel: it does not give what it lists; if \
             the file was replaced on purpose, run `envbox lock --upgrade`"
        ]
    );
}
