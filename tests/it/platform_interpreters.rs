//! `envbox build` for another platform with a standalone interpreter, and with conda's.

use std::fs;
use std::path::Path;

use envbox::base::{Digest, Platform};
use envbox::lock::{
    Artifact, LockedArchive, LockedConda, LockedInterpreter, Lockfile, Origin, Request,
};
use envbox::manifest::{InterpreterSource, Manifest};

use crate::channel::{Channel, Recipe};
use crate::debs;
use crate::platforms::{HERE, THERE, build, compiled, interpreter, write_project};
use crate::registry::Registry;
use crate::support::{User, World};

const RELEASE: &str = "20240726";

/// Returns the interpreter of a platform and what a module of its own says.
fn of(platform: Platform) -> (String, &'static str) {
    match platform {
        HERE => (interpreter("3.11.2"), "local\n"),
        THERE => ("\x7fELF for another processor".to_owned(), "other\n"),
    }
}

/// A project for both platforms whose interpreter is another than Debian's.
fn project(python: &str, change: impl FnOnce(&World, &mut Lockfile)) -> (World, String) {
    let world = World::new(User::Unprivileged);
    let packages = [
        ("tools", HERE, debs::deb()),
        ("data", THERE, debs::deb_of("data", &[])),
    ];
    let registry = world.path().join("registry");
    write_project(&world, &packages, |file, deb| {
        let path = registry.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, deb).unwrap();
    });
    let file = world.project().join("envbox.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("python = \"3.11\"\n", python);
    world.write("envbox.toml", &text);
    let lockfile = world.project().join("envbox.lock");
    let mut lock = Lockfile::read(&lockfile).unwrap();
    lock.request = Request::of(&Manifest::parse(&text, &file).unwrap());
    change(&world, &mut lock);
    lock.sort();
    let lock = String::from_utf8(lock.to_bytes()).unwrap();
    world.write("envbox.lock", &lock);
    (world, format!("debian={}", registry.display()))
}

/// Builds the image for the other platform, twice, and returns its bytecode.
fn built(world: &World, registries: &[&str]) -> std::collections::BTreeMap<String, String> {
    let mut words = vec![
        "--platform",
        "linux/arm64",
        "--check",
        "--output",
        "oci:layout",
    ];
    for registry in registries {
        words.extend(["--registry", registry]);
    }
    let document = build(world, &words);
    assert_eq!(document["images"].as_array().unwrap().len(), 1);
    let digest: Digest = document["digest"].as_str().unwrap().parse().unwrap();
    compiled(&world.project().join("layout"), &digest)
}

#[test]
fn a_standalone_interpreter_of_this_host_compiles() {
    let python = "python = { version = \"3.11\", from = \"standalone\" }\n";
    let (world, debian) = project(python, |world, lock| {
        let archive = |platform: Platform| {
            let (program, own) = of(platform);
            let bytes = debs::tar_gz(&[
                ("python/bin/python3.11", 0o755, program.as_str()),
                ("python/lib/python3.11/own.py", 0o644, own),
            ]);
            let file = format!(
                "{RELEASE}/cpython-3.11.2+{RELEASE}-{}.tar.gz",
                platform.machine()
            );
            let place = world.path().join("standalone").join(&file);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, &bytes).unwrap();
            LockedArchive {
                platform,
                artifact: Artifact {
                    origin: Origin::Registry("python-build-standalone".parse().unwrap()),
                    file,
                    size: bytes.len() as u64,
                    digest: Digest::of(&bytes),
                },
            }
        };
        lock.interpreter = Some(LockedInterpreter {
            from: InterpreterSource::Standalone,
            version: "3.11.2".to_owned(),
            path: "/opt/python/bin/python3.11".to_owned(),
            archives: [HERE, THERE].map(archive).to_vec(),
        });
    });
    let standalone = world.path().join("standalone");
    let standalone = format!("python-build-standalone={}", standalone.display());
    let compiled = built(&world, &[&debian, &standalone]);
    let own = "opt/python/lib/python3.11/__pycache__/own.cpython-311.pyc";
    assert_eq!(
        compiled.get(own).map(String::as_str),
        Some("other"),
        "{compiled:?}"
    );
}

