//! Links the command at a fixed address, without the shared libgcc.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by environment"
)]

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Moving a program of this size to a random address takes the loader 1 ms of each start, a
    // fifth of what starting a step takes in all. Heap, stack and libraries stay random.
    println!("cargo::rustc-link-arg-bin=envbox=-no-pie");
    // When libgcc_s is loaded it asks what the processor can do, and each question leaves a virtual
    // machine: 0.1 to 0.3 ms of each start. What we need of it, unwinding, is in the static one too.
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(
        directory.join("libgcc_s.so"),
        "GROUP ( libgcc_eh.a libgcc.a )\n",
    )
    .expect("the directory is ours");
    println!("cargo::rustc-link-arg-bin=envbox=-L{}", directory.display());
}
