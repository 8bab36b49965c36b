//! A hermetic environment builder and sandbox for machine learning.
//!
//! One line of stages, each a type that can only be made from the one before it:
//!
//! ```text
//! envbox.toml ─► resolve ─► envbox.lock ─► fetch ─► layers ─► rootfs ─► sandbox ─► record
//!   Manifest                  Lockfile    Closure    trees    Rootfs   Running   RunRecord
//! ```
//!
//! | looking for | start at |
//! |---|---|
//! | the manifest's keys, their errors | [`manifest`], `lockfiles/src/manifest/parse.rs` |
//! | the lock's format, staleness, diff | [`lock`], `lockfiles/README.md` |
//! | Python, conda, Debian and interpreter resolution; conda and Python together | [`resolve`], `lockfiles/src/resolve/mixed/` |
//! | other tools' lockfiles, read and written | [`foreign`], `lockfiles/src/foreign/` |
//! | HTTP, retries, where registries lie | [`net`] |
//! | downloads | [`mod@fetch`] |
//! | data that a manifest declares: found, verified | [`mod@data`], `src/ops/run/inputs.rs` |
//! | the store: blobs, trees, locks, gc | [`store`] |
//! | unpacking `.deb`, wheels, conda packages, interpreters, images | [`layers`] |
//! | the merged tree a step sees | [`rootfs`] |
//! | who compiles for a platform that is not the host's | `src/rootfs/compiler.rs`, `src/ops/compiler.rs` |
//! | OCI images and their documents; what `[base] image` names | [`image`] |
//! | push to and pull from registries of images | [`registry`] |
//! | mirrors of what locks name: a directory, a repository of images | [`mirror`], `lockfiles/src/base/mirror.rs` |
//! | namespaces, init, signals, host facts | the crate `envbox_sandbox`, `sandbox/README.md` |
//! | GPUs: what a host has, whether it serves, what a step gets, whether it works there | `envbox_sandbox::gpu`, [`ops::gpu`](mod@ops::gpu), `src/ops/run/gpu/` |
//! | what packages need of a GPU's driver, what a lock pins | `lockfiles/src/lock/gpu/`, [`ops::host_gpu`](mod@ops::host_gpu) |
//! | what is fixed for a step, what it costs, its test | `sandbox/README.md` |
//! | what is held inside Python | `src/rootfs/inside/` |
//! | where a step draws chance from | [`mod@ops::audit`], `sandbox/src/answer/audit/` |
//! | runs that are compared while the host is varied; reports for CI | [`mod@ops::verify`], `src/ops/verify/variation.rs` |
//! | parts lists, provenance, signatures, keys | [`mod@attest`] |
//! | in what two outputs differ | the crate `envbox_explain`, `explain/src/lib.rs` |
//! | outputs written back; run records, the tower, what differs between two | [`record`] |
//! | the project's files as a run saw them, kept | [`snapshot`] |
//! | run records as SLSA provenance, RO-Crate, OpenLineage | [`standards`] |
//! | who asks for what in a lock; groups | `lockfiles/src/lock/graph.rs`, `select.rs` |
//! | wheels of sources, built in the sandbox | `src/ops/sources/`, `lockfiles/src/resolve/python/sources/` |
//! | changing a manifest's text | `lockfiles/src/manifest/edit/` |
//! | what activating conda packages sets | `src/ops/activation/`, [`rootfs::activation`](rootfs::activation()) |
//! | runs as a page to read | `src/ops/report/` |
//! | a command, end to end | [`ops`], one file each; `src/bin/envbox/commands/` |
//! | paths of the host in a step; a step without namespaces | `src/ops/run/binds/`, `src/ops/run/bare.rs` |
//! | what decides whether a step must run again | [`ops::key`](mod@ops::key) |
//! | what programs can rely on | `docs/interface.md` |
//! | the Python package and its wheel | `integrations/python/`, `tests/engines/python_package.rs` |
//! | engines that call envbox | `integrations/`, `tests/engines/` |
//! | steps as templates of engines: Kubernetes, Argo, Airflow, Kubeflow, Nextflow | [`engines`], `src/ops/export_step.rs` |
//! | exit codes | `src/bin/envbox/exit.rs` |
//!
//! Embedding: make a [`base::Context`], open an [`ops::Project`], call `ops::<verb>::<verb>`. The
//! library reads no environment, no clock and no home directory, and prints nothing.
//!
//! **Invariant:** modules import only from their left in the order of the line above
//! (`tests/it/architecture.rs`).

pub use envbox_lockfiles::{base, foreign, lock, manifest, net, resolve};

pub mod attest;
pub mod data;
pub mod engines;
pub mod fetch;
pub mod image;
pub mod layers;
pub mod mirror;
pub mod ops;
pub mod record;
pub mod registry;
pub mod rootfs;
pub mod snapshot;
pub mod standards;
pub mod store;
