use std::fs;
use std::path::Path;

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;

use crate::record::{
    Block, BlockName, ChangeKind, CodeNoted, CodeSeen, ComputeNoted, ComputeSeen, DataNoted,
    DataSeen, EndedRecord, Ending, EntropyNoted, EntropySeen, EntryType, Firmness, Journal,
    JournalError, LibrariesNoted, LibrariesSeen, Output, ParametersNoted, ParametersSeen, RunId,
    RunName, RunRecord, RunRecordError, Tower, UsageRecord, compare,
};

#[path = "../../../tests/support/schema.rs"]
mod schema;

fn held<S: serde::Serialize, N: Default>(seen: S) -> Block<S, N> {
    Block::new(seen, N::default(), Firmness::Held, Vec::new())
}

/// An output with this content.
pub(crate) fn output(path: &str, text: &str) -> Output {
    let path = serde_json::from_str(&format!("{{\"path\":\"{path}\"}}")).unwrap();
    Output {
        path,
        kind: ChangeKind::Created,
        r#type: EntryType::File,
        size: Some(text.len() as u64),
        sha256: Some(Digest::of(text.as_bytes())),
        mode: Some("0644".to_owned()),
        target: None,
        written: true,
        kept: false,
    }
}

/// A record of a run that began `second` seconds after some time.
pub(crate) fn record(second: i64) -> RunRecord {
    let started = Timestamp::from_second(1_800_000_000 + second).unwrap();
    RunRecord {
        run: RunId::new(started, b""),
        started,
        envbox: "0.1.0".to_owned(),
        environment: "iris".to_owned(),
        project: Some("/home/me/iris".into()),
        tower: Tower {
            code: held::<_, CodeNoted>(CodeSeen {
                tree: Digest::of(b"tree"),
            }),
            parameters: held::<_, ParametersNoted>(ParametersSeen {
                argv: vec!["python".to_owned(), "train.py".to_owned()],
                argv0: None,
                directory: "/project".into(),
                env: [("A".to_owned(), "b".to_owned())].into(),
                passed: Default::default(),
                files: Default::default(),
            }),
            libraries: held::<_, LibrariesNoted>(LibrariesSeen {
                lock: Digest::of(b"lock"),
                rootfs: "00".to_owned(),
            }),
            compute: held::<_, ComputeNoted>(ComputeSeen {
                cpus: 1,
                baseline: "x86-64-v3".to_owned(),
                cpu: None,
                gpu: None,
            }),
            data: held::<_, DataNoted>(DataSeen::default()),
            entropy: held::<_, EntropyNoted>(EntropySeen {
                seed: 0,
                clock: "logical".to_owned(),
                epoch: Timestamp::UNIX_EPOCH,
                hostname: "envbox".to_owned(),
                network: "none".to_owned(),
                file_status: "host".to_owned(),
                project: "overlay".to_owned(),
            }),
        },
        ended: Some(EndedRecord {
            exit: Ending::Code(0),
            stdout: None,
            stderr: None,
            outputs: Some(vec![output("a", "one"), output("b", "two")]),
            usage: UsageRecord::default(),
            warnings: Vec::new(),
        }),
    }
}

fn parse(text: &str) -> Result<RunRecord, RunRecordError> {
    RunRecord::parse(text.as_bytes(), Path::new("run.json"))
}

