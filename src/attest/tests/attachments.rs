//! What lies beside an image.

use envbox_lockfiles::base::Digest;

use crate::attest::tests::{epoch, key, lock, subject};
use crate::attest::{
    Attachment, Blob, Builder, InvalidSubject, PREDICATE_PROVENANCE, Subject, SubjectDescriptor,
    fallback_tag, provenance, sign_payload, sign_statement, signatures_in,
};

fn descriptor() -> SubjectDescriptor {
    SubjectDescriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        digest: subject().digest,
        size: 10,
    }
}

fn text(blob: &Blob) -> String {
    let document: serde_json::Value = serde_json::from_slice(&blob.bytes).unwrap();
    serde_json::to_string_pretty(&document).unwrap()
}

/// Every descriptor of a manifest must be of a blob that is pushed with it.
fn check(attachment: &Attachment) {
    let manifest: serde_json::Value = serde_json::from_slice(&attachment.manifest.bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let listed = [&manifest["config"]].into_iter().chain(layers);
    let listed: Vec<_> = listed
        .map(|one| {
            (
                one["mediaType"].clone(),
                one["digest"].clone(),
                one["size"].clone(),
            )
        })
        .collect();
    let pushed = attachment.blobs.iter().map(|blob| {
        let (digest, size) = (blob.digest().to_string(), blob.bytes.len());
        (blob.media_type.clone().into(), digest.into(), size.into())
    });
    assert_eq!(listed, pushed.collect::<Vec<_>>());
    assert_eq!(manifest["mediaType"], attachment.manifest.media_type);
}

#[test]
fn a_parts_list_refers_to_its_image() {
    let content = Blob {
        media_type: "application/spdx+json".to_owned(),
        bytes: b"{\"spdxVersion\":\"SPDX-2.3\"}".to_vec(),
    };
    let referrer = Attachment::referrer(&descriptor(), content, None, epoch());
    check(&referrer);
    assert_eq!(
        (referrer.artifact_type.as_str(), &referrer.tag),
        ("application/spdx+json", &None)
    );
    insta::assert_snapshot!(text(&referrer.manifest));
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
    assert_eq!(referrer, again);
    let manifest: serde_json::Value = serde_json::from_slice(&referrer.manifest.bytes).unwrap();
    assert_eq!(
        manifest["artifactType"],
        "application/vnd.dsse.envelope.v1+json"
    );
    assert_eq!(manifest["subject"]["digest"], subject().digest.to_string());
    let annotation = &manifest["annotations"]["in-toto.io/predicate-type"];
    assert_eq!(annotation, PREDICATE_PROVENANCE);

    let unsigned = Attachment::referrer(&descriptor(), Blob::statement(statement), kind, epoch());
    assert_eq!(unsigned.artifact_type, "application/vnd.in-toto+json");
}

#[test]
fn signatures_are_found_again() {
    let signed = sign_payload(&key(), &subject());
    let attachment =
        Attachment::cosign_signatures(subject().digest, &[signed.clone(), signed.clone()]);
    check(&attachment);
    let tag = format!("{}.sig", fallback_tag(subject().digest));
    assert_eq!(attachment.tag.as_deref(), Some(tag.as_str()));
    let found = signatures_in(&attachment.manifest.bytes).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].payload, &found[0].signature),
        (Digest::of(&signed.0), &signed.1)
    );
    insta::assert_snapshot!(text(&attachment.manifest));

    let envelope = sign_statement(&key(), b"{}");
    let attachment =
        Attachment::cosign_attestations(subject().digest, &[(envelope, PREDICATE_PROVENANCE)]);
    check(&attachment);
    assert!(attachment.tag.unwrap().ends_with(".att"));
    assert_eq!(signatures_in(&attachment.manifest.bytes).unwrap(), []);
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
