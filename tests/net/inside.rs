//! Containers that podman makes of an environment, with its default seccomp profile, as root and as
//! an ordinary user: what a step prints is what it prints with `envbox run`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use envbox::ops::inside::{InsidePolicy, POLICY_FILE};

use crate::downloads;
use crate::golden::world_of;
use crate::support::{User, World};

const PROBE: &str = "
import numpy, os, random, subprocess, sys, time, uuid
print(time.time(), uuid.uuid4(), random.random(), numpy.random.default_rng().random())
print(os.listdir('/usr/lib/x86_64-linux-gnu')[:20], os.cpu_count(), len(os.sched_getaffinity(0)))
print(os.uname(), open('/proc/meminfo').readline(), open('/dev/urandom', 'rb').read(8))
child = [sys.executable, '-c', 'import time, random; print(time.time(), random.random())']
print(subprocess.check_output(child), sorted(os.environ))
time.sleep(0.5)
print(time.time(), time.monotonic())
";

/// Where the image would have the program.
const PROGRAM: &str = "/usr/lib/envbox/envbox";

struct Container<'a> {
    world: &'a World,
    rootfs: PathBuf,
}

impl Container<'_> {
    fn new(world: &World) -> Container<'_> {
        let all = world.path().join("home/.cache/envbox/rootfs");
        let mut entries = fs::read_dir(all)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let rootfs = entries.find(|path| path.is_dir()).unwrap();
        let policy = InsidePolicy::without_manifest().to_bytes();
        fs::write(world.path().join("policy.json"), policy).unwrap();
        Container { world, rootfs }
    }

    fn run(&self, options: &[&str], words: &[&str]) -> Output {
        let place = |name: &str| self.world.path().join(name).display().to_string();
        let mut podman = Command::new("podman");
        for (option, name) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            podman.args([option, &place(&format!("podman/{name}"))]);
        }
        podman.args([
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
        ]);
        podman.args([
            "--events-backend",
            "file",
            "run",
            "--rm",
            "--runtime",
            "runc",
        ]);
        // A host without the right to raise limits cannot give the defaults.
        podman.args([
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ]);
        podman.args([
            "--network",
            "none",
            "--env",
            "KUBERNETES_PORT=tcp://10.0.0.1",
        ]);
        let binds = [
            (place("envbox"), PROGRAM),
            (place("policy.json"), POLICY_FILE),
        ];
        for (from, to) in binds {
            podman.args(["--volume", &format!("{from}:{to}:ro")]);
        }
        podman.args(options);
        podman.args(["--rootfs", &format!("{}:O", self.rootfs.display())]);
        podman.args([PROGRAM, "inside"]).args(words);
        podman.output().unwrap()
    }

    fn look(&self, options: &[&str], words: &[&str]) -> String {
        let step = ["--", "python", "-c", PROBE];
        let output = self.run(options, &[words, &step].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{error}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn net_a_container_prints_what_a_sandbox_prints() {
    let world = world_of("sklearn", User::Current);
    let sandbox = world.run(&["run", "--frozen", "--", "python", "-c", PROBE]);
    assert_eq!(sandbox.code(), Some(0), "{}", sandbox.stderr());
    let expected = without_lock(&sandbox.stdout());
    let container = Container::new(&world);
    for options in [
        &[][..],
        &[],
        &["--user", "1000:1000"],
        &["--user", "7:8", "--cap-drop=all"],
    ] {
        assert_eq!(
            without_lock(&container.look(options, &[])),
            expected,
            "{options:?}"
        );
    }
    let other = container.look(&[], &["--seed", "1"]);
    assert_ne!(without_lock(&other), expected);
    downloads::keep(&world);
}

/// The policy of this test is of no lock.
fn without_lock(text: &str) -> String {
    text.replace(" 'ENVBOX_LOCK_DIGEST',", "")
}

#[test]
fn net_a_container_ends_as_its_step() {
    let world = world_of("sklearn", User::Current);
    let ready = world.run(&["run", "--frozen", "--", "true"]);
    assert_eq!(ready.code(), Some(0), "{}", ready.stderr());
    let container = Container::new(&world);
    let status = |words: &[&str]| container.run(&[], words).status.code();
    assert_eq!(status(&["--", "sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["--", "sh", "-c", "kill -TERM $$"]), Some(128 + 15));
    assert_eq!(status(&["--", "missing"]), Some(127));
    assert_eq!(status(&["--", "/etc/passwd"]), Some(126));
    // What Podman's default profile refuses is told.
    let output = container.run(&[], &["--json", "--", "true"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let holds = document["holds"].as_array().unwrap();
    let state = |source| {
        let mut found = holds.iter().filter(|hold| hold["source"] == source);
        found.next().unwrap()["state"].as_str().unwrap()
    };
    assert_eq!(state("addresses"), "not-held", "{text}");
    assert_eq!(state("wall-clock"), "held", "{text}");
    downloads::keep(&world);
}
