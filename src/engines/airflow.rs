//! A DAG of Airflow, with a KubernetesPodOperator.

use serde_json::{Value, json};

use crate::engines::notes::{OPEN, Outputs, Told, comment, notes};
use crate::engines::python::python;
use crate::engines::{EngineError, EngineStep, pod};

/// What the operator takes the first container to be called.
const CONTAINER: &str = "base";

/// Returns a file with a DAG that runs the step when it is told to. It was made for Airflow 3 and
/// `apache-airflow-providers-cncf-kubernetes` 10.
///
/// # Errors
/// Returns [`EngineError`].
pub fn airflow_dag(step: &EngineStep) -> Result<String, EngineError> {
    step.check()?;
    let told = Told {
        format: "airflow",
        outputs: Outputs::Volumes,
        network: OPEN,
    };
    let mut lines = notes(step, told);
    lines.push("For Airflow 3 with apache-airflow-providers-cncf-kubernetes 10.".to_owned());
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": pod::metadata(step),
        "spec": pod::spec(step, CONTAINER),
    });
    let name = Value::from(step.name.as_str());
    let (pod, grace) = (python(&pod, 0), step.grace_seconds);
    Ok(format!(
        r#"{}from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

POD = {pod}


class EnvboxStep(KubernetesPodOperator):
    """Leaves the command as it is: what looks like Jinja, or like the name of a file, is neither."""

    template_fields = ()


with DAG({name}, schedule=None, catchup=False, tags=["envbox"]):
    EnvboxStep(
        task_id={name},
        name={name},
        pod_template_dict=POD,
        base_container_name="{CONTAINER}",
        automount_service_account_token=False,
        termination_grace_period={grace},
        # The same step would fail in the same way.
        retries=0,
    )
"#,
        comment(&lines, "#")
    ))
}
