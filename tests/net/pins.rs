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

/// OpenBLAS 0.3.34 asks the processor for its second cache, and splits sums by that: on some processors
/// otherwise than on others, and behind the end of a buffer. The digests are those of an emulated Haswell.
#[test]
fn net_openblas_splits_sums_alike_on_every_host() {
    let world = locked("3.13", "\"numpy==2.5.4\"");
    let program = "import hashlib, numpy\nrandom = numpy.random.default_rng(0)\n\
         for kind in ('f4', 'f8', 'c8', 'c16'):\n    \
             a, b = (random.standard_normal(shape).astype(kind) for shape in ((64, 1000), (1000, 64)))\n    \
             print(kind, hashlib.sha256((a @ b).tobytes()).hexdigest()[:16])\n";
    let run = world.run(&["run", "--frozen", "--", "python", "-c", program]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    insta::assert_snapshot!(run.stdout(), @r"
f4 3a06c872f03da5d4
f8 23aa2b40b3806f6f
c8 6eb3ae1567777f55
c16 df3524d3e52b96fa
");
    downloads::keep(&world);
}
