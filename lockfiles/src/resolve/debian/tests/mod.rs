//! The whole way from a request to a locked base, over archives made here.

mod archive;
pub(crate) mod fixture;
pub(crate) mod keys;
mod lock;
mod signature;
mod solve;
