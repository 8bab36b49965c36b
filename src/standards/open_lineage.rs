//! OpenLineage events (<https://openlineage.io/spec/2-0-2/OpenLineage.json>).

use envbox_lockfiles::base::Digest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::record::RunRecord;
use crate::standards::{finished, succeeded};

/// Who writes events.
const PRODUCER: &str = concat!("urn:envbox:", env!("CARGO_PKG_VERSION"));

/// The schema of the event.
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// The schema of our own facets.
const FACET: &str = "urn:envbox:facet:1";

/// The namespace of jobs and datasets.
const NAMESPACE: &str = "envbox";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: &'static str,
    event_time: String,
    run: Value,
    job: Value,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    producer: &'static str,
    #[serde(rename = "schemaURL")]
    schema: &'static str,
}

/// Returns the event that a run has ended, or that it has begun if it did not end.
pub fn open_lineage(record: &RunRecord) -> Vec<u8> {
    let tower = &record.tower;
    let blocks = json!({
        "code": tower.code.digest,
        "parameters": tower.parameters.digest,
        "libraries": tower.libraries.digest,
        "compute": tower.compute.digest,
        "data": tower.data.digest,
        "entropy": tower.entropy.digest,
    });
    let facet = facet(json!({
        "lock": tower.libraries.seen.lock,
        "argv": tower.parameters.seen.argv,
        "tower": blocks,
    }));
    let ended = succeeded(record);
    let event = Event {
        event_type: match ended {
            None => "START",
            Some(true) => "COMPLETE",
            Some(false) => "FAIL",
        },
        event_time: finished(record).unwrap_or(record.started).to_string(),
        run: json!({ "runId": record.run, "facets": { "envbox_run": facet } }),
        job: json!({ "namespace": NAMESPACE, "name": record.environment }),
        inputs: tower
            .data
            .seen
            .inputs
            .iter()
            .map(|(path, digest)| dataset(path, digest, None))
            .collect(),
        outputs: record
            .results()
            .filter_map(|output| {
                Some(dataset(
                    &output.path.to_string(),
                    &output.sha256?,
                    output.size,
                ))
            })
            .collect(),
        producer: PRODUCER,
        schema: SCHEMA,
    };
    let mut bytes = serde_json::to_vec_pretty(&event).expect("all keys are text");
    bytes.push(b'\n');
    bytes
}

fn dataset(path: &str, digest: &Digest, size: Option<u64>) -> Value {
    let facet = facet(json!({ "sha256": digest.hex(), "size": size }));
    json!({ "namespace": NAMESPACE, "name": path, "facets": { "envbox_content": facet } })
}

/// Every facet says who made it, and by which schema.
fn facet(mut content: Value) -> Value {
    if let Some(members) = content.as_object_mut() {
        members.insert("_producer".to_owned(), PRODUCER.into());
        members.insert("_schemaURL".to_owned(), FACET.into());
    }
    content
}
