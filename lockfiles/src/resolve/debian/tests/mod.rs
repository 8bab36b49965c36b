//! The whole way from a request to a locked base, over archives made here.

mod archive;
pub(in crate::resolve) mod fixture;
pub(in crate::resolve) mod keys;
mod lock;
mod signature;
mod solve;
