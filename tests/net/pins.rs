//! Libraries that no example has, and what they say of the variables that hold them.

use crate::downloads;
use crate::golden::pins_of_world_are_read_back;
use crate::support::{User, World};

/// A project that is locked, and whose manifest ends in `[sandbox]`.
fn locked(python: &str, requirement: &str) -> World {
    let world = World::new(User::Unprivileged);
    let manifest = format!(
        "[environment]\nname = \"pins\"\npython = \"{python}\"\n\
         [python]\nrequirements = [{requirement}]\nexclude-newer = \"2026-11-01\"\n\
         [debian]\nsecurity = false\n[sandbox]\n"
    );
    world.write("envbox.toml", &manifest);
    downloads::share(&world);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world
}

/// Of two suites of Debian: a tunable that was renamed would hold nothing from then on.
#[test]
fn net_every_c_library_reads_its_pin_back() {
    for python in ["3.11", "3.13"] {
        let world = locked(python, "");
        let slips = [
            ("GLIBC_TUNABLES=glibc.cpu.hwcaps_x=-FMA", "GLIBC_TUNABLES"),
            ("GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA3", "GLIBC_TUNABLES"),
        ];
        pins_of_world_are_read_back(&world, "print(1)", &[], &slips);
    }
}

/// The one that reads the variable takes numbers: a name, to it, is the processor with AVX-512.
#[test]
fn net_blis_reads_its_pin_back() {
    let world = locked("3.11", "\"blis==1.1.0\"");
    let held = [("BLIS_ARCH_TYPE", "penryn")];
    let slips = [
        ("BLIS_ARCH_TYPE=haswell", "BLIS_ARCH_TYPE"),
        ("BLIS_ARCH_TYPE=3", "BLIS_ARCH_TYPE"),
    ];
    pins_of_world_are_read_back(&world, "import blis", &held, &slips);
}

/// The one that does not is used all the same, and told of.
#[test]
fn net_a_blis_that_has_no_pin_is_told_of() {
    let world = locked("3.11", "\"blis==1.3.3\"");
    let manifest = std::fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    let older = format!("{manifest}cpu-baseline = \"x86-64-v2\"\ncpuid = \"host\"\n");
    world.write("envbox.toml", &older);
    let run = world.run(&[
        "run",
        "--frozen",
        "--result-file",
        "result.json",
        "--",
        "python",
        "-c",
        "import blis",
    ]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let result = std::fs::read_to_string(world.project().join("result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let told = result["libraries"].as_array().unwrap();
    let told = told.iter().find(|one| one["name"] == "BLIS_ARCH_TYPE");
    assert_eq!(told.unwrap()["state"], "not-held", "{result:#}");
    downloads::keep(&world);
}
