//! Pushes: what is sent, what is not, what goes on where it broke off.

use envbox_lockfiles::base::{Event, Explain as _, Kind, Network};
use envbox_lockfiles::net::NetError;

use super::fake::{Fake, Fault};
use super::{Case, REPOSITORY, bytes};
use crate::image::{DOCUMENT_LIMIT, Descriptor, MediaType};
use crate::registry::{Access, BlobSource, PushImage, RegistryError, push};
use crate::store::StoreError;

/// More than fits into one piece.
const LARGE: usize = 5 * 1024 * 1024 + 7;

fn ranges(fake: &Fake) -> Vec<String> {
    let seen = &fake.state().seen;
    let patches = seen.iter().filter(|seen| seen.method == "PATCH");
    patches
        .map(|seen| seen.headers["content-range"].clone())
        .collect()
}

#[test]
fn an_image_is_pushed_whole() {
    let case = Case::new();
    let mut image = case.image(&bytes(LARGE));
    image.tags = vec!["1".parse().unwrap()];
    let pushed = case.push(":2", &image).unwrap();
    let last = image.manifests.last().unwrap();
    assert_eq!(
        pushed.reference,
        case.reference(&format!("@{}", last.0.digest))
    );
    let tags: Vec<String> = pushed.tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["1", "2"]);
    assert_eq!((pushed.present, pushed.mounted, pushed.uploaded), (0, 0, 2));
    assert_eq!(pushed.uploaded_bytes, LARGE as u64 + 12);
    assert_eq!(case.reported(), LARGE as u64 + 12);
    let state = case.fake.state();
    for (blob, _) in &image.blobs {
        assert!(state.blobs.contains_key(&blob.digest.to_string()));
    }
    for name in ["1", "2", &last.0.digest.to_string()] {
        let kept = &state.manifests[&format!("{REPOSITORY} {name}")];
        assert_eq!(
            (kept.0.as_str(), kept.1.as_slice()),
            (MediaType::INDEX, last.1.as_slice())
        );
    }
    assert!(state.uploads.is_empty());
    let events = case.listener.0.lock().unwrap();
    assert!(matches!(
        events.first(),
        Some(Event::StageStarted { total: Some(2), .. })
    ));
    assert!(matches!(events.last(), Some(Event::StageFinished { .. })));
}

#[test]
fn what_is_there_is_not_sent_again() {
    let case = Case::new();
    let image = case.image(&bytes(10));
    case.push(":a", &image).unwrap();
    case.fake.lines();
    let pushed = case.push(":a", &image).unwrap();
    assert_eq!((pushed.present, pushed.uploaded), (2, 0));
    let lines = case.fake.lines();
    assert!(
        lines.iter().all(|line| line.starts_with("HEAD ")),
        "{lines:?}"
    );
    // A tag that somebody moved is put back, and nothing else.
    let other = Descriptor::of(MediaType::INDEX, b"{}");
    case.fake
        .manifest(REPOSITORY, "a", other.media_type.as_str(), b"{}");
    case.push(":a", &image).unwrap();
    let lines = case.fake.lines();
    let puts: Vec<_> = lines
        .iter()
        .filter(|line| !line.starts_with("HEAD"))
        .collect();
    assert_eq!(puts, [&format!("PUT /v2/{REPOSITORY}/manifests/a")]);
}

#[test]
fn blobs_of_other_repositories_are_mounted() {
    let case = Case::new();
    let layer = bytes(LARGE);
    case.fake.blob("team/base", &layer);
    let mut image = case.image(&layer);
    image.mount_from = vec!["team/none".to_owned(), "team/base".to_owned()];
    let pushed = case.push("", &image).unwrap();
    assert_eq!((pushed.mounted, pushed.uploaded), (1, 1));
    // Uploads that were begun in vain are ended.
    assert!(case.fake.state().uploads.is_empty());
    assert!(ranges(&case.fake).is_empty());
}

#[test]
fn a_repository_that_may_not_be_read_is_passed_over() {
    for status in [401, 403, 404] {
        let case = Case::new();
        let mut image = case.image(&bytes(10));
        image.mount_from = vec!["secret/base".to_owned()];
        for _ in &image.blobs {
            let refusal = Fault::Status(status, vec![]);
            case.fake.fault("POST", "mount=", refusal);
        }
        let pushed = case.push("", &image).unwrap();
        assert_eq!((pushed.mounted, pushed.uploaded), (0, 2));
        assert!(case.fake.state().faults.is_empty());
    }
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    let layer = bytes(LARGE);
    for kept in [0, 1_000_000, LARGE] {
        let case = Case::new();
        let image = case.image(&layer);
        case.fake.fault("PATCH", "", Fault::Lose(kept));
        case.push("", &image).unwrap();
        let last = LARGE - 1;
        let mut expected = vec![format!("0-{last}")];
        if kept < LARGE {
            expected.push(format!("{kept}-{last}"));
        }
        assert_eq!(ranges(&case.fake), expected);
        assert_eq!(case.reported(), LARGE as u64 + 12);
    }
}

