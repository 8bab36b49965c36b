//! Compiles the two programs that run inside the sandbox: init, which is freestanding, and the
//! probe of a GPU's driver, which is the guest libc's.
//!
//! Cargo cannot build them as dependencies (they have no std and link nothing of this host), and a
//! nested package would be dropped by `cargo package`. The flags do not depend on the profile: what
//! runs inside is the same in debug and release.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by environment"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const INIT: &str = "envbox-init";
const PROBE: &str = "envbox-gpu-probe";

/// What the probe is linked against, by the names that the guest's libraries have.
const STAND_INS: [(&str, &str); 2] = [("libc", "libc.so.6"), ("libdl", "libdl.so.2")];

/// Where every distribution for x86_64 with glibc has its loader.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn main() {
    println!("cargo::rerun-if-changed=inside");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let supported =
        variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ARCH") == "x86_64";
    if !supported {
        // The library refuses such a target with a message of its own; see `src/lib.rs`.
        for name in [INIT, PROBE] {
            std::fs::write(out.join(name), b"").expect("OUT_DIR is writable");
        }
        return;
    }
    // The tests compile their guest with the same compiler.
    println!("cargo::rustc-env=ENVBOX_RUSTC={}", variable("RUSTC"));
    init(&out.join(INIT));
    probe(&out);
}

fn init(output: &Path) {
    let link = [
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,noseparate-code",
    ];
    show(INIT, &link[..4]);
    let mut compiler = compiler("envbox_init", "bin", &link.join(" "));
    compiler.arg("-Crelocation-model=static");
    run(compiler, output, "inside/init/main.rs");
}

fn probe(out: &Path) {
    let directory = out.join("stand-in");
    std::fs::create_dir_all(&directory).expect("OUT_DIR is writable");
    let mut link = vec![
        "-nostdlib".to_owned(),
        "-nostartfiles".to_owned(),
        "-Wl,--no-as-needed".to_owned(),
        format!("-Wl,--dynamic-linker={LOADER}"),
        "-Wl,--build-id=none".to_owned(),
        "-Wl,-z,noseparate-code".to_owned(),
        "-Wl,--hash-style=both".to_owned(),
    ];
    for (name, soname) in STAND_INS {
        let library = directory.join(soname);
        let arguments = format!("-nostdlib -Wl,-soname,{soname} -Wl,--build-id=none");
        let compiler = compiler(name, "cdylib", &arguments);
        run(compiler, &library, &format!("inside/probe/{name}.rs"));
        link.push(library.display().to_string());
    }
    show(PROBE, &link);
    let mut compiler = compiler("envbox_gpu_probe", "bin", "");
    // One by one: a path may have blanks in it.
    for argument in &link {
        compiler.arg(format!("-Clink-arg={argument}"));
    }
    compiler.arg("-Crelocation-model=pic");
    run(compiler, &out.join(PROBE), "inside/probe/main.rs");
}

/// Has `cargo test --all-features` link the binary that only clippy is interested in.
fn show<T: AsRef<str>>(binary: &str, link: &[T]) {
    if env::var_os("CARGO_FEATURE_FREESTANDING").is_some() {
        for argument in link {
            println!("cargo::rustc-link-arg-bin={binary}={}", argument.as_ref());
        }
    }
}

fn compiler(name: &str, kind: &str, link: &str) -> Command {
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.arg("--edition=2024");
    compiler.arg(format!("--crate-name={name}"));
    compiler.arg(format!("--crate-type={kind}"));
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
    compiler.args(["-Ctarget-cpu=x86-64", "-Cforce-unwind-tables=no"]);
    if variable("CARGO_CFG_TARGET_ENV") == "musl" && name != "envbox_init" {
        // The target's own libc is linked in whole, but the guest has another.
        compiler.args(["-Ctarget-feature=-crt-static", "-Clink-self-contained=no"]);
    }
    // Lints are for the people who change these: they run clippy on them (feature `freestanding`).
    compiler.arg("--cap-lints=allow");
    // No search path, file name or build id of this machine in the bytes.
    compiler.args([
        "--remap-path-prefix",
        &format!("{}=.", variable("CARGO_MANIFEST_DIR")),
    ]);
    if !link.is_empty() {
        compiler.arg(format!("-Clink-args={link}"));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={}", linker.to_string_lossy()));
    }
    compiler
}

fn run(mut compiler: Command, output: &Path, source: &str) {
    compiler.arg("-o").arg(output).arg(source);
    let status = compiler
        .status()
        .expect("the compiler that cargo names can be started");
    assert!(status.success(), "failed to compile `{source}`");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets `{name}`"))
}
