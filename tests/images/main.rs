//! The tier that proves images with other people's programs, from Debian: `.ci/run` installs them.
//! `cargo test --test images` runs it. What is packaged comes from the real registries.

#![expect(clippy::unwrap_used, reason = "tests")]

mod dockerfile;
#[path = "../net/downloads.rs"]
mod downloads;
mod foreign;
#[path = "../net/golden.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod golden;
mod platforms;
mod published;
mod registry;
mod report;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod support;
mod unpack;
