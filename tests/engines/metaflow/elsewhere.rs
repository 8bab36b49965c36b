//! Steps in containers: what Metaflow has AWS Batch run, run here. `aws.py` answers Metaflow's calls and starts the
//! containers, from the image that `envbox build --push` put into a registry.

use std::fs;
use std::process::Child;

use tempfile::TempDir;

use super::Launcher;
use crate::docker_registry;
use crate::downloads;
use crate::podman_place::{limits, podman_options};
use crate::support::{Run, User};
use crate::venv::succeeds;

/// Flows whose data is in S3, wherever their steps run.
const FLOW: &str = "--no-pylint --environment=envbox --datastore=s3";

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

    /// Runs a script beside S3 and Batch, whose jobs are containers.
    fn beside_aws(&self, script: &str) -> Run {
        self.world.write("script.sh", script);
        // The network is that of `aws.py`: loopback, where S3 is.
        let run = self.podman(&["run", "--rm", "--pull=never", "--network=host"]);
        let words: Vec<_> = run.get_args().map(|word| word.to_str().unwrap()).collect();
        let mut command = self.python(&format!(
            "aws.py podman {} -- sh script.sh",
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
fn net_metaflow_batch_jobs_draw_what_tasks_draw_here() {
    let launcher = Launcher::new(User::Current);
    let registry = Registry::start();
    let flow = include_str!("elsewhere.py");
    launcher.world.write("elsewhere.py", flow);
    launcher.world.write("aws.py", include_str!("aws.py"));
    let image = launcher.image(&registry, "elsewhere.py");
    // The next has another lockfile, and the same image.
    let other = flow.replace("1.16.0", "1.17.0");
    launcher.world.write("other.py", &other);
    let _ = launcher.image(&registry, "other.py");

    let batch = format!("run --with batch:image={image}");
    let script = format!(
        "set -e\nexport METAFLOW_ENVBOX_FROZEN=1\n\
         $PYTHON elsewhere.py {FLOW} run --run-id-file here\n\
         $PYTHON elsewhere.py {FLOW} {batch} --run-id-file there\n\
         for run in here there; do\n\
         $PYTHON client.py ElsewhereFlow/$(cat $run) > $run.json\ndone\n\
         if $PYTHON other.py {FLOW} {batch} > refused 2>&1; then exit 3; fi\n"
    );
    let run = launcher.beside_aws(&script);
    let read = |name: &str| fs::read_to_string(launcher.world.project().join(name));
    let said = run.stdout() + &run.stderr();
    assert_eq!(run.code(), Some(0), "{said}{:?}", read("refused"));

    let known = |name: &str| -> serde_json::Value {
        serde_json::from_str(&read(&format!("{name}.json")).unwrap()).unwrap()
    };
    let (here, there) = (known("here"), known("there"));
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
        // It was a container, and not this machine's sandbox.
        assert_eq!(there[name]["batch"], true, "{name}");
        assert_eq!(here[name]["batch"], false, "{name}");
    }
    let drawn = |name: &str| &there[name]["drawn"];
    assert_ne!(
        drawn("after/0")[1],
        drawn("after/1")[1],
        "siblings draw the same"
    );
    let refused = read("refused").unwrap();
    assert!(
        refused.contains("this image was built of the lockfile `sha256:"),
        "{refused}"
    );
    downloads::keep(&launcher.world);
}
