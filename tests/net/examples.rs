//! The golden examples: locked, fetched and trained for real, twice and as two users.

use std::fs;

use envbox::lock::Lockfile;

use crate::downloads;
use crate::golden::{directory, pins_are_read_back, same_outputs_twice_and_as_two_users, world_of};
use crate::support::{User, World};

/// The examples that run in every check.
const EXAMPLES: [&str; 4] = ["sklearn", "jax", "xgboost", "tensorflow"];

#[test]
fn net_sklearn() {
    same_outputs_twice_and_as_two_users("sklearn");
}

/// C++'s random numbers, which libraries would else take from the processor.
#[test]
fn net_random_device_follows_the_seed() {
    let world = world_of("sklearn", User::Unprivileged);
    let draw = |seed: &str| {
        let program = "import ctypes; library = ctypes.CDLL('libstdc++.so.6'); \
                       print([library._ZNSt13random_device9_M_getvalEv(None) for _ in range(4)])";
        let words = [
            "run", "--frozen", "--seed", seed, "--", "python", "-c", program,
        ];
        let run = world.run(&words);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        run.stdout()
    };
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    downloads::keep(&world);
}

/// NumPy's real names, and its real import: a variable with a slip in it holds nothing.
#[test]
fn net_a_pin_that_did_not_take_ends_the_step() {
    let world = world_of("sklearn", User::Unprivileged);
    let manifest = fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    // With the host's CPUID: a masked one hides what the variables are for.
    let older = format!("{manifest}cpu-baseline = \"x86-64-v2\"\ncpuid = \"host\"\n");
    world.write("envbox.toml", &older);
    let import = |options: &[&str]| {
        let step = ["--", "python", "-c", "import numpy, scipy.linalg"];
        world.run(&[&["run", "--frozen"], options, &step].concat())
    };
    let run = import(&[]);
    assert_eq!((run.code(), run.stderr().as_str()), (Some(0), ""));
    let run = import(&["--env", "NPY_DISABLE_CPU_FEATURES=AVX2_TYPO"]);
    assert_eq!(run.code(), Some(1));
    assert!(run.stderr().contains("NotHeld: numpy"), "{}", run.stderr());
    let run = import(&["--env", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-FMA3"]);
    assert!(
        run.stderr().contains("GLIBC_TUNABLES is FMA"),
        "{}",
        run.stderr()
    );
    let run = import(&["--env", "OPENBLAS_CORETYPE=Nehalam"]);
    assert!(
        run.stderr().contains("OPENBLAS_CORETYPE is"),
        "{}",
        run.stderr()
    );
    downloads::keep(&world);
}

/// Of the libraries that say only when they compute, or never, what they compute with.
#[test]
fn net_frameworks_read_their_pins_back() {
    let program = "import jax; jax.numpy.ones(2) + 1";
    let held = [("--xla_cpu_max_isa", "SSE4_2")];
    pins_are_read_back(
        "jax",
        program,
        &held,
        &[("XLA_FLAGS=--xla_cpu_max_isa=AVX_2", "--xla_cpu_max_isa")],
    );
    // What its variable is when oneDNN reads it: with the first computation, and not before.
    let program = "import os, tensorflow\n\
         os.environ['ONEDNN_MAX_CPU_ISA'] = os.environ.get('LATER', 'SSE41')\n\
         print(float(tensorflow.constant(1.0) + 1))";
    pins_are_read_back(
        "tensorflow",
        program,
        &[("ONEDNN_MAX_CPU_ISA", "SSE4.1")],
        &[
            ("ONEDNN_MAX_CPU_ISA=AVX_2", "ONEDNN_MAX_CPU_ISA"),
            ("LATER=AVX2", "ONEDNN_MAX_CPU_ISA"),
        ],
    );
}

#[test]
fn net_jax() {
    same_outputs_twice_and_as_two_users("jax");
}

#[test]
fn net_xgboost() {
    same_outputs_twice_and_as_two_users("xgboost");
}

#[test]
fn net_tensorflow() {
    same_outputs_twice_and_as_two_users("tensorflow");
}

/// The manifest's cut-off date makes a lock from scratch the lock that was committed.
#[test]
fn net_locks_from_scratch_are_the_golden_ones() {
    for example in EXAMPLES.into_iter().chain(["torch"]) {
        let world = World::new(User::Unprivileged);
        let manifest = fs::read_to_string(directory(example).join("envbox.toml")).unwrap();
        world.write("envbox.toml", &manifest);
        let run = world.run(&["lock"]);
        assert_eq!(run.code(), Some(0), "{example}: {}", run.stderr());
        let made = Lockfile::read(&world.project().join("envbox.lock")).unwrap();
        let kept = Lockfile::read(&directory(example).join("envbox.lock")).unwrap();
        assert_eq!(made.request, kept.request, "{example}");
        assert_eq!(made.python, kept.python, "{example}");
        // The suite may have had a point release since: its packages are checked by running them.
        assert_eq!(
            made.interpreter.map(|found| found.path),
            kept.interpreter.map(|found| found.path)
        );
        assert_eq!(world.run(&["lock", "--check"]).code(), Some(0), "{example}");
    }
}
