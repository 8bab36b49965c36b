//! Workflow Run RO-Crates, of the profile for a process
//! (<https://w3id.org/ro/wfrun/process/0.5>).

use std::collections::BTreeSet;

use envbox_lockfiles::base::Digest;
use serde_json::{Value, json};

use crate::record::{Output, RunRecord};
use crate::standards::{finished, succeeded};

/// The context of RO-Crate 1.1.
const CONTEXT: &str = "https://w3id.org/ro/crate/1.1/context";

/// The profile.
const PROFILE: &str = "https://w3id.org/ro/wfrun/process/0.5";

/// A crate: its description, and the files that belong beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoCrate {
    /// The text of `ro-crate-metadata.json`.
    pub metadata: Vec<u8>,
    /// Files of the crate, sorted by name.
    pub files: Vec<CrateFile>,
}

/// A file of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrateFile {
    /// Its path in the crate.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: Digest,
}

/// Returns the crate of a run. Outputs of which `has` says that they can be had are files of it; the
/// others, and inputs, are named by their digests.
pub fn ro_crate(record: &RunRecord, has: impl Fn(&Digest) -> bool) -> RoCrate {
    let mut files = vec![CrateFile {
        path: "run.json".to_owned(),
        sha256: Digest::of(&record.to_bytes()),
    }];
    let mut entities = vec![file(
        "run.json",
        "The run record of envbox",
        &record.to_bytes(),
    )];
    let mut results = Vec::new();
    for output in record.results() {
        let (Some(sha256), Some(size)) = (output.sha256, output.size) else {
            continue;
        };
        let path = output.path.to_string();
        // A name that is no clean path would lead elsewhere, or be no URL.
        let plain = has(&sha256) && is_plain(&path) && path != "run.json";
        let id = match plain {
            true => format!("outputs/{}", encoded(&path)),
            false => format!("urn:sha256:{}", sha256.hex()),
        };
        if plain {
            let path = format!("outputs/{path}");
            files.push(CrateFile { path, sha256 });
        }
        entities.push(output_entity(&id, output, size, sha256));
        results.push(id);
    }
    let inputs = inputs(record, &mut entities);
    let parts: Vec<String> = files.iter().map(|file| encoded(&file.path)).collect();
    let mut graph = vec![
        descriptor(),
        root(record, &parts),
        action(record, &inputs, &results),
    ];
    graph.push(profile());
    graph.extend(software(record));
    graph.append(&mut entities);
    let mut seen = BTreeSet::new();
    // Two outputs of the same bytes that cannot be had are one.
    graph.retain(|entity| seen.insert(entity["@id"].as_str().unwrap_or_default().to_owned()));
    let metadata = json!({ "@context": CONTEXT, "@graph": graph });
    let mut metadata = serde_json::to_vec_pretty(&metadata).expect("all keys are text");
    metadata.push(b'\n');
    files.sort_by(|a, b| a.path.cmp(&b.path));
    RoCrate { metadata, files }
}

fn descriptor() -> Value {
    json!({
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": { "@id": "https://w3id.org/ro/crate/1.1" },
        "about": { "@id": "./" },
    })
}

fn root(record: &RunRecord, parts: &[String]) -> Value {
    json!({
        "@id": "./",
        "@type": "Dataset",
        "name": format!("A run of {}", record.environment),
        "description": format!(
            "What came out of `{}`, and what it stood on.",
            record.tower.parameters.seen.argv.join(" ")
        ),
        "datePublished": record.started,
        "license": "The license of the run's project applies",
        "conformsTo": { "@id": PROFILE },
        "hasPart": ids(parts),
        "mentions": { "@id": run(record) },
    })
}

fn action(record: &RunRecord, inputs: &[String], results: &[String]) -> Value {
    let mut action = json!({
        "@id": run(record),
        "@type": "CreateAction",
        "name": format!("Run {}", record.run),
        "description": record.tower.parameters.seen.argv.join(" "),
        "instrument": { "@id": "#command" },
        "object": ids(inputs),
        "result": ids(results),
        "startTime": record.started,
    });
    if let Some(time) = finished(record) {
        action["endTime"] = json!(time);
    }
    action["actionStatus"] = json!({ "@id": match succeeded(record) {
        None => "http://schema.org/ActiveActionStatus",
        Some(true) => "http://schema.org/CompletedActionStatus",
        Some(false) => "http://schema.org/FailedActionStatus",
    }});
    action
}

fn profile() -> Value {
    json!({
        "@id": PROFILE,
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    })
}

/// The command, which ran in an environment that the lockfile names.
fn software(record: &RunRecord) -> [Value; 2] {
    let seen = &record.tower.parameters.seen;
    let name = seen.argv.first().cloned().unwrap_or_default();
    let lock = record.tower.libraries.seen.lock;
    [
        json!({
            "@id": "#command",
            "@type": "SoftwareApplication",
            "name": name,
            "version": lock,
            "description": format!("`{name}` of the environment whose lockfile is {lock}"),
            "softwareRequirements": { "@id": "#envbox" },
        }),
        json!({
            "@id": "#envbox",
            "@type": "SoftwareApplication",
            "name": "envbox",
            "version": record.envbox,
        }),
    ]
}

/// Adds what a step read; returns the ids.
fn inputs(record: &RunRecord, entities: &mut Vec<Value>) -> Vec<String> {
    let tower = &record.tower;
    let code = ("code", tower.code.seen.tree);
    let lock = ("envbox.lock", tower.libraries.seen.lock);
    let declared = tower.data.seen.inputs.iter();
    let declared = declared.map(|(path, digest)| (path.as_str(), *digest));
    let mut ids = Vec::new();
    for (name, digest) in [code, lock].into_iter().chain(declared) {
        let id = format!("urn:sha256:{}", digest.hex());
        entities.push(json!({
            "@id": id,
            "@type": "CreativeWork",
            "name": name,
            "identifier": digest,
        }));
        ids.push(id);
    }
    ids
}

fn output_entity(id: &str, output: &Output, size: u64, sha256: Digest) -> Value {
    let kind = match id.starts_with("urn:") {
        true => "CreativeWork",
        false => "File",
    };
    json!({
        "@id": id,
        "@type": kind,
        "name": output.path.to_string(),
        "contentSize": size.to_string(),
        "identifier": sha256,
    })
}

fn file(id: &str, name: &str, bytes: &[u8]) -> Value {
    json!({
        "@id": id,
        "@type": "File",
        "name": name,
        "encodingFormat": "application/json",
        "contentSize": bytes.len().to_string(),
        "identifier": Digest::of(bytes),
    })
}

fn run(record: &RunRecord) -> String {
    format!("#{}", record.run)
}

fn ids(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "@id": id })).collect()
}

fn is_plain(path: &str) -> bool {
    !path.contains(['\\', '\u{fffd}']) && path.chars().all(|one| !one.is_control())
}

/// Returns a relative URL of a path: RO-Crate has `@id`s be such.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
