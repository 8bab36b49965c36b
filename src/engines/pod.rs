//! The pod of a step, in the words of Kubernetes (core/v1), which all engines on it share.

use serde_json::{Map, Value, json};

use crate::engines::step::{PROJECT, STEP};
use crate::engines::{Code, EngineStep, Supervision};
use crate::image::LOCK_LABEL;

/// Directories that a step may write to, and the volume of each. The root is read-only, so that what a
/// step leaves behind is here, and gone with the pod.
const SCRATCH: [(&str, &str); 3] = [
    ("home", "/home/envbox"),
    ("tmp", "/tmp"),
    // Where the step and envbox tell each other what libraries hold.
    ("held", "/run/envbox"),
];

/// What runtimes give by default, 64 MiB, is too little for the workers of data loaders.
const SHARED_MEMORY: (&str, &str) = ("shm", "/dev/shm");

/// The label by which pods of a step are selected, and resources of one lock found.
const LOCK_PREFIX_LABEL: &str = "dev.envbox.lock-prefix";

/// How much of the digest is a label: at most 63 characters may be.
const LOCK_PREFIX: usize = 16;

/// Labels of everything that is made for a step.
pub(super) fn labels(step: &EngineStep) -> Value {
    json!({
        "app.kubernetes.io/managed-by": "envbox",
        "app.kubernetes.io/name": step.name.as_str(),
        LOCK_PREFIX_LABEL: step.lock.hex()[..LOCK_PREFIX],
    })
}

/// Annotations of the same: they lead to the lockfile.
pub(super) fn annotations(step: &EngineStep) -> Value {
    json!({ LOCK_LABEL: step.lock.to_string() })
}

/// `metadata` of a pod.
pub(super) fn metadata(step: &EngineStep) -> Value {
    json!({ "annotations": annotations(step), "labels": labels(step) })
}

/// `spec` of a pod, with one container of this name.
pub(super) fn spec(step: &EngineStep, container_name: &str) -> Value {
    let mut container = container(step);
    container["name"] = container_name.into();
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "containers": [container],
        // Else there is a variable for each service of the namespace.
        "enableServiceLinks": false,
        "hostname": step.hostname,
        "restartPolicy": "Never",
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": step.grace_seconds,
        "volumes": volumes(step),
    });
    place(step, &mut spec);
    spec
}

/// Adds on which nodes it may run.
pub(super) fn place(step: &EngineStep, spec: &mut Value) {
    spec["affinity"] = json!({
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": node_terms(step) },
        },
    });
    if let Some(gpu) = &step.gpu {
        // Nodes with GPUs keep others off by a taint of the resource's name.
        spec["tolerations"] = json!([
            { "effect": "NoSchedule", "key": gpu.resource, "operator": "Exists" },
        ]);
    }
}

/// The nodes: one of these terms must hold.
pub(super) fn node_terms(step: &EngineStep) -> Vec<Value> {
    let mut common =
        vec![json!({ "key": "kubernetes.io/os", "operator": "In", "values": ["linux"] })];
    common.insert(
        0,
        json!({ "key": "kubernetes.io/arch", "operator": "In", "values": step.architectures }),
    );
    let nodes = step.gpu.iter().flat_map(|gpu| &gpu.nodes);
    let mut terms: Vec<Value> = nodes
        .map(|list| {
            let labels = list.iter().map(|label| label.expression());
            let all: Vec<Value> = common.iter().cloned().chain(labels).collect();
            json!({ "matchExpressions": all })
        })
        .collect();
    if terms.is_empty() {
        terms.push(json!({ "matchExpressions": common }));
    }
    terms
}

/// The container, without its name.
pub(super) fn container(step: &EngineStep) -> Value {
    let (command, arguments) = command(step);
    let mut container = json!({
        "args": arguments,
        "command": command,
        "image": step.image(),
        "imagePullPolicy": "IfNotPresent",
        "resources": resources(step),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": mounts(step),
        "workingDir": step.directory,
    });
    let variables: Vec<Value> = step
        .container_variables()
        .map(|(name, value)| json!({ "name": name, "value": as_written(value) }))
        .collect();
    if !variables.is_empty() {
        container["env"] = variables.into();
    }
    if arguments.is_empty() {
        container.as_object_mut().expect("it is one").remove("args");
    }
    container
}

