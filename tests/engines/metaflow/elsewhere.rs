//! Steps in containers: what Metaflow has AWS Batch, Kubernetes and Argo run, run here. `cloud/` answers Metaflow's
//! calls and starts the containers, from the image that `envbox build --push` put into a registry.

use std::fs;
use std::process::Child;

use serde_json::Value;
use tempfile::TempDir;

use super::Launcher;
use crate::docker_registry;
use crate::downloads;
use crate::podman_place::{limits, podman_options};
use crate::support::{Run, User};
use crate::venv::succeeds;

/// Flows whose data is in S3, wherever their steps run.
const FLOW: &str = "--no-pylint --environment=envbox --datastore=s3";

/// The clouds' own files.
const CLOUD: [(&str, &str); 5] = [
    ("cloud.py", include_str!("cloud/cloud.py")),
    ("containers.py", include_str!("cloud/containers.py")),
    ("batch.py", include_str!("cloud/batch.py")),
    ("cluster.py", include_str!("cloud/cluster.py")),
    ("workflows.py", include_str!("cloud/workflows.py")),
];

/// A registry without passwords.
struct Registry {
    _directory: TempDir,
    process: Child,
    host: String,
}

impl Registry {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (process, host) = docker_registry::serve(directory.path(), "");
        Self {
            _directory: directory,
            process,
            host,
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Launcher {
    /// Podman's options, and the file that limits it.
    fn podman(&self, words: &[&str]) -> std::process::Command {
        let place = self.world.path().join("podman");
        let mut command = std::process::Command::new("podman");
        command
            .args(podman_options(&place))
            .args(words)
            .env("CONTAINERS_CONF", limits(&place));
        command
    }

    /// Runs a script beside S3, Batch and Kubernetes, whose jobs are containers.
    fn beside_clouds(&self, script: &str) -> Run {
        self.world.write("script.sh", script);
        // The network is that of `cloud.py`: loopback, where S3 is.
        let run = self.podman(&["run", "--rm", "--pull=never", "--network=host"]);
        let words: Vec<_> = run.get_args().map(|word| word.to_str().unwrap()).collect();
        let mut command = self.python(&format!(
            "cloud.py podman {} -- sh script.sh",
            words.join(" ")
        ));
        command.env("PYTHON", self.venv.program("python")).env(
            "CONTAINERS_CONF",
            self.world.path().join("podman/containers.conf"),
        );
        self.world.finished(command)
    }

    /// Builds and pushes the one image of a flow, and returns it by its digest, as podman has it as well.
    fn image(&self, registry: &Registry, flow: &str) -> String {
        let mut command = self.python(&format!(
            "{flow} {FLOW} envbox build --push {}/team/flow",
            registry.host
        ));
        command.env("METAFLOW_DATASTORE_SYSROOT_S3", "s3://flows/metaflow");
        let run = self.world.finished(command);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        let mut images: Vec<String> = run
            .stdout()
            .lines()
            .filter(|line| line.contains("@sha256:"))
            .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
            .collect();
        images.dedup();
        let [image] = images.as_slice() else {
            panic!("all steps have one environment: {images:?}")
        };
        let _ = succeeds(&mut self.podman(&["pull", "--quiet", "--tls-verify=false", image]));
        image.clone()
    }
}

#[test]
fn net_metaflow_containers_draw_what_tasks_draw_here() {
    let launcher = Launcher::new(User::Current);
    let registry = Registry::start();
    let flow = include_str!("elsewhere.py");
    launcher.world.write("elsewhere.py", flow);
    launcher
        .world
        .write("fetched.py", include_str!("fetched.py"));
    for (name, text) in CLOUD {
        launcher.world.write(name, text);
    }
    let image = launcher.image(&registry, "elsewhere.py");
    // The next has another lockfile, and the same image.
    let other = flow.replace("1.16.0", "1.17.0");
    launcher.world.write("other.py", &other);
    let _ = launcher.image(&registry, "other.py");

    let batch = format!("--with batch:image={image}");
    let pod = format!("--with kubernetes:image={image}");
    let script = format!(
        "set -e\nexport METAFLOW_ENVBOX_FROZEN=1\n\
         $PYTHON elsewhere.py {FLOW} run --run-id-file here\n\
         $PYTHON elsewhere.py {FLOW} run {batch} --run-id-file batch\n\
         $PYTHON elsewhere.py {FLOW} run {pod} --run-id-file kubernetes\n\
         {}\
         for run in here batch kubernetes argo; do\n\
         $PYTHON client.py ElsewhereFlow/$(cat $run) > $run.json\ndone\n\
         if $PYTHON other.py {FLOW} run {batch} > refused 2>&1; then exit 3; fi\n",
        argo(&pod)
    );
    let run = launcher.beside_clouds(&script);
    let read = |name: &str| fs::read_to_string(launcher.world.project().join(name));
    let said = run.stdout() + &run.stderr();
    assert_eq!(run.code(), Some(0), "{said}{:?}", read("refused"));

    let known = |name: &str| -> Value {
        serde_json::from_str(&read(&format!("{name}.json")).unwrap()).unwrap()
    };
    let here = known("here");
    for (run, place) in [
        ("batch", "batch"),
        ("kubernetes", "kubernetes"),
        ("argo", "kubernetes"),
    ] {
        drew_alike(&here, &known(run), place);
    }
    let refused = read("refused").unwrap();
    assert!(
        refused.contains("this image was built of the lockfile `sha256:"),
        "{refused}"
    );
    downloads::keep(&launcher.world);
}

/// Deploys the flow to Argo, starts it there, and waits for its end.
fn argo(pod: &str) -> String {
    let argo = format!("$PYTHON elsewhere.py {FLOW} {pod} argo-workflows");
    format!(
        "{argo} create --no-auto-emit-argo-events\n\
         {argo} trigger --size 2 --run-id-file argo\n\
         for second in $(seq 100); do\n\
         {argo} status $(cat argo) > status 2>&1\n\
         if grep -qE 'Succeeded|Failed' status; then break; fi\nsleep 1\ndone\n\
         if ! grep -q Succeeded status; then cat status; exit 4; fi\n\
         $PYTHON fetched.py ElsewhereFlow/$(cat argo)\n"
    )
}

/// Asserts that every task of a run elsewhere saved what that of the run here did.
fn drew_alike(here: &Value, there: &Value, place: &str) {
    let names: Vec<_> = there.as_object().unwrap().keys().cloned().collect();
    let all = [
        "after/0", "after/1", "end", "fan/0", "fan/1", "join", "start",
    ];
    assert_eq!(names, all);
    for name in all {
        assert_eq!(there[name]["artifacts"], here[name]["artifacts"], "{name}");
        for known in ["envbox-lock-digest", "envbox-seed"] {
            assert_eq!(
                there[name]["metadata"][known], here[name]["metadata"][known],
                "{name}: {known}"
            );
        }
        assert_eq!(there[name]["place"], place, "{name}");
        assert_eq!(here[name]["place"], "here", "{name}");
    }
    let drawn = |name: &str| &there[name]["drawn"];
    assert_ne!(
        drawn("after/0")[1],
        drawn("after/1")[1],
        "siblings draw the same"
    );
}
