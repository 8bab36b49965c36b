//! What every comparison is made of: limits, bytes to read, the explanation and what gathers it.
//!
//! Comes in: paths and [`Limits`]. Goes out: [`Source`]s that are read piece by piece, and an
//! [`Explanation`].
//!
//! **Invariant:** nothing that a compared file says reaches a terminal unescaped
//! (`what_is_shown_has_no_control_characters`).

mod explanation;
mod fault;
mod limits;
mod nature;
mod render;
mod shown;
mod source;
mod walk;

pub use explanation::{Difference, Explanation, Numbers};
pub(crate) use fault::Fault;
pub use limits::{Diffoscope, Limits};
pub(crate) use nature::nature;
pub(crate) use shown::{ABSENT, hex, shown};
pub(crate) use source::{Cursor, Source};
pub(crate) use walk::{Mark, Walk};
