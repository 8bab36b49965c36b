//! `envbox build` for a platform whose interpreter does not run on this host.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use envbox::base::{Digest, Platform};
use envbox::image::{ImageConfig, ImageIndex, ImageManifest};
use envbox::lock::{
    Artifact, LockedConda, LockedDebian, LockedInterpreter, LockedPackage, LockedSuite, Lockfile,
    Origin, Request,
};
use envbox::manifest::{InterpreterSource, Manifest};
use serde_json::Value;

use crate::debs;
use crate::registry::Registry;
use crate::rootfs::INTERPRETER;
use crate::support::{User, World};

pub const HERE: Platform = Platform::LinuxAmd64;
pub const THERE: Platform = Platform::LinuxArm64;

/// The version of the interpreter's package.
const VERSION: &str = "3.11.2-6";

/// Modules of the interpreter for both platforms, and one that differs.
fn library(platform: Platform) -> [(&'static str, u32, &'static str); 3] {
    let own = match platform {
        HERE => "local\n",
        THERE => "other\n",
    };
    [
        ("usr/lib/python3.11/good.py", 0o644, "1line\n"),
        ("usr/lib/python3.11/package/__init__.py", 0o644, "2line\n"),
        ("usr/lib/python3.11/own.py", 0o644, own),
    ]
}

/// Plays an interpreter that says that it is this version.
pub fn interpreter(says: &str) -> String {
    let answer = format!("case $directory in import*) echo {says}; exit ;; esac");
    INTERPRETER.replacen("done\n", &format!("done\n{answer}\n"), 1)
}

/// Returns the interpreter's package for a platform; for the other one it is no program of here.
fn python(platform: Platform, says: &str) -> Vec<u8> {
    let program = match platform {
        HERE => interpreter(says),
        THERE => "\x7fELF for another processor".to_owned(),
    };
    let [good, package, own] = library(platform);
    let program = ("usr/bin/python3.11", 0o755, program.as_str());
    debs::deb_of("python3.11", &[good, package, own, program])
}

/// Writes a manifest and a lock for these platforms, with these packages. Each is put where `place`
/// says.
pub fn write_project(
    world: &World,
    packages: &[(&str, Platform, Vec<u8>)],
    place: impl Fn(&str, &[u8]),
) {
    let mut platforms: Vec<Platform> = packages.iter().map(|(_, of, _)| *of).collect();
    platforms.sort();
    platforms.dedup();
    let named: Vec<String> = platforms.iter().map(|one| format!("\"{one}\"")).collect();
    let manifest = format!(
        "[environment]\nname = \"both\"\npython = \"3.11\"\nplatforms = [{}]\n\
         [debian]\nsuite = \"bookworm\"\nsecurity = false\n",
        named.join(", ")
    );
    let request = Request::of(&Manifest::parse(&manifest, Path::new("envbox.toml")).unwrap());
    let locked = |(name, platform, deb): &(&str, Platform, Vec<u8>)| {
        let architecture = platform.debian();
        let file = format!("pool/main/{name}_{VERSION}_{architecture}.deb");
        place(&file, deb);
        LockedPackage {
            name: name.parse().unwrap(),
            version: VERSION.to_owned(),
            architecture: architecture.to_owned(),
            platforms: vec![*platform],
            artifact: Artifact {
                origin: Origin::Registry("debian".parse().unwrap()),
                file,
                size: deb.len() as u64,
                digest: Digest::of(deb),
            },
            required_by: vec!["interpreter".to_owned()],
        }
    };
    let mut lock = Lockfile {
        request,
        base: None,
        gpu: None,
        built: Vec::new(),
        interpreter: Some(LockedInterpreter {
            from: InterpreterSource::Debian,
            version: "3.11.2".to_owned(),
            path: "/usr/bin/python3.11".to_owned(),
            archives: Vec::new(),
        }),
        python: Vec::new(),
        conda: LockedConda::default(),
        debian: LockedDebian {
            suites: vec![LockedSuite {
                name: "bookworm".to_owned(),
                registry: "debian".parse().unwrap(),
                date: "2026-01-01T00:00:00Z".parse().unwrap(),
            }],
            packages: packages.iter().map(locked).collect(),
        },
    };
    lock.sort();
    world.write("envbox.toml", &manifest);
    let lock = String::from_utf8(lock.to_bytes()).unwrap();
    world.write("envbox.lock", &lock);
}

/// A project for both platforms, whose interpreter for this one says that it is this version.
fn both(says: &str) -> (World, String) {
    let world = World::new(User::Unprivileged);
    let packages = [
        ("python3.11", HERE, python(HERE, says)),
        ("tools", HERE, debs::deb()),
        ("python3.11", THERE, python(THERE, says)),
    ];
    let registry = world.path().join("registry");
    write_project(&world, &packages, |file, deb| {
        let path = registry.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, deb).unwrap();
    });
    let registry = format!("debian={}", registry.display());
    (world, registry)
}

/// Builds, and returns what was said.
pub fn build(world: &World, options: &[&str]) -> Value {
    let words = ["build", "--frozen", "--json"];
    let run = world.run(&[&words[..], options].concat());
    assert_eq!(run.code(), Some(0), "{}", run.whole());
    serde_json::from_str(&run.stdout()).unwrap()
}

