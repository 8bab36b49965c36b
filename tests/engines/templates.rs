//! Steps as templates of engines (`fixtures/engines`, which `src/engines` writes), read by what the engines
//! have for it: Kubernetes' schemas, Argo's models, Airflow, Kubeflow's compiler; for Nextflow, which PyPI and
//! Debian do not have, a linter.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::project::{Engine, beside};
use crate::support::{User, World};
use crate::venv::succeeds;

const IMAGE: &str = "registry.example:5000/team/iris@\
                     sha256:6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d";

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fixtures/engines").join(name)
}

/// A world with the templates in the project, and a script of ours beside them.
fn world(script: &str) -> World {
    let world = World::new(User::Current);
    for name in [
        "k8s-job.yaml",
        "k8s-job.plain.yaml",
        "argo.yaml",
        "kubeflow.py",
        "nextflow/main.nf",
        "nextflow/nextflow.config",
    ] {
        world.write(name, &fs::read_to_string(fixture(name)).unwrap());
    }
    let dag = fs::read_to_string(fixture("airflow.py")).unwrap();
    world.write("dags/iris.py", &dag);
    for name in [script, "kube.config"] {
        let text = fs::read_to_string(beside("templates").join(name)).unwrap();
        world.write(name, &text);
    }
    world
}

/// Returns the pod of the exported Job.
fn pod() -> Value {
    let text = fs::read_to_string(fixture("k8s-job.yaml")).unwrap();
    let job: Value = serde_saphyr::from_str(text.split("---\n").next().unwrap()).unwrap();
    job["spec"]["template"].clone()
}

#[test]
fn net_manifests_are_what_kubernetes_and_argo_read() {
    let engine = Engine::new("kubernetes");
    let world = world("read_kubernetes.py");
    let files = "k8s-job.yaml k8s-job.plain.yaml argo.yaml";
    let script = format!("python read_kubernetes.py {files}");
    let read = succeeds(&mut engine.shell(&world, &script));
    let all = "Job iris\nNetworkPolicy iris\nJob iris\n\
               Workflow iris /project/model.joblib /project/plots\n";
    assert_eq!(read, all);
    // A validator that lets everything through would say so as well.
    let wrong = fs::read_to_string(fixture("k8s-job.yaml")).unwrap();
    world.write("wrong.yaml", &wrong.replace("hostname:", "hostName:"));
    let mut refused = engine.shell(&world, "python read_kubernetes.py wrong.yaml");
    let refused = refused.output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && error.contains("hostName"),
        "{error}"
    );

    let script = fs::read_to_string(beside("templates/read_nextflow.py")).unwrap();
    world.write("read_nextflow.py", &script);
    let read = succeeds(&mut engine.shell(&world, "python read_nextflow.py nextflow"));
    assert_eq!(read, format!("IRIS {IMAGE}\n"));
}

#[test]
fn net_airflow_makes_the_same_pod() {
    let engine = Engine::new("airflow");
    let world = world("read_airflow.py");
    let mut shell = engine.shell(&world, "python read_airflow.py dags");
    shell.env("AIRFLOW_HOME", world.path().join("home/airflow"));
    shell.env("KUBECONFIG", world.project().join("kube.config"));
    let printed = succeeds(&mut shell);
    let document: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!(document["dag"], "iris");
    let mut expected = pod();
    let found = &document["pod"];
    // It is called so there, and each run has a name of its own.
    expected["spec"]["containers"][0]["name"] = "base".into();
    assert!(
        found["metadata"]["name"]
            .as_str()
            .unwrap()
            .starts_with("iris-")
    );
    assert_contains(&found["spec"], &expected["spec"], "spec");
    assert_contains(&found["metadata"], &expected["metadata"], "metadata");
}

/// What is expected must be there; the engine may add to maps.
fn assert_contains(found: &Value, expected: &Value, path: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, value) in expected {
                let path = format!("{path}.{key}");
                assert!(found.contains_key(key), "{path} is missing");
                assert_contains(&found[key], value, &path);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{path}");
            for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_contains(found, expected, &format!("{path}[{at}]"));
            }
        }
        (found, expected) => assert_eq!(found, expected, "{path}"),
    }
}

#[test]
fn net_kubeflow_compiles_the_pipeline() {
    let engine = Engine::new("kubeflow");
    let world = world("read_kubeflow.py");
    let script = "kfp dsl compile --py kubeflow.py --output pipeline.yaml >&2 && \
                  python read_kubeflow.py pipeline.yaml";
    let printed = succeeds(&mut engine.shell(&world, script));
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["name"], "iris");
    let executors = "/deploymentSpec/executors/exec-step";
    let container = document["pipeline"].pointer(executors).unwrap();
    let container = &container["container"];
    let expected = &pod()["spec"]["containers"][0];
    assert_eq!(container["image"], IMAGE);
    for key in ["args", "command"] {
        assert_eq!(container[key], expected[key]);
    }
    assert_eq!(container["resources"]["resourceMemoryLimit"], "8Gi");
    let platforms = document["platform"]
        .pointer("/platforms/kubernetes")
        .unwrap();
    let placed = platforms.pointer(executors).unwrap();
    assert_eq!(placed["pvcMount"][0]["mountPath"], "/project");
    assert_eq!(placed["securityContext"]["runAsNonRoot"], true);
    // Terms of which one must hold.
    let terms = placed["nodeAffinity"].as_array().unwrap();
    let operators = |term: &Value| term["matchExpressions"][2]["operator"].clone();
    let operators: Vec<Value> = terms.iter().map(operators).collect();
    assert_eq!(operators, ["Gt", "In"]);
}
