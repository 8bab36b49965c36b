//! Tests that run real sandboxes; see `harness`.
#![expect(clippy::unwrap_used, reason = "the harness is part of the tests")]

mod architecture;
mod audit;
mod bare;
mod cpuid;
mod determinism;
mod files;
mod gpu;
mod gpu_driver;
#[expect(dead_code, reason = "each crate uses a part")]
mod gpu_host;
mod harness;
mod inside;
mod library;
mod machine;
mod process;
mod project;
