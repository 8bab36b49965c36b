//! The tier that uses the real registries. `cargo test --test net` runs it; CI does.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod support;

mod attest;
mod audit;
#[path = "../it/channel.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod channel;
mod conda;
mod conda_python;
mod conda_real;
mod corpus;
mod downloads;
mod drivers;
mod dvc;
mod examples;
mod faulty;
mod foreign;
mod glibc;
mod golden;
mod gpu_libraries;
mod gpu_lock;
#[path = "../support/http.rs"]
mod http;
mod inside;
mod mirror;
mod packse;
mod pins;
mod platforms;
mod programs;
mod schemas;
mod sources;
mod standards;
mod tools;
