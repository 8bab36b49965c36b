use serde_json::Value;

use crate::attest::{Builder, Statement};
use crate::record::tests::records::record;
use crate::record::{Ending, RunRecord};

use super::*;

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn failed() -> RunRecord {
    let mut record = record(0);
    record.ended.as_mut().unwrap().exit = Ending::Signal(11);
    record
}

#[test]
fn no_document_names_the_host() {
    let record = record(0);
    let project = record.project.clone().unwrap();
    let crate_of = ro_crate(&record, |_| true);
    for document in [
        provenance(&record, &Builder::default()),
        open_lineage(&record),
        crate_of.metadata,
    ] {
        let text = String::from_utf8(document).unwrap();
        assert!(!text.contains(project.to_str().unwrap()), "{text}");
    }
}

#[test]
fn provenance_is_about_what_came_out() {
    let statement = Statement::parse(&provenance(&record(0), &Builder::default())).unwrap();
    let names: Vec<_> = record(0)
        .results()
        .map(|output| output.sha256.unwrap())
        .collect();
    assert_eq!(statement.subjects, names);
    let definition = &statement.predicate["buildDefinition"];
    assert_eq!(definition["externalParameters"]["argv"][1], "train.py");
    assert_eq!(definition["resolvedDependencies"][1]["name"], "envbox.lock");
    let metadata = &statement.predicate["runDetails"]["metadata"];
    assert_eq!(metadata["invocationId"], record(0).run.to_string());
    // Of nothing, it is about the record.
    let mut nothing = record(0);
    nothing.ended.as_mut().unwrap().outputs = None;
    let statement = Statement::parse(&provenance(&nothing, &Builder::default())).unwrap();
    assert_eq!(statement.subjects.len(), 1);
}

#[test]
fn an_event_says_how_the_run_ended() {
    let event = parsed(&open_lineage(&record(0)));
    assert_eq!(event["eventType"], "COMPLETE");
    assert_eq!(event["outputs"][1]["name"], "b");
    assert_eq!(parsed(&open_lineage(&failed()))["eventType"], "FAIL");
    let running = RunRecord {
        ended: None,
        ..record(0)
    };
    assert_eq!(parsed(&open_lineage(&running))["eventType"], "START");
}

#[test]
fn a_crate_has_the_files_that_it_names() {
    let first = record(0).results().next().unwrap().sha256.unwrap();
    let crate_of = ro_crate(&record(0), |digest| *digest == first);
    let paths: Vec<_> = crate_of.files.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, ["outputs/a", "run.json"]);
    let metadata = parsed(&crate_of.metadata);
    let graph = metadata["@graph"].as_array().unwrap();
    let entity = |id: &str| graph.iter().find(|one| one["@id"] == id).unwrap();
    let parts = entity("./")["hasPart"].as_array().unwrap();
    let parts: Vec<_> = parts
        .iter()
        .map(|part| part["@id"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["run.json", "outputs/a"]);
    // Whatever is referred to is there.
    let ids: Vec<_> = graph
        .iter()
        .map(|one| one["@id"].as_str().unwrap())
        .collect();
    let action = entity(&format!("#{}", record(0).run));
    for name in ["object", "result"] {
        for one in action[name].as_array().unwrap() {
            assert!(ids.contains(&one["@id"].as_str().unwrap()), "{one}");
        }
    }
}