#[test]
fn an_upload_that_the_registry_forgot_begins_again() {
    let case = Case::new();
    let image = case.image(&bytes(LARGE));
    case.fake.fault("PATCH", "", Fault::Lose(1000)).fault(
        "GET",
        "/uploads/",
        Fault::Status(404, vec![]),
    );
    case.push("", &image).unwrap();
    let last = LARGE - 1;
    assert_eq!(
        ranges(&case.fake),
        [format!("0-{last}"), format!("0-{last}")]
    );
}

#[test]
fn an_upload_that_never_ends_is_given_up() {
    let mut case = Case::new();
    case.at_once = 4 * 1024 * 1024;
    let image = case.image(&bytes(LARGE));
    for _ in 0..10 {
        // Each time it comes forward, so the failures never follow each other.
        case.fake
            .fault("PATCH", "", Fault::Pass)
            .fault("PATCH", "", Fault::HangUp)
            .fault("GET", "/uploads/", Fault::Status(404, vec![]));
    }
    let error = case.push("", &image).unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    assert!(!case.fake.state().faults.is_empty());
}

#[test]
fn a_lost_answer_costs_nothing() {
    for part in ["/blobs/uploads/", "/manifests/"] {
        let case = Case::new();
        let image = case.image(&bytes(LARGE));
        case.fake.fault("PUT", part, Fault::LoseAnswer);
        case.push(":a", &image).unwrap();
        assert_eq!(ranges(&case.fake).len(), 1);
    }
}

#[test]
fn an_upload_that_is_too_large_goes_in_pieces() {
    let case = Case::new();
    let image = case.image(&bytes(LARGE));
    case.fake.state().limit = Some(4 * 1024 * 1024);
    case.push("", &image).unwrap();
    let ranges = ranges(&case.fake);
    let last = LARGE - 1;
    let whole = format!("0-{last}");
    assert_eq!(ranges, [&whole, "0-4194303", &format!("4194304-{last}")]);

    let case = Case::new();
    let image = case.image(&bytes(LARGE));
    case.fake.state().limit = Some(1000);
    let error = case.push("", &image).unwrap_err();
    assert!(matches!(error, RegistryError::Refused { status: 413, .. }));
    assert!(!error.hints().is_empty());
}

#[test]
fn pieces_are_as_large_as_the_registry_wants() {
    let mut case = Case::new();
    case.at_once = 4 * 1024 * 1024 - 1;
    let image = case.image(&bytes(LARGE));
    let location = format!("/v2/{REPOSITORY}/blobs/uploads/7");
    let least = ("OCI-Chunk-Min-Length", (5 * 1024 * 1024).to_string());
    case.fake.state().uploads.insert(7, Vec::new());
    case.fake.fault(
        "POST",
        "",
        Fault::Status(202, vec![("Location", location), least]),
    );
    let mut one = image;
    one.blobs.truncate(1);
    one.manifests.truncate(1);
    case.push("", &one).unwrap();
    let last = LARGE - 1;
    assert_eq!(
        ranges(&case.fake),
        ["0-5242879", &format!("5242880-{last}")]
    );
}

