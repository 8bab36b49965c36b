//! What a lock of PyTorch from the real registry needs of a driver.

use std::fs;

use envbox::lock::{Groups, Lockfile, gpu_requirements};

use crate::golden::directory;
use crate::support::{User, World};

/// PyTorch that is built for CUDA 13, whose wheels of NVIDIA's have other names than those for 12.
const THIRTEEN: &str = "[environment]\nname = \"torch\"\npython = \"3.13\"\n\
    [python]\nrequirements = [\"torch==2.11.0\"]\n[debian]\nsecurity = false\n[gpu]\n";

fn locked(manifest: &str) -> Lockfile {
    let world = World::new(User::Current);
    world.write("envbox.toml", manifest);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(world.run(&["lock", "--check"]).code(), Some(0));
    Lockfile::read(&world.project().join("envbox.lock")).unwrap()
}

/// Returns the versions of the wheels with these names.
fn versions<'a>(lock: &'a Lockfile, names: &[&str]) -> Vec<&'a str> {
    let wheels = lock.python.iter();
    let wheels = wheels.filter(|wheel| names.contains(&wheel.name.as_str()));
    wheels.map(|wheel| wheel.version.as_str()).collect()
}

#[test]
fn net_torch_needs_the_driver_of_its_own_runtime() {
    let golden = fs::read_to_string(directory("torch").join("envbox.toml")).unwrap();
    for (manifest, names, major, driver) in [
        (
            format!("{golden}\n[gpu]\n"),
            ["nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime-cu12"],
            "12.",
            "525.60.13",
        ),
        (
            THIRTEEN.to_owned(),
            ["nvidia-cuda-runtime", "cuda-toolkit"],
            "13.",
            "580",
        ),
    ] {
        let lock = locked(&manifest);
        let found = versions(&lock, &names);
        assert!(!found.is_empty(), "{names:?}");
        assert!(found.iter().all(|version| version.starts_with(major)));
        let requirements = gpu_requirements(&lock);
        let highest = requirements.driver().unwrap();
        assert_eq!(highest.driver.as_str(), driver);
        let told: Vec<_> = requirements.because.iter().map(|it| &*it.package).collect();
        assert!(names.iter().all(|name| told.contains(name)), "{told:?}");
        let placeholders = requirements.because.iter();
        let mut placeholders = placeholders.filter(|it| it.version.starts_with("0.0."));
        assert_eq!(placeholders.next(), None);
        // A lock without `[gpu]` tells the same.
        let mut without = lock.select(&Groups::None).unwrap();
        (without.gpu, without.request.gpu) = (None, None);
        assert_eq!(gpu_requirements(&without), requirements);
    }
}
