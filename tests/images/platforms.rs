//! Images for a platform that is not this host's.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use envbox::base::Digest;
use serde_json::Value;

use crate::downloads;
use crate::foreign::tool;
use crate::support::{User, World};

/// The wheel has extension modules for each platform, and modules of its own.
const MANIFEST: &str = "[environment]\nname = \"both\"\npython = \"3.11\"\n\
    platforms = [\"linux/amd64\", \"linux/arm64\"]\n[python]\nrequirements = [\"markupsafe==2.1.5\"]\n";

/// What compiles, as it is when envbox compiles.
const COMPILE: &str = include_str!("../../src/rootfs/compile.py");

/// Runs a program of the other platform.
const EMULATOR: &str = "/usr/bin/qemu-aarch64-static";

/// Where modules are that are compiled.
const MODULES: [&str; 3] = [
    "usr/lib/python3/dist-packages/",
    "usr/lib/python3.11/",
    "opt/env/lib/python3.11/site-packages/",
];

fn locked() -> World {
    let world = World::new(User::Current);
    world.write("envbox.toml", MANIFEST);
    downloads::share(&world);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world
}

/// Builds, and returns the digest of each platform's image.
fn built(world: &World, options: &[&str]) -> BTreeMap<String, String> {
    let run = world.run(&[&["build", "--frozen", "--json"], options].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let document: Value = serde_json::from_str(&run.stdout()).unwrap();
    let images = document["images"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    images
        .map(|image| (text(&image["platform"]), text(&image["digest"])))
        .collect()
}

#[test]
fn images_an_index_of_two_platforms_is_read_by_others() {
    let world = locked();
    let images = built(&world, &["--output", "oci:layout:v1"]);
    downloads::keep(&world);
    let raw = tool(&world, "skopeo", &["inspect", "--raw", "oci:layout:v1"]);
    let index: Value = serde_json::from_str(&raw).unwrap();
    let mut found = BTreeMap::new();
    for image in index["manifests"].as_array().unwrap() {
        let platform = &image["platform"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let name = format!(
            "{}/{}",
            text(&platform["os"]),
            text(&platform["architecture"])
        );
        found.insert(name, text(&image["digest"]));
    }
    assert_eq!(found, images);
    for architecture in ["amd64", "arm64"] {
        let words = [
            "--override-arch",
            architecture,
            "inspect",
            "--config",
            "oci:layout:v1",
        ];
        let config: Value = serde_json::from_str(&tool(&world, "skopeo", &words)).unwrap();
        assert_eq!(config["architecture"], architecture);
    }
    // Both images arrive in another layout.
    let words = ["copy", "--quiet", "--all", "oci:layout:v1", "oci:copied:v1"];
    tool(&world, "skopeo", &words);
    for digest in found.values() {
        let digest: Digest = digest.parse().unwrap();
        let blob = world
            .project()
            .join("copied/blobs/sha256")
            .join(digest.hex());
        assert_eq!(Digest::of(&fs::read(blob).unwrap()), digest);
    }
}

/// All bytecode of the image for the other platform is made once more, by that platform's
/// interpreter on an emulated processor. Needs to be root, to change the root directory.
#[test]
fn images_bytecode_is_what_the_platforms_own_interpreter_writes() {
    let world = locked();
    built(&world, &["--platform", "linux/arm64"]);
    downloads::keep(&world);
    let store = world.path().join("home/.cache/envbox");
    let rootfs = directories(&store.join("rootfs")).pop().unwrap();
    let root = without_bytecode(&world, &rootfs);
    let mut compared = 0;
    for package in directories(&store.join("trees")) {
        let modules = modules(&package, &rootfs);
        if modules.is_empty() {
            continue;
        }
        let own = compile(&root, &package, &modules);
        for (module, bytes) in modules.iter().zip(own) {
            let name = compiled(module);
            let ours = fs::read(rootfs.join(&name)).unwrap_or_default();
            assert!(ours == bytes, "{name} of {}", package.display());
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared}");
}

fn directories(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Copies a rootfs without bytecode, so that the interpreter starts as it does when there is none
/// yet, and with the emulator.
fn without_bytecode(world: &World, rootfs: &Path) -> PathBuf {
    let root = world.path().join("root");
    let script = "cp -a \"$1\" \"$2\" && chmod -R u+w \"$2\" && \
                  find \"$2\" -name __pycache__ -prune -exec rm -r {} + && cp \"$3\" \"$2/emulator\"";
    let mut command = world.shell(script);
    command.arg("sh").args([rootfs, &root]).arg(EMULATOR);
    assert!(command.status().unwrap().success());
    root
}

/// Returns the modules of a package that were compiled, if the package is one of the rootfs: its
/// files are further names of the package's.
fn modules(package: &Path, rootfs: &Path) -> Vec<String> {
    let mut modules = Vec::new();
    let mut open = vec![package.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(package).unwrap().display().to_string();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_file()
                && name.ends_with(".py")
                && MODULES.iter().any(|place| name.starts_with(place))
                // Some wheels bring their own.
                && !package.join(compiled(&name)).exists()
            {
                modules.push((name, metadata.ino()));
            }
        }
    }
    modules.sort();
    let there = |(name, inode): &(String, u64)| {
        fs::metadata(rootfs.join(name)).is_ok_and(|found| found.ino() == *inode)
    };
    if modules.iter().any(|module| !there(module)) {
        return Vec::new();
    }
    modules.into_iter().map(|(name, _)| name).collect()
}

/// Compiles the modules of a package with the emulated interpreter.
fn compile(root: &Path, package: &Path, modules: &[String]) -> Vec<Vec<u8>> {
    let script = "mkdir -p \"$1/tmp/package\" && mount --bind \"$2\" \"$1/tmp/package\" && \
                  exec chroot \"$1\" /emulator /usr/bin/python3.11 -I -S -B -Wignore -c \"$3\" /tmp/package";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]);
    command.args([root, package]).arg(COMPILE);
    command.env_clear().env("PYTHONHASHSEED", "0");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let list: String = modules.iter().map(|module| format!("{module}\0")).collect();
    let mut input = process.stdin.take().unwrap();
    input.write_all(list.as_bytes()).unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    let mut rest = output.stdout.as_slice();
    let mut next = || {
        let (length, behind) = rest.split_first_chunk::<4>().unwrap();
        let (bytes, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        rest = behind;
        bytes.to_vec()
    };
    modules.iter().map(|_| next()).collect()
}

/// Returns where the bytecode of a module lies (PEP 3147).
fn compiled(module: &str) -> String {
    let (directory, name) = module.rsplit_once('/').unwrap();
    let stem = name.strip_suffix(".py").unwrap();
    format!("{directory}/__pycache__/{stem}.cpython-311.pyc")
}