#[test]
fn a_busy_registry_is_waited_for() {
    let later = |status| Fault::Status(status, vec![("Retry-After", "0".to_owned())]);
    for (method, part) in [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PATCH", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        let case = Case::new();
        let image = case.image(&bytes(LARGE));
        case.fake
            .fault(method, part, later(429))
            .fault(method, part, later(503))
            .fault(method, part, Fault::HangUp);
        case.push("", &image).unwrap();
        assert!(case.fake.state().faults.is_empty());
    }
    // Longer than anybody waits.
    let case = Case::new();
    let image = case.image(&bytes(10));
    let hour = vec![("Retry-After", "3600".to_owned())];
    case.fake.fault("POST", "", Fault::Status(429, hour));
    let error = case.push("", &image).unwrap_err();
    assert!(
        matches!(
            &error,
            RegistryError::Exchange {
                source: NetError::Status {
                    status: 429,
                    retry_after: Some(3600),
                    ..
                },
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_registry_that_is_down_is_given_up() {
    for (method, part) in [("PATCH", "/uploads/"), ("PUT", "/manifests/")] {
        let case = Case::new();
        let image = case.image(&bytes(LARGE));
        for _ in 0..4 {
            case.fake.fault(method, part, Fault::Status(500, vec![]));
        }
        let error = case.push("", &image).unwrap_err();
        assert_eq!(error.kind(), Kind::Network);
        let shown = format!("{error} {:?}", std::error::Error::source(&error));
        // What a registry puts into the query of an upload may be a key to it.
        assert!(!shown.contains("state=secret"), "{shown}");
    }
}

#[test]
fn refusals_are_told_with_what_the_registry_says() {
    let told = br#"{"errors":[{"code":"QUOTA","message":"no\nmore room"}]}"#.to_vec();
    let push = |status| {
        let case = Case::new();
        let image = case.image(&bytes(10));
        let body = Fault::Body(status, "application/json", told.clone());
        case.fake.fault("POST", "", body);
        case.push("", &image).unwrap_err()
    };
    let error = push(403);
    assert!(matches!(
        &error,
        RegistryError::Denied {
            access: Access::Push,
            ..
        }
    ));
    assert_eq!(error.kind(), Kind::User);
    assert!(error.to_string().ends_with("(it says: QUOTA: nomore room)"));
    let error = push(404);
    assert!(matches!(error, RegistryError::NotFound { .. }));
    let error = push(400);
    assert!(matches!(error, RegistryError::Refused { status: 400, .. }));
    let error = push(201);
    assert!(matches!(error, RegistryError::Refused { status: 201, .. }));
    let error = push(202);
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

#[test]
fn a_registry_that_has_other_bytes_is_caught() {
    let other = Descriptor::of("x", b"other").digest.to_string();
    for (method, part, status) in [
        ("HEAD", "/blobs/", 200),
        ("PUT", "/uploads/", 201),
        ("PUT", "/manifests/", 201),
    ] {
        let case = Case::new();
        let image = case.image(&bytes(10));
        let headers = vec![("Docker-Content-Digest", other.clone())];
        case.fake
            .fault(method, part, Fault::Status(status, headers));
        let error = case.push("", &image).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
    }
}

#[test]
fn what_is_not_as_described_is_not_sent() {
    let case = Case::new();
    let image = case.image(&bytes(10));
    let wrong = |change: &dyn Fn(&mut PushImage)| {
        let mut image = image.clone();
        change(&mut image);
        case.push("", &image).unwrap_err()
    };
    let error = wrong(&|image| image.blobs[0].0.size += 1);
    assert!(matches!(
        &error,
        RegistryError::Integrity {
            source: StoreError::WrongSize { .. },
            ..
        }
    ));
    let error = wrong(&|image| image.blobs[0].1 = BlobSource::File("/nowhere".into()));
    assert!(matches!(error, RegistryError::File(_)));
    let error = wrong(&|image| image.manifests[0].1.push(b' '));
    assert!(matches!(error, RegistryError::Integrity { .. }));
    let error = wrong(&|image| image.manifests[0].1[0] = b' ');
    assert!(matches!(error, RegistryError::Integrity { .. }));
    let error = wrong(&|image| image.manifests.clear());
    assert!(matches!(error, RegistryError::NotFound { .. }));
    let error = wrong(&|image| {
        let bytes = vec![b' '; DOCUMENT_LIMIT as usize + 1];
        image.manifests[0] = (Descriptor::of(MediaType::MANIFEST, &bytes), bytes);
    });
    assert!(matches!(error, RegistryError::TooLarge { .. }));
    let named = format!("@{}", Descriptor::of("x", b"x").digest);
    let error = case.push(&named, &image).unwrap_err();
    assert!(matches!(error, RegistryError::Integrity { .. }));
    assert!(case.fake.state().manifests.is_empty());
    // Other bytes of the same size are noticed by the registry.
    let mut image = case.image(&bytes(LARGE));
    image.blobs[0].1 = case.layer(&vec![0; LARGE]).1;
    let error = case.push("", &image).unwrap_err();
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    assert!(case.fake.state().manifests.is_empty());
}

#[test]
fn pushes_at_the_same_time_do_not_disturb_each_other() {
    let case = Case::new();
    let images = [case.image(&bytes(LARGE)), case.image(&bytes(1000))];
    std::thread::scope(|scope| {
        for image in images.iter().chain(&images) {
            scope.spawn(|| {
                // The listener's files are the case's, so a context of its own will do.
                let client = case.client();
                let reference = case.reference(":a");
                envbox_lockfiles::net::block_on(crate::registry::push::push_with(
                    &client,
                    &case.context,
                    &reference,
                    image,
                    u64::MAX,
                ))
                .unwrap();
            });
        }
    });
    assert_eq!(case.fake.state().blobs.len(), 3);
}

#[test]
fn offline_sends_nothing() {
    let mut case = Case::new();
    let image = case.image(&bytes(10));
    case.context.network = Network::Offline;
    let error = push(&case.context, &case.reference(""), &image).unwrap_err();
    assert!(matches!(
        &error,
        RegistryError::Exchange {
            source: NetError::Offline { .. },
            ..
        }
    ));
    assert!(case.fake.lines().is_empty());
}
