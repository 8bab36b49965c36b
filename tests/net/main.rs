//! The tier that uses the real registries. `cargo test --test net` runs it; CI does.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../it/support.rs"]
mod support;

mod downloads;
mod examples;
mod golden;
mod programs;
