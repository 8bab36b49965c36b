//! The tier that takes gigabytes: `cargo test --workspace --test slow` runs it; CI does when there
//! is time.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../net/downloads.rs"]
mod downloads;
#[path = "../net/golden.rs"]
mod golden;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod support;

#[test]
fn net_torch() {
    golden::same_outputs_twice_and_as_two_users("torch");
}
