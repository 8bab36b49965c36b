//! Templates against those in `fixtures/engines`, which others' validators read as well
//! (`tests/engines/templates.rs`).

use std::fs;
use std::path::Path;
use std::process::Command;

use envbox_lockfiles::base::Digest;
use serde_json::Value;

use crate::engines::*;

/// A step with everything.
fn whole() -> EngineStep {
    let image = format!("registry.example:5000/team/iris@{}", Digest::of(b"image"));
    let words = [
        "python",
        "train.py",
        "--note",
        "it's \"1\" \\n $(HOME) $$\n  è",
    ];
    EngineStep {
        name: "iris".parse().unwrap(),
        image: image.parse().unwrap(),
        lock: Digest::of(b"lock"),
        command: words.map(str::to_owned).to_vec(),
        supervision: Supervision::Supervised,
        variables: [("NCCL_ALGO".to_owned(), "Ring".to_owned())].into(),
        directory: "/project".to_owned(),
        code: Code::Volume,
        claims: ["work:/project", "wine-data:/data:ro"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        outputs: vec!["model.joblib".to_owned(), "plots/".to_owned()],
        hostname: "envbox".to_owned(),
        network: Network::None,
        cpus: 4,
        memory: Some("8Gi".parse().unwrap()),
        gpu: Some(EngineGpu {
            resource: "nvidia.com/gpu",
            count: 2,
            nodes: vec![
                vec![NodeLabel::Above(
                    "nvidia.com/cuda.driver-version.major",
                    580,
                )],
                vec![
                    NodeLabel::Is("nvidia.com/cuda.driver-version.major", "580".to_owned()),
                    NodeLabel::Above("nvidia.com/cuda.driver-version.minor", 64),
                ],
            ],
        }),
        architectures: vec!["amd64"],
        grace_seconds: 120,
    }
}

/// A step with as little as may be, in an image that envbox is not in.
fn plain() -> EngineStep {
    EngineStep {
        command: vec!["python".to_owned()],
        supervision: Supervision::Plain,
        directory: "/project/src".to_owned(),
        code: Code::Image,
        claims: Vec::new(),
        network: Network::Container,
        cpus: 1,
        memory: None,
        gpu: None,
        architectures: vec!["amd64", "arm64"],
        grace_seconds: 30,
        ..whole()
    }
}

/// Kubeflow mounts no volume read-only.
fn writable(step: EngineStep) -> EngineStep {
    let claims = step.claims.into_iter();
    EngineStep {
        claims: claims.filter(|claim| !claim.read_only).collect(),
        ..step
    }
}

/// Each template that is kept, and its name.
fn templates() -> Vec<(&'static str, String)> {
    let nextflow = nextflow_pipeline(&whole(), true).unwrap();
    vec![
        ("k8s-job.yaml", kubernetes_job(&whole()).unwrap()),
        ("k8s-job.plain.yaml", kubernetes_job(&plain()).unwrap()),
        ("argo.yaml", argo_workflow(&whole()).unwrap()),
        ("airflow.py", airflow_dag(&whole()).unwrap()),
        (
            "kubeflow.py",
            kubeflow_pipeline(&writable(whole())).unwrap(),
        ),
        ("nextflow/main.nf", nextflow.main),
        ("nextflow/nextflow.config", nextflow.config),
    ]
}

/// `INSTA_UPDATE=always` writes them, as it does snapshots.
#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs the test says it")]
fn templates_are_a_function() {
    let update = std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always");
    for (name, text) in templates() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/engines")
            .join(name);
        if update {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, golden, "{}", file.display());
    }
    assert_eq!(templates(), templates());
}

/// Returns the first document of YAML.
fn first(text: &str) -> Value {
    serde_saphyr::from_str(text.split("---\n").next().unwrap()).unwrap()
}

#[test]
fn a_pod_has_no_rights_and_what_the_lock_gives() {
    let job = first(&kubernetes_job(&whole()).unwrap());
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["securityContext"]["capabilities"]["drop"][0],
        "ALL"
    );
    assert_eq!(pod["securityContext"]["runAsUser"], 1000);
    let limits = &container["resources"]["limits"];
    assert_eq!(limits, &container["resources"]["requests"]);
    assert_eq!(
        (&limits["cpu"], &limits["nvidia.com/gpu"]),
        (&"4".into(), &"2".into())
    );
    let terms = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = terms["nodeSelectorTerms"].as_array().unwrap();
    assert_eq!(terms.len(), 2);
    assert_eq!(terms[1]["matchExpressions"][3]["values"][0], "64");
    // All that a step writes to, and nothing twice.
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mut places: Vec<_> = mounts
        .iter()
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    places.sort_unstable();
    let all = [
        "/data",
        "/dev/shm",
        "/home/envbox",
        "/project",
        "/run/envbox",
        "/tmp",
    ];
    assert_eq!(places, all);
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&pod["volumes"]), names(&container["volumeMounts"]));
    let plain = first(&kubernetes_job(&plain()).unwrap());
    let plain = &plain["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(plain["command"], serde_json::json!(["python"]));
    assert_eq!(plain["env"][0]["name"], "NCCL_ALGO");
    assert_eq!(plain.get("args"), None);
}

