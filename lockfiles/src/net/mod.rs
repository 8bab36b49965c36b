//! HTTP: retries, offline mode, certificates. The only module that opens sockets itself (the Python
//! resolver's own client apart).
//!
//! Comes in: the name of a registry, or a URL (`http`, `https` or `file`). Goes out: bytes, no more
//! than the caller allows, or a [`NetError`] that says whose fault it was.
//!
//! A [`Request`] of any method gets its [`Reply`] whatever the status is; the caller judges it.
//!
//! What is tried again: refused or lost connections, silence, answers 429 and 5xx, bodies that end
//! early. What is not: every other answer, and certificates that are not trusted.
//!
//! **Invariant:** nothing goes out while the context is offline (`tests::offline_sends_nothing`).
//! **Invariant:** no error text holds a password (`error::tests`).

mod body;
mod channels;
mod client;
mod error;
mod exchange;
mod registries;
mod runtime;
#[cfg(test)]
pub(crate) mod tests;

pub use body::Body;
pub use channels::{ChannelPatience, channel_client, channel_url};
pub use client::{Backoff, Client, ClientOptions, Conditional};
pub use error::{NetError, shown};
pub use exchange::{FilePart, Method, Payload, Reply, Request, Sent};
pub use registries::{join, registry_url, snapshot_path, snapshot_url};
pub use runtime::{block_on, block_on_large_stack};
