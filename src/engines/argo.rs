//! A Workflow of Argo (argoproj.io/v1alpha1).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::engines::error::no_expressions;
use crate::engines::notes::{OPEN, Outputs, Told, comment, notes};
use crate::engines::yaml::yaml;
use crate::engines::{EngineError, EngineStep, pod};

/// What Argo is called in messages.
const ENGINE: &str = "Argo";

/// Returns the manifest of a Workflow with the step for its only template. Outputs are artifacts: the
/// cluster's artifact repository gets them as they are, not packed with times in them.
///
/// # Errors
/// Returns [`EngineError`].
pub fn argo_workflow(step: &EngineStep) -> Result<String, EngineError> {
    step.check()?;
    no_expressions(ENGINE, step)?;
    let told = Told {
        format: "argo",
        outputs: Outputs::Fetched,
        network: OPEN,
    };
    Ok(comment(&notes(step, told), "#") + &yaml(&workflow(step)))
}

fn workflow(step: &EngineStep) -> Value {
    let mut metadata = pod::metadata(step);
    // Each run is a Workflow of its own.
    metadata["generateName"] = format!("{}-", step.name).into();
    let mut template = json!({ "container": pod::container(step), "name": step.name.as_str() });
    let artifacts = artifacts(step);
    if !artifacts.is_empty() {
        template["outputs"] = json!({ "artifacts": artifacts });
    }
    // What a Workflow has no field for is put into its pods.
    let patch = json!({
        "enableServiceLinks": false,
        "hostname": step.hostname,
        "terminationGracePeriodSeconds": step.grace_seconds,
    });
    let mut spec = json!({
        "entrypoint": step.name.as_str(),
        "podMetadata": pod::metadata(step),
        "podSpecPatch": patch.to_string(),
        "securityContext": pod::pod_security(),
        "templates": [template],
        "volumes": pod::volumes(step),
    });
    pod::place(step, &mut spec);
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": spec,
    })
}

fn artifacts(step: &EngineStep) -> Vec<Value> {
    let mut names = BTreeSet::new();
    let paths = step.outputs.iter().zip(step.output_paths());
    paths
        .map(|(output, path)| {
            let name = artifact_name(output, &mut names);
            json!({ "archive": { "none": {} }, "name": name, "path": path })
        })
        .collect()
}

/// Returns a name of letters, digits, `-` and `_` that no other output has.
fn artifact_name(output: &str, names: &mut BTreeSet<String>) -> String {
    let allowed = |c: char| match c.is_ascii_alphanumeric() || c == '_' {
        true => c,
        false => '-',
    };
    let name: String = output.trim_matches('/').chars().map(allowed).collect();
    let mut free = name.clone();
    let mut count = 1;
    while !names.insert(free.clone()) {
        count += 1;
        free = format!("{name}-{count}");
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_have_names_of_their_own() {
        let mut names = BTreeSet::new();
        let mut name = |output| artifact_name(output, &mut names);
        assert_eq!(name("a/b.txt"), "a-b-txt");
        assert_eq!(name("a-b-txt"), "a-b-txt-2");
        assert_eq!(name("a.b/txt/"), "a-b-txt-3");
    }
}
