//! Pulls: what comes, what is refused, what goes on where it broke off.

use envbox_lockfiles::base::{Digest, Event, Explain as _, Kind, Network};
use envbox_lockfiles::net::NetError;

use super::fake::Fault;
use super::{Case, REPOSITORY, bytes};
use crate::image::{DOCUMENT_LIMIT, Descriptor, ImageIndex, ImageManifest, MediaType, OciPlatform};
use crate::registry::{Access, RegistryError, manifest};
use crate::store::StoreError;

/// As large as a download that is worth going on with.
const LARGE: usize = 3 * 1024 * 1024 + 5;

#[test]
fn an_image_comes_whole() {
    let case = Case::new();
    let layer = bytes(LARGE);
    let image = case.serve("a", &layer);
    for (rest, indexed) in [
        (":a".to_owned(), true),
        (format!(":other@{}", image.manifests[0].0.digest), false),
    ] {
        let pulled = case.pull(&rest).unwrap();
        let (descriptor, bytes) = &image.manifests[0];
        assert_eq!(pulled.descriptor.digest, descriptor.digest);
        assert_eq!(
            pulled.reference,
            case.reference(&format!("@{}", descriptor.digest))
        );
        assert_eq!(&pulled.manifest_bytes, bytes);
        assert_eq!(pulled.index.is_some(), indexed);
        assert_eq!(pulled.config_bytes, b"{\"config\":1}");
        let [(found, path)] = pulled.layers.as_slice() else {
            panic!("one layer")
        };
        assert_eq!(found.digest, Digest::of(&layer));
        assert_eq!(std::fs::read(path).unwrap(), layer);
    }
    assert_eq!(case.reported(), LARGE as u64 + 12);
    let events = case.listener.0.lock().unwrap();
    let stages = events.iter().filter(|event| {
        matches!(
            event,
            Event::StageStarted { .. } | Event::StageFinished { .. }
        )
    });
    // The second pull had nothing to do.
    assert_eq!(stages.count(), 2);
}

#[test]
fn what_is_there_needs_no_network() {
    let mut case = Case::new();
    let image = case.serve("a", &bytes(10));
    case.pull(":a").unwrap();
    case.fake.lines();
    case.context.network = Network::Offline;
    for (descriptor, _) in &image.manifests {
        case.pull(&format!("@{}", descriptor.digest)).unwrap();
    }
    let error = case.pull(":a").unwrap_err();
    assert!(matches!(
        &error,
        RegistryError::Exchange {
            source: NetError::Offline { .. },
            ..
        }
    ));
    assert!(!error.hints().is_empty());
    assert!(case.fake.lines().is_empty());
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let layer = bytes(LARGE);
    let case = Case::new();
    case.serve("a", &layer);
    let part = format!("/blobs/{}", Digest::of(&layer));
    case.fake
        .fault("GET", &part, Fault::HangUp)
        .fault("GET", &part, Fault::Truncate(1_000_000))
        .fault("GET", &part, Fault::Truncate(500_000));
    case.pull(":a").unwrap();
    let state = case.fake.state();
    let ranges: Vec<_> = state
        .seen
        .iter()
        .filter_map(|seen| seen.headers.get("range"))
        .collect();
    assert_eq!(ranges, ["bytes=1000000-", "bytes=1500000-"]);
    drop(state);
    assert_eq!(case.reported(), LARGE as u64 + 12);
}

#[test]
fn a_pull_that_was_given_up_goes_on() {
    let layer = bytes(LARGE);
    let case = Case::new();
    case.serve("a", &layer);
    let part = format!("/blobs/{}", Digest::of(&layer));
    case.fake.fault("GET", &part, Fault::Truncate(1_000_000));
    case.fake.fault("GET", &part, Fault::Status(403, vec![]));
    let error = case.pull(":a").unwrap_err();
    assert!(matches!(
        error,
        RegistryError::Denied {
            access: Access::Pull,
            ..
        }
    ));
    case.fake.lines();
    case.pull(":a").unwrap();
    let state = case.fake.state();
    let again = state.seen.iter().find(|seen| seen.target.ends_with(&part));
    assert_eq!(again.unwrap().headers["range"], "bytes=1000000-");
}

