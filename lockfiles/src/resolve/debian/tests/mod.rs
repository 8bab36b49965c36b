//! The whole way from a request to a locked base, over archives made here.

mod archive;
mod fixture;
mod keys;
mod lock;
mod signature;
mod solve;