fn channel(directory: &Path) -> Channel {
    let mut channel = Channel::new(directory);
    for platform in [HERE, THERE] {
        let (program, own) = of(platform);
        let python = Recipe::new("python", "3.11.2", "h0_0")
            .script("bin/python3.11", &program)
            .text("lib/python3.11/own.py", own);
        channel.add(&match platform {
            HERE => python,
            THERE => python.aarch64(),
        });
    }
    let tool = Recipe::new("tool", "1", "pyhd_0")
        .noarch("python")
        .needs(&["python"])
        .text("site-packages/tool.py", "1tool\n");
    channel.add(&tool);
    channel.index();
    channel
}

const CONDA: &str = "[conda]\nchannels = [\"lab\"]\ndependencies = [\"tool\"]\n[debian]\n";

/// What the image for the other platform has of bytecode.
fn of_conda(compiled: &std::collections::BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let all = compiled
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    all.filter(|(path, _)| !path.contains("_envbox")).collect()
}

const COMPILED: [(&str, &str); 2] = [
    (
        "opt/env/lib/python3.11/__pycache__/own.cpython-311.pyc",
        "other",
    ),
    (
        "opt/env/lib/python3.11/site-packages/__pycache__/tool.cpython-311.pyc",
        "1tool",
    ),
];

/// Locks the packages of a channel for these platforms.
fn lock_conda(world: &World, lock: &mut Lockfile, platforms: &[Platform]) {
    let file = world.project().join("envbox.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("[debian]\n", CONDA);
    world.write("envbox.toml", &text);
    lock.request = Request::of(&Manifest::parse(&text, &file).unwrap());
    let mut packages = channel(&world.path().join("channel")).locked(&["tool"]);
    for package in &mut packages {
        if package.name.as_str() == "tool" {
            package.platforms = platforms.to_vec();
        }
    }
    packages.retain(|package| platforms.contains(&package.platforms[0]));
    lock.conda = LockedConda {
        packages,
        ..LockedConda::default()
    };
    lock.interpreter = Some(LockedInterpreter {
        from: InterpreterSource::Conda,
        version: "3.11.2".to_owned(),
        path: "/opt/env/bin/python3.11".to_owned(),
        archives: Vec::new(),
    });
}

fn lab(world: &World) -> String {
    format!("lab={}", world.path().join("channel").display())
}

#[test]
fn condas_interpreter_of_this_host_compiles() {
    let (world, debian) = project("", |world, lock| lock_conda(world, lock, &[HERE, THERE]));
    let both = built(&world, &[&debian, &lab(&world)]);
    assert_eq!(of_conda(&both), COMPILED);
}

#[test]
fn condas_interpreter_for_this_host_is_looked_up_when_the_lock_has_none() {
    let world = World::new(User::Unprivileged);
    let mut registry = Registry::new("", &[]);
    registry.configure(&world);
    registry.serve_debs(&[("dash", "0.5", debs::tools_named("dash"))]);
    write_project(
        &world,
        &[("data", THERE, debs::deb_of("data", &[]))],
        |file, deb| {
            registry
                .server
                .file(&registry.path(&format!("debian/{file}")), deb);
        },
    );
    let file = world.project().join("envbox.toml");
    let text = fs::read_to_string(&file).unwrap();
    world.write("envbox.toml", &text.replace("python = \"3.11\"\n", ""));
    let lockfile = world.project().join("envbox.lock");
    let mut lock = Lockfile::read(&lockfile).unwrap();
    lock_conda(&world, &mut lock, &[THERE]);
    lock.sort();
    let lock = String::from_utf8(lock.to_bytes()).unwrap();
    world.write("envbox.lock", &lock);
    let alone = built(&world, &[&lab(&world)]);
    assert_eq!(of_conda(&alone), COMPILED);
}