/// What starts the command, and the command; or the program, and its arguments.
pub(super) fn command(step: &EngineStep) -> (Vec<String>, Vec<String>) {
    let mut argv: Vec<String> = step.argv().iter().map(|word| as_written(word)).collect();
    let end = match step.supervision {
        Supervision::Supervised => argv.len() - step.command.len(),
        Supervision::Plain => 1,
    };
    let arguments = argv.split_off(end);
    (argv, arguments)
}

/// Writes a word so that it arrives as it is: `$(NAME)` would be a variable, and `$$` one dollar.
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/>
pub(super) fn as_written(word: &str) -> String {
    match word.contains("$(") || word.contains("$$") {
        true => word.replace('$', "$$"),
        false => word.to_owned(),
    }
}

/// What the container gets. What it may use at most is what it is given: the pod has nodes and
/// processors to itself as far as the cluster can say so (quality of service `Guaranteed`, if
/// memory is given as well).
fn resources(step: &EngineStep) -> Value {
    let mut both = Map::new();
    both.insert("cpu".to_owned(), step.cpus.to_string().into());
    if let Some(memory) = &step.memory {
        both.insert("memory".to_owned(), memory.to_string().into());
    }
    if let Some(gpu) = &step.gpu {
        both.insert(gpu.resource.to_owned(), gpu.count.to_string().into());
    }
    json!({ "limits": both, "requests": both })
}

/// The user of the image, and the runtime's own filter of system calls.
pub(super) fn pod_security() -> Value {
    json!({
        // Volumes belong to the step.
        "fsGroup": STEP,
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsGroup": STEP,
        "runAsNonRoot": true,
        "runAsUser": STEP,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// Directories that are empty when the pod starts: name and place.
fn scratch(step: &EngineStep) -> Vec<(&'static str, &'static str)> {
    let project = (step.code == Code::Volume).then_some(("project", PROJECT));
    let all = project.into_iter().chain(SCRATCH).chain([SHARED_MEMORY]);
    all.filter(|(_, path)| step.claims.iter().all(|claim| claim.path != *path))
        .collect()
}

/// The volumes.
pub(super) fn volumes(step: &EngineStep) -> Vec<Value> {
    let scratch = scratch(step).into_iter().map(|volume| {
        let (name, _) = volume;
        let directory = match volume == SHARED_MEMORY {
            true => json!({ "medium": "Memory" }),
            false => json!({}),
        };
        json!({ "emptyDir": directory, "name": name })
    });
    let claims = step.claims.iter().enumerate().map(|(at, claim)| {
        let mut source = json!({ "claimName": claim.name });
        if claim.read_only {
            source["readOnly"] = true.into();
        }
        json!({ "name": claim_name(at), "persistentVolumeClaim": source })
    });
    claims.chain(scratch).collect()
}

fn mounts(step: &EngineStep) -> Vec<Value> {
    let scratch = scratch(step).into_iter();
    let scratch = scratch.map(|(name, path)| json!({ "mountPath": path, "name": name }));
    let claims = step.claims.iter().enumerate().map(|(at, claim)| {
        let mut mount = json!({ "mountPath": claim.path, "name": claim_name(at) });
        if claim.read_only {
            mount["readOnly"] = true.into();
        }
        mount
    });
    claims.chain(scratch).collect()
}

fn claim_name(at: usize) -> String {
    format!("volume-{}", at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kubelet reads it (`third_party/forked/golang/expansion`), with no variable set.
    fn expanded(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out += &rest[..at];
            rest = &rest[at + 1..];
            match rest.chars().next() {
                Some('$') => {
                    out.push('$');
                    rest = &rest[1..];
                }
                Some('(') => match rest.find(')') {
                    // What it does not know it leaves; what it knows it replaces.
                    Some(end) => {
                        out += "<replaced>";
                        rest = &rest[end + 1..];
                    }
                    None => out.push('$'),
                },
                _ => out.push('$'),
            }
        }
        out + rest
    }

    #[test]
    fn words_arrive_as_they_are() {
        for word in [
            "",
            "$HOME",
            "$",
            "$$",
            "a$(HOME)b",
            "$$(HOME)",
            "$(",
            "$$$",
            "100$ $(x) $$",
        ] {
            assert_eq!(expanded(&as_written(word)), word, "{word}");
        }
        assert_eq!(as_written("echo $HOME"), "echo $HOME");
    }
}