/// Returns the compiled modules of an image of a layout: path to content.
pub fn compiled(layout: &Path, manifest: &Digest) -> BTreeMap<String, String> {
    let blob = |digest: &Digest| fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap();
    let manifest = ImageManifest::parse(&blob(manifest)).unwrap();
    let mut compiled = BTreeMap::new();
    for layer in &manifest.layers {
        let stream = zstd::decode_all(blob(&layer.digest).as_slice()).unwrap();
        for entry in tar::Archive::new(stream.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if path.ends_with(".pyc") {
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                compiled.insert(path, text);
            }
        }
    }
    compiled
}

#[test]
fn an_index_has_an_image_for_each_platform() {
    let (world, registry) = both("3.11.2");
    let options = ["--registry", &registry, "--check"];
    let whole = build(
        &world,
        &[&options[..], &["--output", "oci:layout"]].concat(),
    );
    let layout = world.project().join("layout");
    let read = |digest: &Digest| fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap();
    let top = ImageIndex::parse(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(whole["digest"], top.manifests[0].digest.to_string());
    let index = ImageIndex::parse(&read(&top.manifests[0].digest)).unwrap();
    let mut found = Vec::new();
    for descriptor in &index.manifests {
        let manifest = ImageManifest::parse(&read(&descriptor.digest)).unwrap();
        let config = ImageConfig::parse(&read(&manifest.config.digest)).unwrap();
        let platform = descriptor.platform.as_ref().unwrap();
        assert_eq!(config.architecture, platform.architecture);
        let own = compiled(&layout, &descriptor.digest);
        let own = |name: &str| {
            let name = format!("usr/lib/python3.11/{name}.cpython-311.pyc");
            own.get(&name).cloned().unwrap_or_default()
        };
        found.push([
            platform.architecture.clone(),
            own("__pycache__/good"),
            own("package/__pycache__/__init__"),
            own("__pycache__/own"),
        ]);
        // Alone it is the same image.
        let asked = format!("linux/{}", platform.architecture);
        let alone = build(&world, &[&options[..2], &["--platform", &asked]].concat());
        assert_eq!(alone["digest"], descriptor.digest.to_string());
    }
    let expected = [
        ["amd64", "1line", "2line", "local"],
        ["arm64", "1line", "2line", "other"],
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_platform_that_is_asked_for_twice_is_built_once() {
    let (world, registry) = both("3.11.2");
    let twice = ["--platform", "linux/arm64", "--platform", "linux/arm64"];
    let document = build(&world, &[&["--registry", &registry][..], &twice].concat());
    assert_eq!(document["images"].as_array().unwrap().len(), 1);
}

#[test]
fn an_interpreter_of_another_version_compiles_nothing() {
    let (world, registry) = both("3.11.4");
    let words = ["build", "--frozen", "--registry", &registry];
    let run = world.run(&[&words[..], &["--platform", "linux/arm64"]].concat());
    insta::assert_snapshot!(run.whole(), @r"
    exit: 11
    -- stdout
    -- stderr
    error: the `/usr/bin/python3.11` for linux/amd64 is 3.11.4, and the environment has 3.11.2

    hint: add `linux/amd64` to `platforms` in the manifest and run `envbox lock`: then the lock has the same interpreter for this host
    ");
}

/// A project for the other platform alone. The registry has, for this one, an interpreter in this
/// version of its package.
fn other_alone(version: &str) -> (World, Registry) {
    let world = World::new(User::Unprivileged);
    let mut registry = Registry::new("", &[]);
    registry.configure(&world);
    registry.serve_debs(&[
        ("dash", "0.5", debs::tools_named("dash")),
        ("python3.11", version, python(HERE, "3.11.2")),
    ]);
    let packages = [("python3.11", THERE, python(THERE, ""))];
    write_project(&world, &packages, |file, deb| {
        let path = registry.path(&format!("debian/{file}"));
        registry.server.file(&path, deb);
    });
    (world, registry)
}

#[test]
fn the_interpreter_for_this_host_is_looked_up_when_the_lock_has_none() {
    let (world, _registry) = other_alone(VERSION);
    let lock = fs::read(world.project().join("envbox.lock")).unwrap();
    let document = build(&world, &["--output", "oci:layout"]);
    let digest: Digest = document["digest"].as_str().unwrap().parse().unwrap();
    let compiled = compiled(&world.project().join("layout"), &digest);
    let own = &compiled["usr/lib/python3.11/__pycache__/own.cpython-311.pyc"];
    assert_eq!(own, "other");
    // With the lock of both it is the same image.
    let (both, registry) = both("3.11.2");
    let words = ["--registry", &registry, "--platform", "linux/arm64"];
    let image = |document: &Value| document["images"][0]["layers"].clone();
    assert_eq!(image(&build(&both, &words)), image(&document));
    assert_eq!(fs::read(world.project().join("envbox.lock")).unwrap(), lock);
}

#[test]
fn another_build_of_the_interpreter_is_refused() {
    let (world, _registry) = other_alone("3.11.2-7");
    let run = world.run(&["build", "--frozen"]);
    insta::assert_snapshot!(run.whole(), @r"
    exit: 11
    -- stdout
    -- stderr
    error: the `/usr/bin/python3.11` for linux/amd64 is 3.11.2-7, and the environment has 3.11.2-6

    hint: add `linux/amd64` to `platforms` in the manifest and run `envbox lock`: then the lock has the same interpreter for this host
    ");
}
