//! The tier that tries images with Debian's tools: `cargo test --test images` runs it once their
//! packages are there (`.ci/run` installs them). Nothing leaves this machine.

#![expect(clippy::unwrap_used, reason = "tests")]

mod registry;
