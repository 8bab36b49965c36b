//! A pipeline of Kubeflow Pipelines (KFP 2), in Python: `kfp` compiles it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::engines::error::no_expressions;
use crate::engines::notes::{OPEN, Outputs, Told, comment, notes};
use crate::engines::python::python;
use crate::engines::step::{PROJECT, STEP};
use crate::engines::{EngineError, EngineStep, pod};

/// What Kubeflow is called in messages.
const ENGINE: &str = "Kubeflow";

/// Returns a file with a pipeline of one container component. It was made for `kfp` and
/// `kfp-kubernetes` 2.17; `kfp dsl compile --py FILE --output FILE` makes the YAML of it.
///
/// # Errors
/// Returns [`EngineError`].
pub fn kubeflow_pipeline(step: &EngineStep) -> Result<String, EngineError> {
    step.check()?;
    no_expressions(ENGINE, step)?;
    let lacks = |what| EngineError::NoWords {
        engine: ENGINE,
        what,
    };
    // The image's own, which is not written.
    if step.directory != PROJECT {
        return Err(lacks("a working directory"));
    }
    if step.claims.iter().any(|claim| claim.read_only) {
        return Err(lacks("a volume that is read-only"));
    }
    let told = Told {
        format: "kubeflow",
        outputs: Outputs::Volumes,
        network: OPEN,
    };
    let mut lines = notes(step, told);
    lines.extend([
        "Not held, for Kubeflow has no words for it: the host name, the read-only root, capabilities, the".to_owned(),
        "seconds after SIGTERM.".to_owned(),
        "For kfp and kfp-kubernetes 2.17: `kfp dsl compile --py FILE --output pipeline.yaml`.".to_owned(),
    ]);
    Ok(format!(
        r#"{}from kfp import dsl, kubernetes


@dsl.container_component
def step():
    return dsl.ContainerSpec(
        image={},
{}    )


@dsl.pipeline(name={})
def pipeline():
    task = step()
{}"#,
        comment(&lines, "#"),
        Value::from(step.image()),
        command(step),
        Value::from(step.name.as_str()),
        calls(step)
    ))
}

fn command(step: &EngineStep) -> String {
    let (command, arguments) = pod::command(step);
    let mut text = format!("        command={},\n", python(&json!(command), 2));
    if !arguments.is_empty() {
        let _ = writeln!(text, "        args={},", python(&json!(arguments), 2));
    }
    text
}

/// What is said of the task.
fn calls(step: &EngineStep) -> String {
    let mut text = String::new();
    let mut call = |line: String| {
        let _ = writeln!(text, "    {line}");
    };
    let string = |text: &str| Value::from(text).to_string();
    call(format!(
        "task.set_display_name({})",
        string(step.name.as_str())
    ));
    // What is on volumes is no input that Kubeflow knows.
    call("task.set_caching_options(False)".to_owned());
    let cpus = string(&step.cpus.to_string());
    call(format!(
        "task.set_cpu_request({cpus}).set_cpu_limit({cpus})"
    ));
    if let Some(memory) = &step.memory {
        let memory = string(&memory.to_string());
        call(format!(
            "task.set_memory_request({memory}).set_memory_limit({memory})"
        ));
    }
    if let Some(gpu) = &step.gpu {
        let (resource, count) = (string(gpu.resource), gpu.count);
        call(format!(
            "task.set_accelerator_type({resource}).set_accelerator_limit({count})"
        ));
        call(format!(
            "kubernetes.add_toleration(task, key={resource}, operator=\"Exists\", effect=\"NoSchedule\")"
        ));
    }
    for (name, value) in step.container_variables() {
        let value = string(&pod::as_written(value));
        call(format!("task.set_env_variable({}, {value})", string(name)));
    }
    call(format!(
        "kubernetes.set_security_context(task, run_as_user={STEP}, run_as_group={STEP}, run_as_non_root=True)"
    ));
    call("kubernetes.empty_dir_mount(task, \"shm\", \"/dev/shm\", medium=\"Memory\")".to_owned());
    for claim in &step.claims {
        let (name, path) = (string(&claim.name), string(&claim.path));
        call(format!(
            "kubernetes.mount_pvc(task, pvc_name={name}, mount_path={path})"
        ));
    }
    // Terms that are added one by one: one of them must hold.
    for term in pod::node_terms(step) {
        let expressions = python(&term["matchExpressions"], 1);
        call(format!(
            "kubernetes.add_node_affinity(task, match_expressions={expressions})"
        ));
    }
    for (kind, values) in [
        ("label", pod::labels(step)),
        ("annotation", pod::annotations(step)),
    ] {
        for (key, value) in values.as_object().into_iter().flatten() {
            let key = string(key);
            call(format!("kubernetes.add_pod_{kind}(task, {key}, {value})"));
        }
    }
    text
}
