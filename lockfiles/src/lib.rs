//! Manifest, lockfile and resolvers of envbox.
//!
//! | module | what it does |
//! |---|---|
//! | [`base`] | vocabulary: digests, names, platforms, errors, [`base::Context`] |
//! | [`net`] | HTTP: retries, offline mode, certificates |
//! | [`manifest`] | `envbox.toml` to [`manifest::Manifest`] |
//! | [`lock`] | `envbox.lock` to and from [`lock::Lockfile`]; is it stale, what differs |
//! | [`resolve`] | a manifest and the registries to a lockfile: Debian, conda and Python packages |
//! | [`foreign`] | other tools' files: to a manifest and pins, and from a lock |
//!
//! A module imports only from those above it.

pub mod base;
pub mod foreign;
pub mod lock;
pub mod manifest;
pub mod net;
pub mod resolve;
