//! What lies beside an image.

use std::collections::BTreeSet;

use envbox_lockfiles::base::Digest;

use crate::attest::tests::{epoch, key, lock, subject};
use crate::attest::{
    Attachment, Blob, Builder, InvalidSubject, PREDICATE_PROVENANCE, Subject, fallback_tag,
    provenance, sign_payload, sign_statement, signatures_in,
};
use crate::image::{Descriptor, ImageManifest, MediaType};
use crate::registry::BlobSource;

fn descriptor() -> Descriptor {
    Descriptor::new(MediaType::MANIFEST, subject().digest, 10)
}

/// Returns the manifest.
fn manifest(attachment: &Attachment) -> serde_json::Value {
    let [(descriptor, bytes)] = attachment.image.manifests.as_slice() else {
        panic!("one manifest: {:?}", attachment.image.manifests);
    };
    assert_eq!(descriptor.digest, Digest::of(bytes));
    serde_json::from_slice(bytes).unwrap()
}

fn text(attachment: &Attachment) -> String {
    serde_json::to_string_pretty(&manifest(attachment)).unwrap()
}

/// Every descriptor of a manifest must be of a blob that is pushed with it.
fn check(attachment: &Attachment) {
    let bytes = &attachment.image.manifests[0].1;
    let manifest = ImageManifest::parse(bytes).unwrap();
    let listed = manifest.layers.iter().chain([&manifest.config]);
    let listed: BTreeSet<Digest> = listed.map(|one| one.digest).collect();
    let pushed = attachment.image.blobs.iter().map(|(descriptor, source)| {
        let BlobSource::Bytes(bytes) = source else {
            panic!("in memory: {source:?}");
        };
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        assert_eq!((descriptor.digest, descriptor.size), (digest, size));
        digest
    });
    assert_eq!(listed, pushed.collect());
}

#[test]
fn a_parts_list_refers_to_its_image() {
    let content = Blob {
        media_type: "application/spdx+json".to_owned(),
        bytes: b"{\"spdxVersion\":\"SPDX-2.3\"}".to_vec(),
    };
    let referrer = Attachment::referrer(&descriptor(), content, None, epoch());
    check(&referrer);
    assert_eq!(referrer.tag, None);
    insta::assert_snapshot!(text(&referrer));
}

#[test]
fn an_envelope_refers_to_its_image() {
    let statement = provenance(&lock(), super::AMD64, &subject(), &Builder::default()).unwrap();
    let envelope = sign_statement(&key(), &statement);
    let content = Blob::envelope(&envelope);
    let kind = Some(PREDICATE_PROVENANCE);
    let referrer = Attachment::referrer(&descriptor(), content.clone(), kind, epoch());
    check(&referrer);
    let again = Attachment::referrer(&descriptor(), content, kind, epoch());
    assert_eq!(text(&referrer), text(&again));
    let found = manifest(&referrer);
    assert_eq!(
        found["artifactType"],
        "application/vnd.dsse.envelope.v1+json"
    );
    assert_eq!(found["subject"]["digest"], subject().digest.to_string());
    let annotation = &found["annotations"]["in-toto.io/predicate-type"];
    assert_eq!(annotation, PREDICATE_PROVENANCE);

    let unsigned = Attachment::referrer(&descriptor(), Blob::statement(statement), kind, epoch());
    let found = manifest(&unsigned);
    assert_eq!(found["artifactType"], "application/vnd.in-toto+json");
}

#[test]
fn signatures_are_found_again() {
    let signed = sign_payload(&key(), &subject());
    let attachment =
        Attachment::cosign_signatures(subject().digest, &[signed.clone(), signed.clone()]);
    check(&attachment);
    let tag = format!("{}.sig", fallback_tag(subject().digest));
    assert_eq!(attachment.tag, Some(tag.parse().unwrap()));
    let found = signatures_in(&attachment.image.manifests[0].1).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].payload, &found[0].signature),
        (Digest::of(&signed.0), &signed.1)
    );
    insta::assert_snapshot!(text(&attachment));

    let envelope = sign_statement(&key(), b"{}");
    let attachment =
        Attachment::cosign_attestations(subject().digest, &[(envelope, PREDICATE_PROVENANCE)]);
    check(&attachment);
    assert!(attachment.tag.unwrap().to_string().ends_with(".att"));
    assert_eq!(signatures_in(&attachment.image.manifests[0].1).unwrap(), []);
    assert!(signatures_in(b"{}").is_err());
}

#[test]
fn an_image_is_named_by_its_digest() {
    let digest = subject().digest;
    let text = format!("localhost:5000/team/iris@{digest}");
    let parsed: Subject = text.parse().unwrap();
    assert_eq!(
        (parsed.name.as_str(), parsed.digest),
        ("localhost:5000/team/iris", digest)
    );
    for found in [
        "iris",
        "iris:latest",
        &format!("@{digest}"),
        &format!("iris@{}", digest.hex()),
    ] {
        let error = found.parse::<Subject>().unwrap_err();
        let found = found.to_owned();
        assert_eq!(error, InvalidSubject { found });
    }
    assert_eq!(fallback_tag(digest), format!("sha256-{}", digest.hex()));
}
