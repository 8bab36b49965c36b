//! Layouts, archives and bundles of a real environment, read and run by the programs that people
//! have.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use envbox::image::ImageIndex;
use envbox::store::TreeManifest;
use serde_json::Value;

use crate::golden::world_of;
use crate::support::{User, World};

/// What proves that the environment works: compiled modules, libraries of the base, writable
/// places, the user.
const PROGRAM: &str = "import os, ssl, sqlite3, ctypes, numpy, sklearn, pandas\n\
                       open('/project/written', 'w'); open(os.path.expanduser('~/x'), 'w')\n\
                       print(numpy.arange(3).sum(), sklearn.__version__, os.environ['TZ'])";
const PRINTED: &str = "3 1.5.2 UTC\n";

/// Runs a program that must succeed.
fn tool<S: AsRef<OsStr>>(world: &World, program: &str, arguments: &[S]) -> String {
    let mut command = world.shell("exec \"$@\"");
    command.arg("sh").arg(program).args(arguments);
    succeeded(program, command.output().unwrap())
}

fn succeeded(program: &str, output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {printed}{said}");
    printed
}

/// Writes the image as layouts with both codecs, and returns the digest of each manifest.
fn layouts(world: &World) -> [String; 2] {
    ["gzip", "zstd"].map(|codec| {
        let output = format!("oci:layout:{codec}");
        let words = ["build", "--frozen", "--json", "--compression", codec];
        let run = world.run(&[&words[..], &["--output", &output]].concat());
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        let document: Value = serde_json::from_str(&run.stdout()).unwrap();
        document["digest"].as_str().unwrap().to_owned()
    })
}

/// Returns the rootfs that envbox itself would run.
fn rootfs(world: &World) -> PathBuf {
    let directory = world.path().join("home/.cache/envbox/rootfs");
    let mut entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.find(|path| path.is_dir()).unwrap()
}

/// The trees must be the same, path by path. What a layout's program mounts on, or makes itself,
/// is part of ours already.
fn same_tree(found: &Path, rootfs: &Path) {
    let found = TreeManifest::of(found).unwrap();
    let ours = TreeManifest::of(rootfs).unwrap();
    assert!(ours.entries.len() > 10_000);
    assert_eq!(ours.difference(&found), None);
}

#[test]
fn images_layouts_are_read_by_others() {
    let world = world_of("sklearn", User::Current);
    let [gzip, zstd] = layouts(&world);
    for (tag, digest) in [("gzip", &gzip), ("zstd", &zstd)] {
        let text = tool(&world, "skopeo", &["inspect", &format!("oci:layout:{tag}")]);
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["Digest"].as_str(), Some(digest.as_str()));
        assert_eq!(found["Created"], "2020-01-01T00:00:00Z");
    }
    // It knows gzip alone.
    let words = [
        "validate",
        "--type",
        "image",
        "--ref",
        "name=gzip",
        "layout",
    ];
    tool(&world, "oci-image-tool", &words);
    tool(
        &world,
        "umoci",
        &["unpack", "--image", "layout:gzip", "unpacked"],
    );
    let unpacked = world.project().join("unpacked/rootfs");
    same_tree(&unpacked, &rootfs(&world));
    run_bundle(&world, &world.project().join("unpacked"), "runc");
    through_a_registry(&world, &gzip);
    podman_runs_it(&world);
}

/// Another registry and back: what arrives is what left.
fn through_a_registry(world: &World, digest: &str) {
    let registry = Registry::start(world);
    let place = format!("docker://{}/sklearn:v1", registry.address);
    let plain = "--dest-tls-verify=false";
    tool(world, "skopeo", &["copy", plain, "oci:layout:gzip", &place]);
    let by_digest = format!("docker://{}/sklearn@{digest}", registry.address);
    let plain = "--src-tls-verify=false";
    tool(world, "skopeo", &["copy", plain, &by_digest, "oci:back:v1"]);
    let index = fs::read(world.project().join("back/index.json")).unwrap();
    let index = ImageIndex::parse(&index).unwrap();
    assert_eq!(index.manifests[0].digest.to_string(), digest);
}

/// A registry on loopback, gone when dropped.
struct Registry {
    process: std::process::Child,
    address: String,
}

impl Registry {
    fn start(world: &World) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .to_string();
        let data = world.project().join("registry");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            data.display()
        );
        world.write("registry.yml", &config);
        let log = fs::File::create(world.project().join("registry.log")).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", "registry.yml"])
            .current_dir(world.project())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let registry = Self { process, address };
        // It answers when it has read its configuration.
        for _ in 0..200 {
            if std::net::TcpStream::connect(&registry.address).is_ok() {
                return registry;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the registry does not answer");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn podman_runs_it(world: &World) {
    let place = world.project().join("podman");
    let at = |name: &str| format!("{}/{name}", place.display());
    let (root, run, tmp) = (at("root"), at("run"), at("tmp"));
    let global = [
        "--root",
        &root,
        "--runroot",
        &run,
        "--tmpdir",
        &tmp,
        "--storage-driver",
        "overlay",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "file",
        "--runtime",
        "runc",
    ];
    let podman = |words: &[&str]| tool(world, "podman", &[&global, words].concat());
    let id = podman(&["pull", "--quiet", "oci:layout:zstd"]);
    // A host without the right to raise limits refuses podman's own.
    let limits = [
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
    ];
    let step = [
        "--rm",
        "--network",
        "none",
        id.trim(),
        "python",
        "-c",
        PROGRAM,
    ];
    let printed = podman(&[&["run"][..], &limits, &step].concat());
    assert_eq!(printed, PRINTED);
}

/// Runs [`PROGRAM`] in a bundle.
fn run_bundle(world: &World, bundle: &Path, runtime: &str) {
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["python", "-c", PROGRAM]);
    fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
    // Containers are known by name, and other checks may run beside this one.
    let name = format!("envbox-{}", std::process::id());
    let state = world.project().join("state").display().to_string();
    let script = match runtime {
        // It refuses a host with both versions of cgroups; with one of them in sight it runs.
        "crun" => {
            "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
             exec crun --root \"$1\" --cgroup-manager=disabled run --bundle \"$2\" \"$3\""
        }
        _ => "exec runc --root \"$1\" run --bundle \"$2\" \"$3\"",
    };
    let mut command = match runtime {
        "crun" => {
            let mut command = world.shell("exec unshare --mount sh -c \"$@\"");
            command.arg("sh").arg(script);
            command
        }
        _ => world.shell(script),
    };
    command.arg("sh").arg(state).arg(bundle).arg(name);
    assert_eq!(succeeded(runtime, command.output().unwrap()), PRINTED);
}

#[test]
fn images_bundles_run_as_they_are() {
    for (user, runtimes) in [
        (User::Current, &["runc", "crun"][..]),
        (User::Unprivileged, &["runc"]),
    ] {
        let world = world_of("sklearn", user);
        for runtime in runtimes {
            let words = ["export", "bundle", "--frozen", runtime, "--", "python"];
            let run = world.run(&words);
            assert_eq!(run.code(), Some(0), "{}", run.stderr());
            run_bundle(&world, &world.project().join(runtime), runtime);
        }
    }
}
