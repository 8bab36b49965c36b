//! Parts lists.

use std::collections::{BTreeMap, BTreeSet};

use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::validation::Validate as _;
use envbox_lockfiles::base::{Compression, Digest, ImageReference, Platform};
use envbox_lockfiles::lock::{BuiltFrom, LockedBase, LockedImage, LockedLayer, Lockfile, Origin};
use serde_json::Value;

use crate::attest::tests::licences::trees;
use crate::attest::tests::{AMD64, artifact, epoch, lock, subject, wheel};
use crate::attest::{Licences, PREDICATE_SPDX, SbomFormat, SbomOptions, Statement, sbom};

fn options(format: SbomFormat, platform: Platform) -> SbomOptions {
    SbomOptions {
        format,
        platform,
        created: epoch(),
    }
}

fn bytes(format: SbomFormat) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let licences = Licences::read(&lock(), AMD64, &trees(directory.path())).unwrap();
    sbom(&lock(), &licences, &options(format, AMD64))
        .unwrap()
        .to_bytes()
}

fn document(format: SbomFormat) -> Value {
    serde_json::from_slice(&bytes(format)).unwrap()
}

/// The text, without what changes with each release of envbox or of the list of licences.
fn shown(format: SbomFormat) -> String {
    let text = String::from_utf8(bytes(format)).unwrap();
    let document = document(format);
    let release = env!("CARGO_PKG_VERSION");
    let mut text = text
        .replace(&format!("envbox-{release}"), "envbox-[RELEASE]")
        .replace(
            &format!("\"version\": \"{release}\""),
            "\"version\": \"[RELEASE]\"",
        );
    for (pointer, name) in [
        ("/documentNamespace", "[NAMESPACE]"),
        ("/serialNumber", "[SERIAL]"),
        ("/creationInfo/licenseListVersion", "[LIST]"),
    ] {
        if let Some(value) = document.pointer(pointer) {
            text = text.replace(value.as_str().unwrap(), name);
        }
    }
    text
}

#[test]
fn spdx() {
    insta::assert_snapshot!(shown(SbomFormat::Spdx));
}

#[test]
fn cyclonedx() {
    insta::assert_snapshot!(shown(SbomFormat::CycloneDx));
}

/// What the Python resolver's crate reads and finds valid.
#[test]
fn cyclonedx_is_read_by_another() {
    let bytes = bytes(SbomFormat::CycloneDx);
    let bom = Bom::parse_from_json_v1_5(bytes.as_slice()).unwrap();
    assert!(bom.validate().passed(), "{:?}", bom.validate());
    assert_eq!(bom.components.unwrap().0.len(), 6);
}

#[test]
fn a_document_is_equal_everywhere() {
    for format in [SbomFormat::Spdx, SbomFormat::CycloneDx] {
        // Each has its trees in another place.
        assert_eq!(bytes(format), bytes(format));
    }
}

#[test]
fn documents_of_other_contents_have_other_names() {
    let mut other = lock();
    other.python[0].artifact.size += 1;
    let name = |lock: &Lockfile, format, platform, licences: &Licences| {
        let list = sbom(lock, licences, &options(format, platform)).unwrap();
        let document: Value = serde_json::from_slice(&list.to_bytes()).unwrap();
        let name = document
            .get("documentNamespace")
            .or(document.get("serialNumber"));
        name.unwrap().as_str().unwrap().to_owned()
    };
    let directory = tempfile::tempdir().unwrap();
    let licences = Licences::read(&lock(), AMD64, &trees(directory.path())).unwrap();
    for format in [SbomFormat::Spdx, SbomFormat::CycloneDx] {
        let names: BTreeSet<String> = [
            name(&lock(), format, AMD64, &licences),
            name(&lock(), format, AMD64, &Licences::default()),
            name(&lock(), format, Platform::LinuxArm64, &licences),
            name(&other, format, AMD64, &licences),
        ]
        .into();
        assert_eq!(names.len(), 4, "{names:?}");
    }
}

/// Returns a lock with a wheel that was built of a source distribution, with a tool that the
/// environment has as well and one that it has not.
fn lock_with_built() -> Lockfile {
    let mut lock = lock();
    let tools = vec![
        lock.python[2].clone(),
        wheel("setuptools", "75.0", &["manifest"]),
    ];
    let mut made = wheel("made", "3", &["manifest"]);
    made.artifact.origin = Origin::Built;
    made.built_from = Some(Box::new(BuiltFrom {
        source: artifact("pypi", "made-3.tar.gz"),
        requires: tools,
    }));
    lock.python.push(made);
    lock
}

