//! SLSA provenance of a run (<https://slsa.dev/spec/v1.0/provenance>).

use std::collections::BTreeMap;

use envbox_lockfiles::base::Digest;
use serde::Serialize;

use crate::attest::{Builder, PREDICATE_PROVENANCE, Statement, Subject};
use crate::record::{ComputeSeen, EntropySeen, Output, ParametersSeen, RunRecord};
use crate::standards::finished;

/// Names the way of building that [`Definition`] describes. Raise its number when a parameter changes
/// its meaning.
const BUILD_TYPE: &str = "urn:envbox:run:1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: Definition<'a>,
    run_details: Details<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Definition<'a> {
    build_type: &'static str,
    external_parameters: &'a ParametersSeen,
    internal_parameters: Internal<'a>,
    resolved_dependencies: Vec<Resource>,
}

/// What the sandbox held.
#[derive(Serialize)]
struct Internal<'a> {
    compute: &'a ComputeSeen,
    entropy: &'a EntropySeen,
    rootfs: &'a str,
}

#[derive(Serialize)]
struct Resource {
    name: String,
    digest: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    builder: BuilderWire<'a>,
    metadata: Metadata,
    byproducts: Vec<Resource>,
}

#[derive(Serialize)]
struct BuilderWire<'a> {
    id: &'a str,
    version: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    invocation_id: String,
    started_on: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_on: Option<String>,
}

/// Returns the statement that a run's outputs came out of it. A run without outputs has its record
/// for a subject: a statement must be about something.
pub fn provenance(record: &RunRecord, builder: &Builder) -> Vec<u8> {
    let tower = &record.tower;
    let of_record = Digest::of(&record.to_bytes());
    let mut subjects: Vec<Subject> = record.results().filter_map(subject).collect();
    if subjects.is_empty() {
        subjects.push(Subject {
            name: format!("{}.json", record.run),
            digest: of_record,
        });
    }
    let predicate = Predicate {
        build_definition: Definition {
            build_type: BUILD_TYPE,
            external_parameters: &tower.parameters.seen,
            internal_parameters: Internal {
                compute: &tower.compute.seen,
                entropy: &tower.entropy.seen,
                rootfs: &tower.libraries.seen.rootfs,
            },
            resolved_dependencies: dependencies(record),
        },
        run_details: Details {
            builder: BuilderWire {
                id: &builder.id,
                version: [("envbox", &*record.envbox)].into(),
            },
            metadata: Metadata {
                invocation_id: record.run.to_string(),
                started_on: record.started.to_string(),
                finished_on: finished(record).map(|time| time.to_string()),
            },
            byproducts: vec![sha256("run record", of_record)],
        },
    };
    Statement::about(&subjects, PREDICATE_PROVENANCE, &predicate)
}

fn subject(output: &Output) -> Option<Subject> {
    Some(Subject {
        name: output.path.to_string(),
        digest: output.sha256?,
    })
}

fn dependencies(record: &RunRecord) -> Vec<Resource> {
    let tower = &record.tower;
    let mut all = vec![
        sha256("code", tower.code.seen.tree),
        sha256("envbox.lock", tower.libraries.seen.lock),
    ];
    if let (Some(commit), Some(false)) = (&tower.code.noted.commit, tower.code.noted.dirty) {
        all.push(Resource {
            name: "commit".to_owned(),
            digest: [("gitCommit", commit.clone())].into(),
        });
    }
    let inputs = tower.data.seen.inputs.iter();
    all.extend(inputs.map(|(path, digest)| sha256(path, *digest)));
    all
}

fn sha256(name: &str, digest: Digest) -> Resource {
    Resource {
        name: name.to_owned(),
        digest: [("sha256", digest.hex())].into(),
    }
}