#[test]
fn what_an_engine_would_replace() {
    let job = first(&kubernetes_job(&whole()).unwrap());
    let words = &job["spec"]["template"]["spec"]["containers"][0]["args"];
    assert_eq!(words[3], "it's \"1\" \\n $$(HOME) $$$$\n  è");
    let mut step = whole();
    step.command.push("{{workflow.name}}".to_owned());
    for (engine, error) in [
        ("Argo", argo_workflow(&step).unwrap_err()),
        (
            "Kubeflow",
            kubeflow_pipeline(&writable(step.clone())).unwrap_err(),
        ),
    ] {
        let message = format!(
            "`{{{{workflow.name}}}}` has `{{{{`, which {engine} takes for an expression of its own"
        );
        assert_eq!(error.to_string(), message);
    }
    // Nobody else knows such expressions.
    assert!(kubernetes_job(&step).is_ok() && nextflow_pipeline(&step, true).is_ok());
    let dag = airflow_dag(&step).unwrap();
    assert!(
        dag.contains("{{workflow.name}}") && dag.contains("template_fields = ()"),
        "{dag}"
    );
}

#[test]
fn a_script_of_nextflow_is_the_command() {
    let step = whole();
    let main = nextflow_pipeline(&step, true).unwrap().main;
    let script = main.split("'''\n").nth(1).unwrap();
    // As Groovy reads it, which takes away the indent that all lines have.
    let mut text = String::new();
    let mut characters = script.chars();
    while let Some(c) = characters.next() {
        text.push(match c {
            '\\' => match characters.next().unwrap() {
                'n' => '\n',
                other => other,
            },
            c => c,
        });
    }
    assert!(!text.starts_with(' '));
    let arguments = text.strip_prefix("/usr/lib/envbox/envbox").unwrap();
    let printed = Command::new("/bin/sh")
        .args(["-c", &format!("printf '%s|' {arguments}")])
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let words = ["inside", "--env", "NCCL_ALGO=Ring", "--"].map(str::to_owned);
    let words: String = words
        .iter()
        .chain(&step.command)
        .map(|word| format!("{word}|"))
        .collect();
    assert_eq!(printed, words);
}

#[test]
fn outputs_that_no_volume_keeps_are_named() {
    let mut step = whole();
    assert_eq!(lost(&step), Vec::<String>::new());
    step.claims[0].read_only = true;
    assert_eq!(lost(&step), ["/project/model.joblib", "/project/plots"]);
    step.claims.push("plots:/project/plots".parse().unwrap());
    assert_eq!(lost(&step), ["/project/model.joblib"]);
    let text = kubernetes_job(&step).unwrap();
    assert!(text.contains(
        "# Lost when the pod is removed, for no volume is there: /project/model.joblib.\n"
    ));
    // Argo fetches them.
    assert!(!argo_workflow(&step).unwrap().contains("Lost"));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let refused = |change: fn(&mut EngineStep)| {
        let mut step = whole();
        change(&mut step);
        kubernetes_job(&step).unwrap_err().to_string()
    };
    insta::assert_snapshot!([
        refused(|step| step.command.clear()),
        refused(|step| step.command[0].clear()),
        refused(|step| step.image = "iris:v1".parse().unwrap()),
        refused(|step| step.hostname = "my_host".to_owned()),
        refused(|step| step.directory = "src".to_owned()),
        refused(|step| step.claims.push("other:/data".parse().unwrap())),
        refused(|step| step.code = Code::Image),
        kubeflow_pipeline(&whole()).unwrap_err().to_string(),
        kubeflow_pipeline(&EngineStep { directory: "/tmp".to_owned(), ..writable(whole()) }).unwrap_err().to_string(),
        nextflow_pipeline(&whole(), false).unwrap_err().to_string(),
        nextflow_pipeline(&EngineStep { code: Code::Image, directory: "/project".to_owned(), ..plain() }, true).unwrap_err().to_string(),
    ].join("\n"), @"
    there is no command to run
    there is no command to run
    `docker.io/library/iris:v1` names no digest, and a tag may lead to another image tomorrow
    `[sandbox] hostname` is `my_host`, which no pod can have: it is no label of a DNS name
    `src` is no absolute path of a directory without `.`, `..` and `:`
    two volumes are at `/data`
    `work:/project` would hide the project that the image has
    Kubeflow has no words for a volume that is read-only
    Kubeflow has no words for a working directory
    Nextflow starts every task with `bash`, which the lockfile does not have
    Nextflow has no words for a project that the image has
    ");
}
