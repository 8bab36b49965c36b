//! The hermetic tests of the command: no network but loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod architecture;
mod attest;
mod audit;
mod base;
mod binds;
mod channel;
mod cli_reference;
mod conda;
mod conda_edit;
mod conda_locked;
mod data;
mod debs;
mod edit;
mod errors;
mod events;
mod export_step;
mod fetch;
mod foreign;
mod gpu;
mod gpu_lock;
mod groups;
mod hook;
#[path = "../support/http.rs"]
mod http;
mod images;
mod inside;
mod interface;
mod isolation;
mod key;
mod killed;
mod lock;
mod mirror;
mod parent;
mod places;
mod platform_interpreters;
mod platforms;
mod readme;
mod registry;
mod report;
mod rootfs;
mod run;
mod runs;
#[path = "../support/schema.rs"]
mod schema;
mod stand_ins;
mod support;
mod terminal;
mod tools;
mod tree;
mod verify;
mod verify_ci;
