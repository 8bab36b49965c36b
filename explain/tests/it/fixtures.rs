//! Files that the real libraries wrote, compared: what is said about each pair is kept beside this
//! file, and a change of it is read like a change of the code.

use std::path::PathBuf;

use envbox_explain::{ExplainError, Limits, explain, explain_as};

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
