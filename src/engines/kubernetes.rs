//! A Job of Kubernetes (batch/v1).

use serde_json::{Value, json};

use crate::engines::notes::{Outputs, Told, comment, notes};
use crate::engines::yaml::yaml;
use crate::engines::{EngineError, EngineStep, Network, pod};

/// Returns the manifest of a Job that runs the step once; and of a NetworkPolicy for its pod, when the
/// step has no network.
///
/// The step is deterministic, so a pod that failed is not tried again, but for one that the cluster
/// itself took away (Kubernetes 1.31).
///
/// # Errors
/// Returns [`EngineError`].
pub fn kubernetes_job(step: &EngineStep) -> Result<String, EngineError> {
    step.check()?;
    let told = Told {
        format: "k8s-job",
        outputs: Outputs::Volumes,
        network: "The network is closed by the NetworkPolicy, in clusters whose network plugin enforces it.",
    };
    let mut text = comment(&notes(step, told), "#");
    text += &yaml(&job(step));
    if step.network == Network::None {
        text += "---\n";
        text += &yaml(&closed_network(step));
    }
    Ok(text)
}

fn job(step: &EngineStep) -> Value {
    let mut metadata = pod::metadata(step);
    metadata["name"] = step.name.as_str().into();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {
                "rules": [{
                    "action": "Ignore",
                    "onPodConditions": [{ "status": "True", "type": "DisruptionTarget" }],
                }],
            },
            "template": { "metadata": pod::metadata(step), "spec": pod::spec(step, "step") },
        },
    })
}

/// Nothing comes in and nothing goes out.
fn closed_network(step: &EngineStep) -> Value {
    let mut metadata = pod::metadata(step);
    metadata["name"] = step.name.as_str().into();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": { "matchLabels": pod::labels(step) },
            "policyTypes": ["Egress", "Ingress"],
        },
    })
}
