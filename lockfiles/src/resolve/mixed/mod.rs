//! Conda packages first, then wheels around them, until both sides agree.
//!
//! A distribution that a conda package brings is there, so Python requirements can only take it or
//! leave it. When they leave it, what they require of it becomes a constraint of the next conda
//! solution.

//!
//! Comes in: the base. Goes out: the interpreter, conda packages and wheels of a lock.
//!
//! **Invariant:** no wheel lies over what a conda package brings
//! (`conda::tests::mixed::wheels_lie_around_what_conda_brings`).
//! **Invariant:** a conflict is told with both sides named
//! (`conda::tests::mixed::what_neither_side_gives_up_is_explained_with_both`).

mod border;
mod lock;

pub(super) use lock::Mixed;
