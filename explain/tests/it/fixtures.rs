//! Files that the real libraries wrote, compared: what is said about each pair is kept beside this
//! file, and a change of it is read like a change of the code.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use envbox_explain::{ExplainError, Limits, explain, explain_as};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/explain")
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(fixtures().join("old")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 60, "{names:?}");
    names
}

#[test]
fn every_pair_is_explained() {
    let mut all = String::new();
    for name in names() {
        let paths = ["old", "new"].map(|side| fixtures().join(side).join(&name));
        let told = explain(&paths[0], &paths[1], &Limits::default()).unwrap();
        assert!(!told.same, "{name}");
        assert!(!told.differences.is_empty(), "{name}");
        all.push_str(&format!("== {name}\n{}\n", told.render().join("\n")));
    }
    insta::assert_snapshot!("fixtures", all);
}

#[test]
fn files_are_the_same_as_themselves() {
    for name in names() {
        let path = fixtures().join("old").join(&name);
        let told = explain(&path, &path, &Limits::default()).unwrap();
        assert!(
            told.same && !told.metadata_only && told.differences.is_empty(),
            "{name}"
        );
    }
}

/// How a pickle is spelt changes with its protocol, and what it holds does not.
#[test]
fn one_model_is_one_model_in_every_protocol() {
    for (left, right, spelt) in [
        // Before protocol 2 objects are made by a call of their own.
        ("model0.pkl", "model1.pkl", &[][..]),
        (
            "model1.pkl",
            "model2.pkl",
            &["['model'].__class__", "['model'].__args__"],
        ),
        ("model2.pkl", "model3.pkl", &[]),
        ("model3.pkl", "model4.pkl", &[]),
        ("model4.pkl", "model5.pkl", &[]),
    ] {
        let paths = [left, right].map(|name| fixtures().join("old").join(name));
        let told = explain(&paths[0], &paths[1], &Limits::default()).unwrap();
        let seen = told
            .differences
            .iter()
            .filter(|difference| !difference.metadata);
        let seen: Vec<&str> = seen.map(|difference| difference.at.as_str()).collect();
        assert_eq!(seen, spelt, "{left} {right}: {:?}", told.differences);
    }
}

/// Writes the members of a checkpoint as torch 2 does: with facts about the file beside them.
fn as_torch_2(from: &Path, stem: &str, serialization_id: &str, to: &Path) {
    let mut old = zip::ZipArchive::new(File::open(from).unwrap()).unwrap();
    let mut new = zip::ZipWriter::new(File::create(to).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        new.start_file(format!("{stem}/{name}"), stored).unwrap();
        new.write_all(bytes).unwrap();
    };
    add(".format_version", b"1");
    add(".storage_alignment", b"64");
    add("byteorder", b"little");
    for index in 0..old.len() {
        let mut member = old.by_index(index).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        add(member.name().split_once('/').unwrap().1, &bytes);
    }
    add(".data/serialization_id", serialization_id.as_bytes());
    new.finish().unwrap();
}

/// What torch 2 says about a file beside its tensors carries no value.
#[test]
fn checkpoints_of_torch_2_are_compared_by_their_tensors() {
    let directory = tempfile::tempdir().unwrap();
    let made = |side: &str, stem: &str, serialization_id: &str| {
        let to = directory.path().join(format!("{side}-{stem}.pt"));
        let from = fixtures().join(side).join("checkpoint.pt");
        as_torch_2(&from, stem, serialization_id, &to);
        to
    };
    let first = made("old", "model", "1111111111111111111100000000000000000001");
    let renamed = made("old", "best", "2222222222222222222200000000000000000002");
    let other = made("new", "best", "3333333333333333333300000000000000000003");
    let older = fixtures().join("old/checkpoint.pt");
    let limits = Limits::default();
    for then in [&renamed, &older] {
        let told = explain(&first, then, &limits).unwrap();
        assert_eq!(
            (told.kind, told.same, told.metadata_only),
            ("torch", false, true)
        );
    }
    let told = explain(&first, &renamed, &limits).unwrap();
    assert_eq!(
        told.render(),
        [
            "torch: different, only in what carries no value",
            "  whole: model/ -> best/",
            "    directory in the archive: torch names it after the file",
            "  member .data/serialization_id: 1111111111111111111100000000000000000001 -> \
             2222222222222222222200000000000000000002",
            "    how torch wrote the file",
        ]
    );
    let values = |old: &Path, new: &Path| {
        let told = explain(old, new, &limits).unwrap();
        assert!(!told.metadata_only);
        let values = told.differences.into_iter().filter(|one| !one.metadata);
        values.map(|one| one.at).collect::<Vec<_>>()
    };
    let newer = fixtures().join("new/checkpoint.pt");
    assert_eq!(values(&first, &other), values(&older, &newer));
}

#[test]
fn directories_are_compared_file_by_file() {
    let limits = Limits {
        differences: 1000,
        ..Limits::default()
    };
    let told = explain(&fixtures().join("old"), &fixtures().join("new"), &limits).unwrap();
    assert_eq!(
        (told.kind, told.same, told.metadata_only),
        ("directory", false, false)
    );
    let at = |wanted: &str| {
        told.differences
            .iter()
            .any(|difference| difference.at == wanted)
    };
    assert!(at("member weights.npy: [3, 17]") && at("member content.tar: member a.txt: line 1"));
    let same = explain(&fixtures().join("old"), &fixtures().join("old"), &limits).unwrap();
    assert!(same.same);
}

#[test]
fn differences_beyond_the_limit_are_counted() {
    let few = Limits {
        differences: 2,
        ..Limits::default()
    };
    let paths = ["old", "new"].map(|side| fixtures().join(side).join("early.h5"));
    let all = explain(&paths[0], &paths[1], &Limits::default()).unwrap();
    let told = explain(&paths[0], &paths[1], &few).unwrap();
    assert_eq!(told.differences.len(), 2);
    assert_eq!(told.more, all.differences.len() as u64 - 2);
    assert!(told.render().last().unwrap().contains("more differences"));
}

#[test]
fn files_without_their_names_are_explained_by_the_name_they_had() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["old", "new"].map(|side| {
        let blob = directory.path().join(side);
        std::fs::copy(fixtures().join(side).join("table.csv"), &blob).unwrap();
        blob
    });
    let told = explain_as("out/table.csv", &paths[0], &paths[1], &Limits::default()).unwrap();
    assert_eq!(
        (told.kind, told.differences[0].at.as_str()),
        ("csv", "['loss'][2]")
    );
}

#[test]
fn an_explanation_is_plain_json() {
    let paths = ["old", "new"].map(|side| fixtures().join(side).join("infinite.npy"));
    let told = explain(&paths[0], &paths[1], &Limits::default()).unwrap();
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["differences"][0]["numbers"]["not_finite"], 1);
    assert_eq!(json["differences"][0]["metadata"], false);
    assert!(json["differences"][0]["numbers"].get("max_abs").is_none());
}

#[test]
fn what_cannot_be_compared_at_all_is_said() {
    let old = fixtures().join("old");
    let missing = explain(&old.join("nothing"), &old, &Limits::default()).unwrap_err();
    assert!(matches!(missing, ExplainError::Open { .. }), "{missing}");
    let kinds = explain(&old, &old.join("log.txt"), &Limits::default()).unwrap_err();
    assert!(kinds.to_string().contains("is a directory"), "{kinds}");
    let device = std::path::Path::new("/dev/zero");
    assert!(explain(device, device, &Limits::default()).is_err());
}