#[test]
fn a_built_wheel_names_its_source_and_what_built_it() {
    let lock = lock_with_built();
    let directory = tempfile::tempdir().unwrap();
    // Trees of what is in no environment are not asked for.
    let mut trees = trees(directory.path());
    let like = trees[&lock.python[2].artifact.digest].clone();
    trees.insert(lock.python[3].artifact.digest, like);
    let licences = Licences::read(&lock, AMD64, &trees).unwrap();
    let list = |format| {
        let list = sbom(&lock, &licences, &options(format, AMD64)).unwrap();
        list.to_bytes()
    };
    let spdx: Value = serde_json::from_slice(&list(SbomFormat::Spdx)).unwrap();
    let packages = spdx["packages"].as_array().unwrap();
    let id = |file: &str| {
        let found = packages.iter().find(|one| one["packageFileName"] == file);
        found.unwrap()["SPDXID"].as_str().unwrap()
    };
    let relations: Vec<String> = spdx["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap();
            let (from, to) = (text("spdxElementId"), text("relatedSpdxElement"));
            format!("{from} {} {to}", text("relationshipType"))
        })
        .collect();
    let made = id("made-3-py3-none-any.whl");
    let source = id("made-3.tar.gz");
    let tool = id("setuptools-75.0-py3-none-any.whl");
    for expected in [
        format!("{made} GENERATED_FROM {source}"),
        format!("{tool} BUILD_TOOL_OF {made}"),
        format!("{} BUILD_TOOL_OF {made}", id("library-2-py3-none-any.whl")),
    ] {
        assert!(relations.contains(&expected), "{expected}: {relations:?}");
    }
    // What is not in the environment is not said to be.
    for absent in [source, tool] {
        let contained = format!("SPDXRef-Environment CONTAINS {absent}");
        assert!(!relations.contains(&contained), "{relations:?}");
    }

    let bytes = list(SbomFormat::CycloneDx);
    let bom = Bom::parse_from_json_v1_5(bytes.as_slice()).unwrap();
    assert!(bom.validate().passed(), "{:?}", bom.validate());
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let component = |name: &str, scope: Value| {
        let mut all = document["components"].as_array().unwrap().iter();
        let found = all.find(|one| one["name"] == name && one["scope"] == scope);
        found.unwrap().clone()
    };
    let source = component("made", "excluded".into());
    assert_eq!(source["purl"], "pkg:pypi/made@3?file_name=made-3.tar.gz");
    let made = component("made", Value::Null);
    assert_eq!(made["pedigree"]["ancestors"][0]["purl"], source["purl"]);
    component("setuptools", "excluded".into());
    let mut needs = document["dependencies"].as_array().unwrap().iter();
    let needs = needs.find(|one| one["ref"] == source["purl"]).unwrap();
    let expected = ["pkg:pypi/library@2", "pkg:pypi/setuptools@75.0"];
    assert_eq!(needs["dependsOn"], serde_json::json!(expected));
}

/// Ids are unique, and every relation leads to one.
#[test]
fn relations_lead_to_packages() {
    let spdx = document(SbomFormat::Spdx);
    let mut ids: BTreeSet<&str> = ["SPDXRef-DOCUMENT"].into();
    for package in spdx["packages"].as_array().unwrap() {
        let id = package["SPDXID"].as_str().unwrap();
        assert!(ids.insert(id), "{id} twice");
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        assert!(id.chars().all(allowed), "{id}");
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for relation in spdx["relationships"].as_array().unwrap() {
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(ids.contains(relation[end].as_str().unwrap()), "{relation}");
        }
        *kinds
            .entry(relation["relationshipType"].as_str().unwrap())
            .or_default() += 1;
    }
    // libstdc++6 on libc6 and app on library; the environment on libc6, libstdc++6, the
    // interpreter, app and direct.
    assert_eq!(
        kinds,
        [("CONTAINS", 6), ("DEPENDS_ON", 7), ("DESCRIBES", 1)].into()
    );

    let bom = document(SbomFormat::CycloneDx);
    let dependencies = bom["dependencies"].as_array().unwrap();
    let count = |one: &Value| one["dependsOn"].as_array().unwrap().len();
    assert_eq!(dependencies.iter().map(count).sum::<usize>(), 7);
    assert_eq!(dependencies.len(), 7);
}

#[test]
fn no_document_names_a_host() {
    let mut lock = lock();
    lock.python.remove(1);
    for format in [SbomFormat::Spdx, SbomFormat::CycloneDx] {
        let list = sbom(&lock, &Licences::default(), &options(format, AMD64)).unwrap();
        let text = String::from_utf8(list.to_bytes()).unwrap();
        let own = ["https://spdx.org/spdxdocs", "http://cyclonedx.org/schema"];
        let text = own.iter().fold(text, |text, own| text.replace(own, ""));
        assert!(!text.contains("://"), "{text}");
    }
}

#[test]
fn a_list_becomes_a_statement() {
    let list = sbom(
        &lock(),
        &Licences::default(),
        &options(SbomFormat::Spdx, AMD64),
    )
    .unwrap();
    let statement = Statement::parse(&list.statement(&subject())).unwrap();
    assert_eq!(statement.predicate_type, PREDICATE_SPDX);
    assert_eq!(statement.subjects, [subject().digest]);
    let document: Value = serde_json::from_slice(&list.to_bytes()).unwrap();
    assert_eq!(statement.predicate, document);
}

#[test]
fn the_layers_of_a_base_are_listed() {
    let digest = Digest::of(b"index");
    let reference: ImageReference = format!("images/library/debian@{digest}").parse().unwrap();
    let blob = Digest::of(b"layer");
    let layer = LockedLayer::new(&reference, blob, 7, Compression::Gzip, Digest::of(b"tar"));
    let mut lock = lock();
    lock.base = Some(LockedBase {
        images: vec![LockedImage {
            platform: AMD64,
            manifest: digest,
            glibc: None,
            layers: vec![layer],
        }],
        reference,
    });
    for format in [SbomFormat::Spdx, SbomFormat::CycloneDx] {
        let list = sbom(&lock, &Licences::default(), &options(format, AMD64)).unwrap();
        let text = String::from_utf8(list.to_bytes()).unwrap();
        assert!(text.contains(&format!("pkg:oci/debian@{blob}")), "{text}");
        assert!(text.contains(&blob.hex()) && text.contains("library/debian"));
    }
}
