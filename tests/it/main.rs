//! The hermetic tests of the command: no network but loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod architecture;
mod cli_reference;
mod debs;
mod errors;
mod killed;
mod places;
mod readme;
mod rootfs;
mod run;
mod support;
mod terminal;
mod tools;