#[test]
fn a_registry_without_ranges_is_put_up_with() {
    let layer = bytes(LARGE);
    let case = Case::new();
    case.serve("a", &layer);
    let part = format!("/blobs/{}", Digest::of(&layer));
    case.fake
        .fault("GET", &part, Fault::Truncate(1_000_000))
        .fault("GET", &part, Fault::Body(200, "x", layer.clone()));
    case.pull(":a").unwrap();
}

#[test]
fn a_wrong_beginning_is_fetched_again() {
    let layer = bytes(1000);
    let long = bytes(2000);
    for beginning in [&long[5..100], &long[5..1005], &long] {
        let case = Case::new();
        case.serve("a", &layer);
        drop(case.store());
        let partial = case.context.store.join("tmp/partial");
        std::fs::create_dir_all(&partial).unwrap();
        std::fs::write(partial.join(Digest::of(&layer).hex()), beginning).unwrap();
        let pulled = case.pull(":a").unwrap();
        assert_eq!(std::fs::read(&pulled.layers[0].1).unwrap(), layer);
    }
}

#[test]
fn wrong_bytes_are_refused() {
    let layer = bytes(1000);
    for (body, by_size) in [
        (vec![0; 1000], false),
        (vec![0; 1001], true),
        (vec![0; 999], true),
    ] {
        let case = Case::new();
        case.serve("a", &layer);
        let part = format!("/blobs/{}", Digest::of(&layer));
        case.fake.fault("GET", &part, Fault::Replace(body));
        let error = case.pull(":a").unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
        let RegistryError::Integrity { what, source } = &error else {
            panic!("{error}")
        };
        assert_eq!(
            matches!(source, StoreError::WrongSize { .. }),
            by_size,
            "{source}"
        );
        assert!(what.contains(&Digest::of(&layer).to_string()));
        // The index, the manifest and perhaps the config.
        let path = case.store().blob(&Digest::of(&layer));
        assert_eq!(path, None);
        assert!(case.kept() <= 3);
    }
}

#[test]
fn wrong_manifests_are_refused() {
    let other = br#"{"schemaVersion":2,"manifests":[]}"#;
    // By its tag, where the registry contradicts itself, and by its digest.
    for tag in [true, false] {
        let case = Case::new();
        let image = case.serve("a", b"layer");
        let digest = image.manifests[1].0.digest;
        case.fake
            .fault("GET", "/manifests/", Fault::Replace(other.to_vec()));
        let rest = if tag {
            ":a".to_owned()
        } else {
            format!("@{digest}")
        };
        let error = case.pull(&rest).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
        assert!(!case.context.store.join("blobs/sha256").exists());
    }
}

#[test]
fn manifests_of_other_kinds_are_named() {
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (typed, body, found) in [
        (old, r#"{"schemaVersion":1}"#, old),
        ("text/html", "<html>", "text/html"),
        (
            MediaType::MANIFEST,
            r#"{"mediaType":"application/x"}"#,
            "application/x",
        ),
    ] {
        let case = Case::new();
        let answer = Fault::Body(200, typed, body.as_bytes().to_vec());
        case.fake.fault("GET", "/manifests/", answer);
        let error = case.pull(":a").unwrap_err();
        assert!(
            matches!(&error, RegistryError::MediaType { found: named, .. } if named == found),
            "{error}"
        );
    }
    let case = Case::new();
    let answer = Fault::Body(200, MediaType::MANIFEST, b"{".to_vec());
    case.fake.fault("GET", "/manifests/", answer);
    let error = case.pull(":a").unwrap_err();
    assert!(matches!(error, RegistryError::Document { .. }), "{error}");
}

#[test]
fn what_is_too_large_is_refused() {
    let case = Case::new();
    let large = vec![b' '; DOCUMENT_LIMIT as usize + 1];
    let answer = Fault::Body(200, MediaType::MANIFEST, large);
    case.fake.fault("GET", "/manifests/", answer);
    let error = case.pull(":a").unwrap_err();
    assert!(
        matches!(
            &error,
            RegistryError::Exchange {
                source: NetError::TooLarge { .. },
                ..
            }
        ),
        "{error:?}"
    );
    let config = Descriptor::new(MediaType::CONFIG, Digest::of(b""), DOCUMENT_LIMIT + 1);
    let manifest = ImageManifest::new(config, vec![]).to_bytes();
    case.fake
        .manifest(REPOSITORY, "b", MediaType::MANIFEST, &manifest);
    let error = case.pull(":b").unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[test]
fn the_platform_is_chosen() {
    let case = Case::new();
    let image = case.serve("a", b"layer");
    let ours = image.manifests[0].0.clone();
    let on = |architecture: &str, os: &str| Descriptor {
        platform: Some(OciPlatform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: None,
        }),
        ..Descriptor::of(MediaType::MANIFEST, architecture.as_bytes())
    };
    let mut manifests = vec![on("arm64", "linux"), on("amd64", "windows"), ours.clone()];
    let put = |manifests: &[Descriptor]| {
        let index = ImageIndex::new(manifests.to_vec()).to_bytes();
        case.fake
            .manifest(REPOSITORY, "many", MediaType::INDEX, &index);
    };
    put(&manifests);
    assert_eq!(case.pull(":many").unwrap().descriptor.digest, ours.digest);
    manifests.pop();
    put(&manifests);
    let error = case.pull(":many").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has no image for linux/amd64, only for linux/arm64, windows/amd64"),
        "{error}"
    );
}

