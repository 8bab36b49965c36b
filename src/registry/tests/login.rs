//! Who is let in, and who gets to see the credentials.

use envbox_lockfiles::base::{Digest, Explain as _, Kind, Transport};

use super::fake::{Fault, Gate};
use super::{Case, REPOSITORY, bytes};
use crate::registry::RegistryError;

const LARGE: usize = 5 * 1024 * 1024;

/// `name:hidden` in base64.
const LOGIN: &str = "bmFtZTpoaWRkZW4=";

/// Writes credentials for the case's registry as docker does.
fn log_in(case: &mut Case, entry: &str) {
    let file = case.directory.path().join("config.json");
    let text = format!(r#"{{"auths": {{"{}": {entry}}}}}"#, case.fake.host());
    std::fs::write(&file, text).unwrap();
    case.context.credentials = vec![file];
}

fn with_password() -> String {
    format!(r#"{{"auth": "{LOGIN}"}}"#)
}

#[test]
fn every_way_in_is_taken() {
    for (gate, entry) in [
        (Gate::Basic("name:hidden"), with_password()),
        (Gate::Token(Some("name:hidden")), with_password()),
        (Gate::Token(None), "{}".to_owned()),
        (
            Gate::Exchange("identity"),
            r#"{"identitytoken": "identity"}"#.to_owned(),
        ),
    ] {
        let mut case = Case::new();
        log_in(&mut case, &entry);
        case.fake.state().gate = gate.clone();
        let image = case.image(&bytes(LARGE));
        case.push(":a", &image).unwrap();
        case.pull(":a").unwrap();
        // One for the push and one for the pull, however many requests there are.
        let tokens = case.fake.state().tokens;
        let expected = if matches!(gate, Gate::Basic(_)) { 0 } else { 2 };
        assert_eq!(tokens, expected, "{gate:?}");
    }
}

#[test]
fn tokens_are_asked_for_what_is_needed() {
    let mut case = Case::new();
    log_in(&mut case, &with_password());
    case.fake.state().gate = Gate::Token(Some("name:hidden"));
    let mut image = case.image(b"layer");
    image.mount_from = vec!["team/base".to_owned()];
    case.push(":a", &image).unwrap();
    let state = case.fake.state();
    let token = state
        .seen
        .iter()
        .find(|seen| seen.target.starts_with("/token"));
    let target = token
        .unwrap()
        .target
        .replace("%2C", ",")
        .replace("%2A", "*");
    for wanted in [
        "service=fake",
        "scope=repository:team/image:pull,push",
        "scope=repository:team/base:pull",
        "scope=registry:catalog:*",
    ] {
        assert!(target.contains(wanted), "{target}");
    }
}

#[test]
fn a_token_that_ends_on_the_way_is_renewed_once() {
    let refused = || {
        let challenge = "Bearer realm=\"REALM\",service=\"fake\"".to_owned();
        Fault::Status(401, vec![("WWW-Authenticate", challenge)])
    };
    for (method, part) in [
        ("PATCH", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        let case = Case::new();
        case.fake.state().gate = Gate::Token(None);
        let realm = format!("http://{}/token", case.fake.host());
        let Fault::Status(status, mut headers) = refused() else {
            unreachable!("it is one")
        };
        headers[0].1 = headers[0].1.replace("REALM", &realm);
        let expired = Fault::Status(status, headers);
        case.fake.fault(method, part, expired.clone());
        let image = case.image(&bytes(LARGE));
        case.push(":a", &image).unwrap();
        assert_eq!(case.fake.state().tokens, 2);
        // Twice for one request is no accident. More often, because requests side by side share them.
        let case = Case::new();
        case.fake.state().gate = Gate::Token(None);
        for _ in 0..8 {
            case.fake.fault(method, part, expired.clone());
        }
        let error = case.push(":a", &case.image(&bytes(LARGE))).unwrap_err();
        assert!(
            matches!(error, RegistryError::NoCredentials { .. }),
            "{error}"
        );
    }
}

#[test]
fn closed_doors_are_named() {
    // Nobody is known, or nobody of that name.
    for gate in [Gate::Basic("name:hidden"), Gate::Token(Some("name:hidden"))] {
        let mut case = Case::new();
        case.serve("a", b"layer");
        case.fake.state().gate = gate;
        let error = case.pull(":a").unwrap_err();
        assert!(
            matches!(error, RegistryError::NoCredentials { .. }),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::User);
        assert!(error.hints()[0].contains("login"));
        log_in(&mut case, r#"{"username": "name", "password": "wrong"}"#);
        let error = case.pull(":a").unwrap_err();
        assert!(
            matches!(error, RegistryError::WrongCredentials { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("config.json"));
    }
    // Known, but not allowed.
    let mut case = Case::new();
    log_in(&mut case, &with_password());
    case.fake.state().gate = Gate::Token(Some("name:hidden"));
    let told = "Bearer realm=\"x\",error=\"insufficient_scope\"".to_owned();
    let said = case.fake.host();
    let first = format!("Bearer realm=\"http://{said}/token\"");
    for challenge in [first, told] {
        let headers = vec![("WWW-Authenticate", challenge)];
        case.fake.fault("GET", "", Fault::Status(401, headers));
        // The token itself is given.
        case.fake.state().faults.last_mut().unwrap().1 = "/v2/".to_owned();
    }
    let error = case.pull(":a").unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    // No way in at all.
    let case = Case::new();
    case.fake.fault("GET", "", Fault::Status(401, vec![]));
    let error = case.pull(":a").unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

#[test]
fn a_registry_without_tls_is_told_how_to_be_used() {
    let mut case = Case::new();
    let transports = &mut case.context.image_registries;
    transports.insert(case.fake.host(), Transport::Https);
    let error = case.pull(":a").unwrap_err();
    let hints = error.hints();
    assert!(
        hints.iter().any(|hint| hint.contains("[image-registries]")),
        "{error:?} {hints:?}"
    );
}

#[test]
fn odd_token_servers_are_named() {
    for answer in ["{}", "no JSON", r#"{"token": "two\nlines"}"#] {
        let case = Case::new();
        case.fake.state().gate = Gate::Token(None);
        let body = Fault::Body(200, "application/json", answer.into());
        case.fake.fault("GET", "/token", body);
        let error = case.pull(":a").unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    }
    for challenge in ["Bearer service=\"x\"", "Bearer realm=\"not a URL\""] {
        let case = Case::new();
        let headers = vec![("WWW-Authenticate", challenge.to_owned())];
        case.fake.fault("GET", "", Fault::Status(401, headers));
        let error = case.pull(":a").unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    }
    let case = Case::new();
    case.fake.state().gate = Gate::Token(None);
    for status in [503, 429] {
        case.fake
            .fault("GET", "/token", Fault::Status(status, vec![]));
    }
    case.serve("a", b"layer");
    case.pull(":a").unwrap();
}

#[test]
fn credentials_do_not_follow_redirects() {
    for gate in [Gate::Basic("name:hidden"), Gate::Token(Some("name:hidden"))] {
        let mut case = Case::new();
        log_in(&mut case, &with_password());
        let layer = bytes(1000);
        case.serve("a", &layer);
        let part = format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(&layer));
        let storage = Case::new();
        storage.fake.blob(REPOSITORY, &layer);
        let elsewhere = |path: &str| format!("http://{}{path}", storage.fake.host());
        case.fake.state().gate = gate;
        // Lets the session learn what it is to send.
        let headers = vec![("Location", elsewhere(&part))];
        case.fake.fault("GET", &part, Fault::Status(307, headers));
        case.pull(":a").unwrap();
        // An upload that goes on elsewhere.
        let image = case.image(&bytes(LARGE));
        storage.fake.state().uploads.insert(7, Vec::new());
        let place = elsewhere(&format!("/v2/{REPOSITORY}/blobs/uploads/7"));
        let digest = image.blobs[0].0.digest;
        let mut one = image;
        one.blobs.truncate(1);
        one.manifests.truncate(1);
        // The first request is for the credentials.
        case.push("", &{
            let mut first = one.clone();
            first.blobs.clear();
            first
        })
        .unwrap();
        case.fake.fault(
            "POST",
            "/uploads/",
            Fault::Status(202, vec![("Location", place)]),
        );
        case.push("", &one).unwrap();
        let state = storage.fake.state();
        assert!(state.blobs.contains_key(&digest.to_string()));
        assert!(state.seen.len() >= 3);
        for seen in &state.seen {
            assert_eq!(seen.headers.get("authorization"), None, "{}", seen.line());
        }
        let asked = case.fake.state();
        let with = asked
            .seen
            .iter()
            .filter(|seen| seen.headers.contains_key("authorization"));
        assert!(with.count() >= 3);
    }
}

#[test]
fn no_message_holds_a_secret() {
    for (gate, entry) in [
        (Gate::Basic("name:hidden"), with_password()),
        (Gate::Token(Some("name:hidden")), with_password()),
        (
            Gate::Exchange("hidden"),
            r#"{"identitytoken": "hidden"}"#.to_owned(),
        ),
    ] {
        // A registry that says in its refusals what it was shown.
        let told = format!(r#"{{"errors":[{{"message":"Basic {LOGIN} hidden token-1"}}]}}"#);
        for status in [400, 403, 500] {
            let mut case = Case::new();
            log_in(&mut case, &entry);
            case.fake.state().gate = gate.clone();
            let image = case.image(b"layer");
            // For both blobs, as often as each is tried.
            for _ in 0..8 {
                let body = Fault::Body(status, "application/json", told.clone().into());
                case.fake.fault("POST", "/uploads/", body);
            }
            let error = case.push("", &image).unwrap_err();
            let shown = format!("{error} {error:?} {:?}", case.context);
            for secret in ["hidden", "token-1"] {
                let sent = !matches!(gate, Gate::Basic(_)) || secret != "token-1";
                assert!(!sent || !shown.contains(secret), "{shown}");
            }
            if matches!(gate, Gate::Basic(_)) {
                assert!(!shown.contains(LOGIN), "{shown}");
            }
        }
    }
}
