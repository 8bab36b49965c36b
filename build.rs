//! Links the command at a fixed address.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Moving a program of this size to a random address takes the loader 1 ms of each start, a
    // tenth of what starting a step takes in all. Heap, stack and libraries stay random.
    println!("cargo::rustc-link-arg-bin=envbox=-no-pie");
}
