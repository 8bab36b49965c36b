//! The hermetic tests of the command: no network but loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod architecture;
mod attest;
mod audit;
mod base;
mod cli_reference;
mod debs;
mod errors;
mod fetch;
mod foreign;
mod hook;
#[path = "../support/http.rs"]
mod http;
mod images;
mod inside;
mod killed;
mod lock;
mod mirror;
mod places;
mod readme;
mod registry;
mod rootfs;
mod run;
mod support;
mod terminal;
mod tools;
