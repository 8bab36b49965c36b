//! The host's side of init: the plan as data, its encoding, starting init, what init reports.
//!
//! Comes in: an [`Opening`], then a [`Plan`]. Goes out: a [`Launched`] init and its [`Message`]s. The
//! wire is `inside/plan.rs`, which both sides compile.
//!
//! **Invariant:** a plan's bytes are a function of the plan alone (`encoding_is_a_function`).

mod encode;
pub mod filter;
mod launch;
mod operation;
#[path = "../../inside/plan.rs"]
#[expect(dead_code, reason = "the other side uses the rest")]
pub(crate) mod wire;

pub use encode::{EncodeError, Opening, Plan, encode};
pub use launch::{Launched, Message, Standard, launch};
pub use operation::{Attribute, Filesystem, Held, Operation, overlay, root_over};
/// Fixes the layout of address spaces: no randomised addresses.
pub const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;

pub use wire::{
    AS_IT_IS, FLAG_ASK, FLAG_RANDOM, FLAG_TERMINAL, Limit, OPENING_BARE, OPENING_LOOPBACK,
    OPENING_PROBE, Stage, Used,
};