#[test]
fn nothing_there_is_said() {
    let case = Case::new();
    let error = case.pull(":a").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "there is no manifest `a` in `{}/{REPOSITORY}`",
            case.fake.host()
        )
    );
    assert_eq!(error.kind(), Kind::User);
}

#[test]
fn a_manifest_that_breaks_off_is_fetched_again() {
    let case = Case::new();
    let image = case.serve("a", b"layer");
    case.fake
        .fault("GET", "/manifests/", Fault::Truncate(5))
        .fault(
            "GET",
            "/manifests/",
            Fault::Status(429, vec![("Retry-After", "0".to_owned())]),
        );
    let mut context = case.context.clone();
    context.store = "/nowhere".into();
    let (descriptor, bytes) = manifest(&context, &case.reference(":a")).unwrap();
    let (expected, all) = image.manifests.last().unwrap();
    assert_eq!((descriptor.digest, &bytes), (expected.digest, all));
}

#[test]
fn blobs_lie_elsewhere() {
    let case = Case::new();
    let layer = bytes(LARGE);
    case.serve("a", &layer);
    let storage = Case::new();
    storage.fake.blob(REPOSITORY, &layer);
    let path = format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(&layer));
    let elsewhere = format!("http://{}{path}", storage.fake.host());
    for status in [302, 307] {
        let headers = vec![("Location", elsewhere.clone())];
        case.fake
            .fault("GET", &path, Fault::Status(status, headers));
    }
    // The part that is missing is asked for there too.
    storage.fake.fault("GET", &path, Fault::Truncate(1_000_000));
    case.pull(":a").unwrap();
    let state = storage.fake.state();
    assert_eq!(state.seen[1].headers["range"], "bytes=1000000-");
}

#[test]
fn pulls_at_the_same_time_download_once() {
    let case = Case::new();
    let layer = bytes(LARGE);
    case.serve("a", &layer);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| case.pull(":a").unwrap());
        }
    });
    let part = format!("/blobs/{}", Digest::of(&layer));
    let lines = case.fake.lines();
    assert_eq!(lines.iter().filter(|line| line.ends_with(&part)).count(), 1);
}

#[test]
fn blobs_need_no_manifest() {
    let case = Case::new();
    let (here, gone) = (bytes(10), bytes(20));
    case.fake.blob(REPOSITORY, &here);
    let [here, gone] = [here, gone].map(|bytes| Descriptor::of(MediaType::LAYER, &bytes));
    let asked = vec![here.clone(), gone.clone(), here.clone()];
    assert_eq!(case.pull_blobs(asked.clone()).unwrap(), 1);
    assert!(case.store().blob(&here.digest).is_some());
    assert_eq!(case.kept(), 1);
    case.fake.lines();
    assert_eq!(case.pull_blobs(asked).unwrap(), 1);
    let line = format!("GET /v2/{REPOSITORY}/blobs/{}", gone.digest);
    assert_eq!(case.fake.lines(), [line]);
}

#[test]
fn blobs_that_are_others_are_refused() {
    let case = Case::new();
    let blob = bytes(10);
    case.fake.blob(REPOSITORY, &blob);
    let blob = Descriptor::of(MediaType::LAYER, &blob);
    let part = format!("/blobs/{}", blob.digest);
    case.fake.fault("GET", &part, Fault::Replace(vec![9; 10]));
    let error = case.pull_blobs(vec![blob]).unwrap_err();
    assert!(matches!(&error, RegistryError::Integrity { .. }), "{error}");
    assert_eq!(case.kept(), 0);
}
