//! Layouts, archives and bundles of a real environment, read and run by the programs that people
//! have.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use envbox::image::ImageIndex;
use envbox::store::TreeManifest;
use serde_json::Value;

use crate::golden::world_of;
use crate::podman_place::podman_options;
use crate::registry::Registry;
use crate::support::{User, World};

/// What proves that the environment works: compiled modules, libraries of the base, writable
/// places, the user.
const PROGRAM: &str = "import os, ssl, sqlite3, ctypes, numpy, sklearn, pandas\n\
                       open('/project/written', 'w'); open(os.path.expanduser('~/x'), 'w')\n\
                       print(numpy.arange(3).sum(), sklearn.__version__, os.environ['TZ'])";
const PRINTED: &str = "3 1.5.2 UTC\n";

/// Runs a program that must succeed.
pub fn tool<S: AsRef<OsStr>>(world: &World, program: &str, arguments: &[S]) -> String {
    let mut command = world.shell("exec \"$@\"");
    command.arg("sh").arg(program).args(arguments);
    succeeded(program, command.output().unwrap())
}

/// Returns what a program printed, which must have succeeded.
pub fn succeeded(program: &str, output: Output) -> String {
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
    let registry = Registry::start();
    let place = |path: &str| format!("oci:{}", world.project().join(path).display());
    let there = format!("docker://{}/sklearn", registry.host);
    let plain = "--dest-tls-verify=false";
    let layout = place("layout:gzip");
    registry.skopeo(&["copy", plain, &layout, &format!("{there}:v1")]);
    let plain = "--src-tls-verify=false";
    let by_digest = format!("{there}@{digest}");
    registry.skopeo(&["copy", plain, &by_digest, &place("back:v1")]);
    let index = fs::read(world.project().join("back/index.json")).unwrap();
    let index = ImageIndex::parse(&index).unwrap();
    assert_eq!(index.manifests[0].digest.to_string(), digest);
}

fn podman_runs_it(world: &World) {
    let printed = podman(world, "zstd", &["python", "-c", PROGRAM]);
    assert_eq!(printed, PRINTED);
}

/// Runs a command in an image of the layout.
fn podman(world: &World, tag: &str, command: &[&str]) -> String {
    // A host without the right to raise limits refuses podman's own.
    let limits = [
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
    ];
    podman_with(world, tag, &limits, command, |words| {
        tool(world, "podman", words)
    })
}

/// As [`podman`], where `podman` runs it with the words that it is given.
fn podman_with(
    world: &World,
    tag: &str,
    limits: &[&str],
    command: &[&str],
    podman: impl Fn(&[&str]) -> String,
) -> String {
    let global = podman_options(&world.project().join("podman"));
    let global: Vec<&str> = global.iter().map(String::as_str).collect();
    let layout = format!("oci:layout:{tag}");
    let id = podman(&[&global[..], &["pull", "--quiet", &layout]].concat());
    let step = ["--rm", "--network", "none", id.trim()];
    podman(&[&global[..], &["run"], limits, &step, command].concat())
}

/// Becomes a user with subordinate ids, as an administrator makes one, in files that are seen here
/// alone; then runs podman.
const ROOTLESS: &str = r#"
user=$1; home=$2; shift 2
cd "$home"
for file in passwd group; do
    (cat /etc/$file; echo "guest:x:$user:$user::$home:/bin/sh") > $file
    chmod 644 $file
    mount --bind $file /etc/$file
done
echo "guest:600000:65536" > ids
touch /etc/subuid /etc/subgid
mount --bind ids /etc/subuid
mount --bind ids /etc/subgid
cd ../project
exec setpriv --reuid=$user --regid=$user --clear-groups \
    env -i HOME="$home" XDG_RUNTIME_DIR="$home" PATH=/usr/sbin:/usr/bin:/sbin:/bin podman "$@"
"#;

/// podman as a user without privileges: the container's users are subordinate ids. Not shown here,
/// for no host of the tier has it: a network (slirp4netns wants a device), limits on resources (cgroups
/// that are the user's), crun (refuses a host with both versions of cgroups), and limits other than
/// the host's, which a user may not raise.
fn podman_runs_it_rootless(world: &World) {
    let output = ["--output", "oci:layout:zstd"];
    let run = world.run(&[&["build", "--frozen"][..], &output].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let home = world.path().join("home");
    let user = fs::metadata(&home).unwrap().uid().to_string();
    let podman = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", ROOTLESS, "sh", &user]);
        command.arg(&home).args(words);
        succeeded("podman", command.output().unwrap())
    };
    let ids = "\nprint(open('/proc/self/uid_map').read().split())";
    let program = format!("{PROGRAM}{ids}");
    let command = ["python", "-c", &program];
    let printed = podman_with(world, "zstd", &["--ulimit", "host"], &command, podman);
    let mapped = format!("['0', '{user}', '1', '1', '600000', '65536']\n");
    assert_eq!(printed, format!("{PRINTED}{mapped}"));
}

/// envbox in the image holds what it can, and it is the same as envbox outside holds.
#[test]
fn images_a_supervised_container_draws_what_a_step_draws() {
    let world = world_of("sklearn", User::Current);
    let output = "oci:layout:supervised";
    let words = ["build", "--frozen", "--supervised", "--output", output];
    let run = world.run(&words);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let draws = "import os, random, time, uuid\n\
                 print(time.time(), uuid.uuid4(), random.random(), os.listdir('/usr/share'))";
    let command = ["python", "-c", draws];
    let run = world.run(&[&["run", "--frozen", "--"], &command[..]].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(run.stdout().starts_with("1577836800.0"), "{}", run.stdout());
    for _ in 0..2 {
        assert_eq!(podman(&world, "supervised", &command), run.stdout());
    }
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
        if user == User::Unprivileged {
            podman_runs_it_rootless(&world);
        }
    }
}