#[test]
fn a_changed_record_is_noticed() {
    let record = record(0);
    let text = String::from_utf8(record.to_bytes()).unwrap();
    assert_eq!(parse(&text).unwrap(), record);
    // Layout does not matter, and members that a later envbox adds do.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parse(&value.to_string()).unwrap(), record);
    for (from, to) in [("train.py", "other.py"), ("\"seed\": 0", "\"seed\": 1")] {
        assert!(text.contains(from));
        let error = parse(&text.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(error, RunRecordError::Tampered { .. }), "{error}");
    }
    for (text, message) in [
        (
            text.replace("envbox.run/1", "envbox.run/2"),
            "`run.json` was written by a later envbox (`envbox.run/2`)",
        ),
        (
            text.replace("envbox.run/1", "envbox.lock/1"),
            "`run.json` is not a run record but `envbox.lock/1`",
        ),
        (text[..100].to_owned(), "`run.json` is not a run record"),
        ("{}".to_owned(), "`run.json` is not a run record but ``"),
    ] {
        assert_eq!(parse(&text).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_document_follows_its_schema() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../schema.json")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&record(0).to_bytes()).unwrap();
    let mut wrong = Vec::new();
    schema::check(&schema, &schema, &document, "", &mut wrong);
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_lowest_block_that_differs_is_named() {
    let old = record(0);
    let mut new = record(1);
    assert!(compare(&old, &new).is_same());
    assert_eq!(compare(&old, &new).lowest, None);
    // What the step could not see is told, and is no difference.
    new.tower.compute.noted.kernel = "6.18.5".to_owned();
    let same = compare(&old, &new);
    assert_eq!((same.lowest, same.is_same()), (None, true));
    assert_eq!(same.blocks[3].noted[0].name, "kernel");
    let EntropySeen { .. } = new.tower.entropy.seen;
    let seen = EntropySeen {
        seed: 7,
        ..new.tower.entropy.seen.clone()
    };
    new.tower.entropy = held(seen);
    let tree = Digest::of(b"another");
    new.tower.code = held(CodeSeen { tree });
    let ended = new.ended.as_mut().unwrap();
    ended.exit = Ending::Signal(9);
    ended.outputs = Some(vec![
        output("a", "one"),
        output("b", "three"),
        output("c", ""),
    ]);
    let comparison = compare(&old, &new);
    assert_eq!(comparison.lowest, Some(BlockName::Entropy));
    let names: Vec<_> = comparison
        .blocks
        .iter()
        .filter(|one| !one.same)
        .map(|one| one.block.name())
        .collect();
    assert_eq!(names, ["code", "entropy"]);
    let seed = &comparison.blocks[5].seen[0];
    assert_eq!(
        (&*seed.name, seed.old.as_deref(), seed.new.as_deref()),
        ("seed", Some("0"), Some("7"))
    );
    let outputs = comparison.outputs.unwrap();
    let paths: Vec<_> = outputs.iter().map(|one| &*one.path).collect();
    assert_eq!(paths, ["b", "c"]);
    let ended = comparison.ended.unwrap();
    assert_eq!(ended.new.as_deref(), Some("signal 9"));
}

#[test]
fn runs_are_found_by_what_people_call_them() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::at(&directory.path().join("runs"));
    assert_eq!(journal.runs().unwrap(), []);
    journal.create().unwrap();
    let (old, new) = (record(0), record(60));
    let elsewhere = RunRecord {
        project: Some("/other".into()),
        ..record(30)
    };
    for record in [&old, &new, &elsewhere] {
        journal.begin(record).unwrap();
        journal.end(record).unwrap();
    }
    let find = |text: &str, project: Option<&str>| {
        let name: RunName = text.parse().unwrap();
        let found = journal.find(&name, project.map(Path::new));
        found.map(|record| record.run)
    };
    let id = old.run.to_string();
    assert_eq!(find("@1", None).unwrap(), new.run);
    assert_eq!(find("@2", None).unwrap(), elsewhere.run);
    assert_eq!(find("@2", Some("/home/me/iris")).unwrap(), old.run);
    assert_eq!(find(&id, None).unwrap(), old.run);
    assert_eq!(find(&old.run.short(), None).unwrap(), old.run);
    let file = directory.path().join("golden.json");
    fs::write(&file, old.to_bytes()).unwrap();
    assert_eq!(find(file.to_str().unwrap(), None).unwrap(), old.run);
    journal.tag(old.run, "baseline").unwrap();
    assert_eq!(find("baseline", None).unwrap(), old.run);
    let message = |text: &str, project| find(text, project).unwrap_err().to_string();
    assert_eq!(
        message("@3", Some("/other")),
        "there is no run `@3`: 1 are on record for this project"
    );
    assert_eq!(message("nobody", None), "no run is named `nobody`");
    // The first digits are the time, which these runs nearly share.
    assert!(message(&id[..4], None).starts_with(&format!("`{}` names 3 runs: ", &id[..4])));
    for bad in ["", "1st", "beef", "a/b", "..", "a b"] {
        let error = journal.tag(old.run, bad).unwrap_err();
        assert!(matches!(error, JournalError::Tag { .. }), "{bad}");
    }
    journal.remove(old.run).unwrap();
    assert_eq!(message("baseline", None), "no run is named `baseline`");
    assert_eq!(journal.runs().unwrap(), [new.run, elsewhere.run]);
}
