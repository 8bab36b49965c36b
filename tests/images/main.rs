//! The tier that compares with the tools of Debian that read and write images.
//! `cargo test --test images` runs it; CI does. Needs `umoci`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod unpack;
