//! Compiles init, the freestanding program that runs inside the sandbox.
//!
//! Cargo cannot build it as a dependency (it has no std and links nothing), and a nested package
//! would be dropped by `cargo package`. The flags do not depend on the profile: what runs inside is
//! the same in debug and release.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by environment"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let source = Path::new("inside/init/main.rs");
    println!("cargo::rerun-if-changed=inside");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR")).join("envbox-init");
    let supported =
        variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ARCH") == "x86_64";
    if !supported {
        // The library refuses such a target with a message of its own; see `src/lib.rs`.
        std::fs::write(&out, b"").expect("OUT_DIR is writable");
        return;
    }
    if env::var_os("CARGO_FEATURE_FREESTANDING").is_some() {
        // `cargo test --all-features` links the binary that only clippy is interested in.
        for argument in ["-nostdlib", "-nostartfiles", "-static", "-no-pie"] {
            println!("cargo::rustc-link-arg-bin=envbox-init={argument}");
        }
    }
    // The tests compile their guest with the same compiler.
    println!("cargo::rustc-env=ENVBOX_RUSTC={}", variable("RUSTC"));
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.args([
        "--edition=2024",
        "--crate-name=envbox_init",
        "--crate-type=bin",
    ]);
    compiler.args(["--target", &variable("TARGET")]);
    compiler.args([
        "-Copt-level=2",
        "-Ccodegen-units=1",
        "-Cpanic=abort",
        "-Cdebuginfo=0",
    ]);
    compiler.args([
        "-Coverflow-checks=off",
        "-Cdebug-assertions=off",
        "-Cstrip=symbols",
    ]);
    compiler.args([
        "-Crelocation-model=static",
        "-Ctarget-cpu=x86-64",
        "-Cforce-unwind-tables=no",
    ]);
    // Lints are for the people who change init: they run clippy on it (feature `freestanding`).
    compiler.arg("--cap-lints=allow");
    // No search path, file name or build id of this machine in the bytes.
    compiler.args([
        "--remap-path-prefix",
        &format!("{}=.", variable("CARGO_MANIFEST_DIR")),
    ]);
    let link = "-nostdlib -nostartfiles -static -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code";
    compiler.arg(format!("-Clink-args={link}"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={}", linker.to_string_lossy()));
    }
    compiler.arg("-o").arg(&out).arg(source);
    let status = compiler
        .status()
        .expect("the compiler that cargo names can be started");
    assert!(status.success(), "failed to compile `{}`", source.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets `{name}`"))
}
