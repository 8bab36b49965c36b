//! The tier that runs other people's engines, as PyPI and Debian have them, with envbox below
//! them: `cargo test --workspace --test engines` runs it; CI does.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../it/channel.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod channel;
#[path = "../net/conda_python.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod conda_python;
#[path = "../support/docker_registry.rs"]
mod docker_registry;
#[path = "../net/downloads.rs"]
mod downloads;
mod dvc;
mod fanout;
#[path = "../net/golden.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod golden;
#[path = "../support/http.rs"]
mod http;
mod metaflow;
mod mlflow;
#[path = "../support/podman.rs"]
mod podman_place;
mod pre_commit;
mod project;
mod python_package;
mod ray;
mod slurm;
mod snakemake;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod support;
mod templates;
mod venv;
