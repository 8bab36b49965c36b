//! The pod of an exported Job, run by a program that reads Kubernetes' files: `podman kube play`, from
//! a registry, by the image's digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::foreign::succeeded;
use crate::golden::world_of;
use crate::podman_place::{limits, podman_options};
use crate::registry::Registry;
use crate::support::{User, World};

/// What a step draws, and what it may do. It begins with a word: Debian's podman writes what it read anew,
/// and cannot read a text that begins with an empty line then.
const PROBE: &str = r#"import os, random, socket, sys, time, uuid
print(time.time(), uuid.uuid4(), random.random(), os.listdir("/usr/share"))
print(socket.gethostname(), os.getuid(), os.getcwd(), sorted(os.environ))
for path in ["/x", "/usr/x", "/project/x", "/tmp/x", os.path.expanduser("~/x"), "/dev/shm/x"]:
    try:
        open(path, "w").close()
        print(path, "written")
    except OSError as error:
        print(path, error.strerror)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))])
"#;

/// podman with a place of its own.
struct Podman<'a> {
    world: &'a World,
    registry: &'a Registry,
    options: Vec<String>,
}

impl<'a> Podman<'a> {
    fn new(world: &'a World, registry: &'a Registry) -> Self {
        let place = world.path().join("podman");
        Self {
            world,
            registry,
            options: podman_options(&place),
        }
    }

    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("podman");
        let limits = limits(&self.world.path().join("podman"));
        command.args(&self.options).args(words);
        command.env("CONTAINERS_CONF", limits);
        command.env("REGISTRY_AUTH_FILE", self.registry.credentials());
        succeeded("podman", command.output().unwrap())
    }

    /// Plays the pod of a Job, and returns what its container printed.
    fn play(&self, job: &Path) -> String {
        let file = self.world.path().join("pod.json");
        fs::write(&file, pod_of(job).to_string()).unwrap();
        let file = file.display().to_string();
        self.run(&[
            "kube",
            "play",
            "--tls-verify=false",
            "--network",
            "none",
            &file,
        ]);
        let code = self.run(&["wait", "sklearn-step"]);
        let printed = self.run(&["logs", "sklearn-step"]);
        self.run(&["kube", "down", &file]);
        assert_eq!(code, "0\n", "{printed}");
        printed
    }
}

/// Returns the pod of a Job, which podman plays since version 5 alone. Debian's refuses values of
/// annotations that are longer than 63 characters as well, which Kubernetes does not.
fn pod_of(job: &Path) -> Value {
    let text = fs::read_to_string(job).unwrap();
    let job: Value = serde_saphyr::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!(job["kind"], "Job");
    let mut pod = job["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = job["metadata"]["name"].clone();
    pod["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    pod
}

/// Builds and pushes an image, and returns it by its digest.
fn pushed(world: &World, registry: &Registry, how: &str) -> String {
    registry.let_in(world);
    let image = format!("{}/iris", registry.host);
    let words = ["build", how, "--json", "--push"];
    let run = world.run(&[&words[..], &[&format!("{image}:v1")]].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let document: Value = serde_json::from_str(&run.stdout()).unwrap();
    format!("{image}@{}", document["digest"].as_str().unwrap())
}

fn export(world: &World, words: &[&str]) -> PathBuf {
    let job = ["export", "k8s-job", "--frozen", "--output", "../job.yaml"];
    let run = world.run(&[&job, words].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world.path().join("job.yaml")
}

#[test]
fn images_the_pod_of_a_job_is_a_step() {
    let registry = Registry::start();
    let world = world_of("sklearn", User::Current);
    let image = pushed(&world, &registry, "--supervised");
    let podman = Podman::new(&world, &registry);

    let step = ["--", "python", "-c", PROBE];
    let job = export(&world, &[&["--image", &image], &step[..]].concat());
    let printed = podman.play(&job);
    assert_eq!(podman.play(&job), printed);
    let run = world.run(&[&["run", "--frozen"], &step[..]].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let (drawn, may) = printed.split_once('\n').unwrap();
    assert!(drawn.starts_with("1577836800.0"), "{drawn}");
    assert_eq!(drawn, run.stdout().lines().next().unwrap());
    // Who it is, where it is, and its variables.
    assert_eq!(may.lines().next(), run.stdout().lines().nth(1));
    let rights = "/x Read-only file system\n/usr/x Read-only file system\n/project/x written\n\
                  /tmp/x written\n/home/envbox/x written\n/dev/shm/x written\n\
                  ['0000000000000000', '1']\n";
    assert_eq!(may.split_once('\n').unwrap().1, rights);
    trained_on_a_claim(&world, &podman, &image);
    found_by_the_lock(&world, &podman);
}

/// An image without envbox is the lockfile's, which names it: the repository alone will do.
fn found_by_the_lock(world: &World, podman: &Podman<'_>) {
    let image = pushed(world, podman.registry, "--record");
    let (repository, _) = image.split_once('@').unwrap();
    let code = "import os; print(os.getuid(), os.environ['GIVEN'], os.environ['TZ'])";
    let step = ["--env", "GIVEN=a b", "--", "python", "-c", code];
    let by = |image: &str| {
        let words = ["--unsupervised", "--image", image];
        fs::read_to_string(export(world, &[&words, &step[..]].concat())).unwrap()
    };
    assert_eq!(by(repository), by(&image));
    assert_eq!(
        podman.play(&world.path().join("job.yaml")),
        "1000 a b UTC\n"
    );
}

/// The project comes by a claim, and what was made of it stays there.
fn trained_on_a_claim(world: &World, podman: &Podman<'_>, image: &str) {
    let tar = |words: &[&str]| succeeded("tar", Command::new("tar").args(words).output().unwrap());
    let project = world.project().display().to_string();
    let packed = world.path().join("project.tar").display().to_string();
    let owner = [
        "--owner=1000",
        "--group=1000",
        "-C",
        &project,
        "-cf",
        &packed,
        ".",
    ];
    tar(&owner);
    let words = [
        "--image",
        image,
        "--volume",
        "work:/project",
        "--",
        "python",
        "train.py",
    ];
    let job = export(world, &words);
    let mut made: Vec<Vec<u8>> = Vec::new();
    for _ in 0..2 {
        podman.run(&["volume", "create", "work"]);
        podman.run(&["volume", "import", "work", &packed]);
        podman.play(&job);
        let place = podman.run(&["volume", "inspect", "--format", "{{.Mountpoint}}", "work"]);
        made.push(fs::read(Path::new(place.trim()).join("model.joblib")).unwrap());
        podman.run(&["volume", "rm", "--force", "work"]);
    }
    let run = world.run(&["run", "--frozen", "--", "python", "train.py"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    made.push(fs::read(world.project().join("model.joblib")).unwrap());
    assert!(made.iter().all(|model| *model == made[0]));
}
