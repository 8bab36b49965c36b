//! The tier that proves images with other people's programs, from Debian: `.ci/run` installs them.
//! `cargo test --test images` runs it. What is packaged comes from the real registries.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../it/channel.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod channel;
#[path = "../net/conda_python.rs"]
mod conda_python;
#[path = "../support/docker_registry.rs"]
mod docker_registry;
mod dockerfile;
#[path = "../net/downloads.rs"]
mod downloads;
mod foreign;
#[path = "../net/golden.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod golden;
mod gpu;
#[path = "../../sandbox/tests/it/gpu_host.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod gpu_host;
#[path = "../support/http.rs"]
mod http;
mod platforms;
#[path = "../support/podman.rs"]
mod podman_place;
mod pods;
mod published;
mod registry;
mod report;
#[path = "../support/schema.rs"]
mod schema;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod support;
mod unpack;
