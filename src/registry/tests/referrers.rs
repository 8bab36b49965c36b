//! Referrers, in registries that list them and in those that do not.

use std::collections::BTreeMap;

use envbox_lockfiles::net::block_on;

use super::fake::Fault;
use super::{Case, REPOSITORY};
use crate::image::{Descriptor, MediaType};
use crate::registry::referrers::referrers_with;
use crate::registry::{Artifact, BlobSource, RegistryError};

const SBOM: &str = "application/spdx+json";

fn artifact(kind: &str, document: &[u8]) -> Artifact {
    Artifact {
        artifact_type: kind.to_owned(),
        document: Descriptor::of(kind, document),
        source: BlobSource::Bytes(document.to_vec()),
        annotations: BTreeMap::from([("who".to_owned(), "me".to_owned())]),
    }
}

fn list(
    case: &Case,
    subject: &Descriptor,
    kind: Option<&str>,
) -> Result<Vec<Descriptor>, RegistryError> {
    let (client, reference) = (case.client(), case.reference(""));
    let digest = subject.digest;
    block_on(referrers_with(
        &client,
        &case.context,
        &reference,
        digest,
        kind,
    ))
}

fn put(case: &Case, subject: &Descriptor, artifact: Artifact) -> Result<Descriptor, RegistryError> {
    let (descriptor, image) = artifact.into_image(subject);
    case.push("", &image)?;
    Ok(descriptor)
}

#[test]
fn referrers_are_listed_everywhere() {
    for lists in [true, false] {
        let case = Case::new();
        case.fake.state().lists_referrers = lists;
        let image = case.serve("a", b"layer");
        let subject = &image.manifests[1].0;
        assert_eq!(list(&case, subject, None).unwrap(), []);
        let mut expected = Vec::new();
        for (kind, document) in [(SBOM, b"1"), (SBOM, b"2"), ("application/x", b"3")] {
            let put = put(&case, subject, artifact(kind, document)).unwrap();
            expected.push((put.digest, put.size, kind.to_owned()));
        }
        let seen = |kind| {
            let found = list(&case, subject, kind).unwrap().into_iter();
            let mut seen: Vec<_> = found
                .map(|found| (found.digest, found.size, found.artifact_type.unwrap()))
                .collect();
            seen.sort();
            seen
        };
        expected.sort();
        assert_eq!(seen(None), expected);
        expected.retain(|(_, _, kind)| kind == SBOM);
        assert_eq!(seen(Some(SBOM)), expected);
        // Not listed twice, and the list of one is not the list of another.
        put(&case, subject, artifact(SBOM, b"1")).unwrap();
        assert_eq!(seen(None).len(), 3);
        assert_eq!(list(&case, &image.manifests[0].0, None).unwrap(), []);
        let fallback = format!("{REPOSITORY} sha256-{}", subject.digest.hex());
        assert_eq!(case.fake.state().manifests.contains_key(&fallback), !lists);
    }
}

#[test]
fn what_others_wrote_into_a_list_stays() {
    let case = Case::new();
    let image = case.serve("a", b"layer");
    let subject = &image.manifests[1].0;
    let other = Descriptor::of(MediaType::MANIFEST, b"other").digest;
    let entry = format!(
        r#"{{"mediaType":"{}","digest":"{other}","size":5,"data":"b3RoZXI="}}"#,
        MediaType::MANIFEST
    );
    let old = format!(r#"{{"schemaVersion":2,"x":1,"manifests":[{entry}]}}"#);
    let tag = format!("sha256-{}", subject.digest.hex());
    case.fake
        .manifest(REPOSITORY, &tag, MediaType::INDEX, old.as_bytes());
    put(&case, subject, artifact(SBOM, b"1")).unwrap();
    let state = case.fake.state();
    let (_, new) = &state.manifests[&format!("{REPOSITORY} {tag}")];
    let new: serde_json::Value = serde_json::from_slice(new).unwrap();
    assert_eq!(new["x"], 1);
    assert_eq!(new["manifests"][0]["data"], "b3RoZXI=");
    assert_eq!(new["manifests"][1]["artifactType"], SBOM);
    assert_eq!(new["manifests"][1]["annotations"]["who"], "me");
}

#[test]
fn referrers_at_the_same_time_are_all_listed() {
    let case = Case::new();
    let image = case.serve("a", b"layer");
    let subject = &image.manifests[1].0;
    std::thread::scope(|scope| {
        for document in [b"1", b"2", b"3", b"4"] {
            let case = &case;
            scope.spawn(move || put(case, subject, artifact(SBOM, document)).unwrap());
        }
    });
    assert_eq!(list(&case, subject, None).unwrap().len(), 4);
}

#[test]
fn a_list_that_others_replace_is_written_again() {
    let empty = br#"{"schemaVersion":2,"manifests":[]}"#;
    let case = Case::new();
    let image = case.serve("a", b"layer");
    let subject = &image.manifests[1].0;
    let lost = || Fault::Body(200, MediaType::INDEX, empty.to_vec());
    for _ in 0..3 {
        case.fake.fault("GET", "/manifests/sha256-", lost());
    }
    put(&case, subject, artifact(SBOM, b"1")).unwrap();
    let lines = case.fake.lines().into_iter();
    let written = lines.filter(|line| line.starts_with("PUT") && line.contains("sha256-"));
    assert_eq!(written.count(), 3);
    for _ in 0..8 {
        case.fake.fault("GET", "/manifests/sha256-", lost());
    }
    let error = put(&case, subject, artifact(SBOM, b"2")).unwrap_err();
    assert!(matches!(error, RegistryError::Contended { .. }), "{error}");
}

#[test]
fn broken_lists_are_named() {
    for bytes in ["{}", "[]", "no JSON"] {
        let case = Case::new();
        let image = case.serve("a", b"layer");
        let subject = &image.manifests[1].0;
        for _ in 0..2 {
            let body = Fault::Body(200, MediaType::INDEX, bytes.into());
            case.fake.fault("GET", "/manifests/sha256-", body);
        }
        let error = put(&case, subject, artifact(SBOM, b"1")).unwrap_err();
        assert!(matches!(error, RegistryError::Document { .. }), "{error}");
        let error = list(&case, subject, None).unwrap_err();
        assert!(matches!(error, RegistryError::Document { .. }), "{error}");
    }
    // A page that leads away.
    let case = Case::new();
    let image = case.serve("a", b"layer");
    let headers = vec![
        ("Content-Type", MediaType::INDEX.to_owned()),
        ("Link", "<http://other.test/x>; rel=\"next\"".to_owned()),
    ];
    case.fake
        .fault("GET", "/referrers/", Fault::Status(200, headers));
    let error = list(&case, &image.manifests[0].0, None).unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}
