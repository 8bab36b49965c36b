//! What `envbox lock` says of a GPU's driver, on registries of the test's own.

use std::fs;
use std::path::Path;

use envbox::base::Context;
use envbox::lock::{HostGpu, Lockfile};
use envbox::ops::lock::{GpuChange, LockMode, LockOptions, LockOutcome, LockReport, lock};
use envbox::ops::{Error, Project};

use crate::registry::Registry;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"app\"]\n[debian]\nsecurity = false\n";

/// A project whose one requirement needs CUDA, as PyTorch does.
fn project(runtime: &str, gpu: &str) -> (Registry, World) {
    let wheels: [(&str, &str, &[&str]); 2] = [
        ("app", "1", &["nvidia-cuda-runtime"]),
        ("nvidia-cuda-runtime", runtime, &[]),
    ];
    let registry = Registry::new("", &wheels);
    let world = World::new(User::Current);
    registry.configure(&world);
    world.write("envbox.toml", &format!("{MANIFEST}{gpu}"));
    (registry, world)
}

fn locked(world: &World, options: &[&str]) -> Lockfile {
    let run = world.run(&[&["lock"], options].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    read(&world.project())
}

fn read(project: &Path) -> Lockfile {
    Lockfile::read(&project.join("envbox.lock")).unwrap()
}

fn host(driver: &str) -> HostGpu {
    HostGpu {
        driver: driver.parse().unwrap(),
        name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        compute_capability: None,
        multiprocessors: None,
        mig: Some(false),
    }
}

/// Locks what is locked already: that asks no registry.
fn changed(directory: &Path, gpu: GpuChange, mode: LockMode) -> Result<LockReport, Error> {
    let context = Context::new(directory.join("store"), jiff::Timestamp::UNIX_EPOCH);
    let options = LockOptions {
        gpu,
        mode,
        ..LockOptions::default()
    };
    lock(&context, &Project::open(directory)?, &options)
}

fn pin(directory: &Path) -> Option<String> {
    let gpu = read(directory).gpu?;
    gpu.pin.map(|pin| pin.to_string())
}

#[test]
fn what_packages_need_of_a_driver_is_locked_on_any_host() {
    let (_registry, world) = project("13.0.96", "[gpu]\n");
    let gpu = locked(&world, &[]).gpu.unwrap();
    let because: Vec<_> = gpu
        .requires
        .because
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(because, ["nvidia-cuda-runtime 13.0.96"]);
    assert_eq!(gpu.requires.driver().unwrap().driver.as_str(), "580");
    assert_eq!((gpu.pin, gpu.device), (None, None));
    assert_eq!(world.run(&["lock", "--check"]).code(), Some(0));
    world.write(
        "envbox.toml",
        &format!("{MANIFEST}[gpu]\ndriver = \"branch\"\n"),
    );
    let run = world.run(&["lock", "--check"]);
    assert_eq!(run.code(), Some(11));
    assert!(
        run.stderr()
            .contains("`[gpu] driver` changed from `exact` to `branch`")
    );
}

#[test]
fn a_pin_stays_until_it_is_replaced_or_taken_out() {
    let (_registry, world) = project("13.0.96", "");
    let before = locked(&world, &[]);
    assert_eq!(before.gpu, None);
    let directory = &world.project();
    let pinned = GpuChange::Pin(host("580.159.04"));
    let report = changed(directory, pinned.clone(), LockMode::Write).unwrap();
    assert_eq!(report.outcome, LockOutcome::Updated);
    assert_eq!(pin(directory).as_deref(), Some("580.159.04"));
    let report = changed(directory, pinned, LockMode::Write).unwrap();
    assert_eq!(report.outcome, LockOutcome::Unchanged);
    // The same command without it, also where it resolves anew.
    let with_pin = read(directory);
    for options in [&[][..], &["--check"], &["--upgrade"]] {
        let run = world.run(&[&["lock"], options].concat());
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        assert_eq!(read(directory), with_pin, "{options:?}");
    }
    world.write(
        "envbox.toml",
        &format!("{MANIFEST}[gpu]\ndriver = \"branch\"\n"),
    );
    locked(&world, &[]);
    assert_eq!(pin(directory).as_deref(), Some("580.*"));
    world.write("envbox.toml", MANIFEST);
    locked(&world, &[]);
    let report = changed(
        directory,
        GpuChange::Pin(host("595.71.05")),
        LockMode::Write,
    )
    .unwrap();
    let changes = report.changes.iter();
    let change = changes
        .clone()
        .find(|change| change.name == "gpu driver")
        .unwrap();
    assert_eq!(
        (&*change.before, &*change.after),
        (
            &["580.159.04".to_owned()][..],
            &["595.71.05".to_owned()][..]
        )
    );
    let run = world.run(&["lock", "--gpu=none"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(
        run.stdout().contains("- gpu driver 595.71.05\n"),
        "{}",
        run.stdout()
    );
    assert_eq!(read(directory), before);
}

#[test]
fn a_driver_that_packages_do_not_run_on_is_not_pinned() {
    let (_registry, world) = project("13.0.96", "[gpu]\n");
    let before = locked(&world, &[]);
    let directory = &world.project();
    let error = changed(
        directory,
        GpuChange::Pin(host("550.163.01")),
        LockMode::Write,
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("nvidia-cuda-runtime 13.0.96 needs"),
        "{error}"
    );
    assert_eq!(read(directory), before);
}

/// On whatever host this is.
#[test]
fn this_host_is_pinned_or_refused() {
    let (_registry, world) = project("0.0.1", "[gpu]\n");
    let before = locked(&world, &[]);
    let told = world.run(&["--json", "gpu"]);
    let told: serde_json::Value = serde_json::from_str(&told.stdout()).unwrap();
    let run = world.run(&["lock", "--gpu"]);
    let directory = &world.project();
    match told["refused"].as_str() {
        Some(why) => {
            assert_eq!(run.code(), Some(12), "{}", run.stderr());
            let remedy = told["remedy"].as_str().unwrap();
            let expected = format!("error: {why}\n\nhint: {remedy}\n");
            assert_eq!(run.stderr(), expected);
            assert_eq!(read(directory), before);
        }
        None => {
            assert_eq!(run.code(), Some(0), "{}", run.stderr());
            assert_eq!(pin(directory).as_deref(), told["driver"].as_str());
        }
    }
    for wrong in ["--gpu=-1", "--gpu=first", "--gpu="] {
        let run = world.run(&["lock", wrong]);
        assert_eq!(run.code(), Some(2), "{wrong}: {}", run.stderr());
    }
    assert_eq!(world.run(&["lock", "--check", "--gpu"]).code(), Some(2));
}

#[test]
fn a_pin_that_is_malformed_is_told_with_its_line() {
    let (_registry, world) = project("13.0.96", "");
    locked(&world, &[]);
    let directory = &world.project();
    changed(
        directory,
        GpuChange::Pin(host("580.159.04")),
        LockMode::Write,
    )
    .unwrap();
    let file = directory.join("envbox.lock");
    let text = fs::read_to_string(&file).unwrap();
    let malformed = text.replace("\"580.159.04\"", "\"58O.159.04\"");
    let line = 1 + malformed
        .lines()
        .position(|line| line.contains("58O"))
        .unwrap();
    fs::write(&file, malformed).unwrap();
    let run = world.run(&["lock", "--check"]);
    assert_eq!(run.code(), Some(14), "{}", run.stderr());
    let sentence = format!("error: line {line} of `");
    assert!(run.stderr().starts_with(&sentence), "{}", run.stderr());
    assert!(
        run.stderr()
            .contains("`driver = \"58O.159.04\"` is not 2 or 3 numbers")
    );
    assert!(run.stderr().contains("restore it from version control"));
}
