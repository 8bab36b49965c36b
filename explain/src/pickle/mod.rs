//! Python pickles, read without running anything they say.
//!
//! Comes in: the bytes of a pickle, protocols 0 to 5. Goes out: a graph of inert values: what
//! would be imported is a name, what would be called is a call object that nobody calls. NumPy's
//! arrays, joblib's and torch's tensors are recognised by the names they would call.
//!
//! **Invariant:** a pickle runs nothing, however it is made (`what_a_pickle_would_call_stays_inert`).
//! **Invariant:** graphs that share or hold themselves end (`shared_and_cyclic_values_end`).

mod compare;
mod machine;
mod numpy;
mod opcode;
mod repr;
mod spelling;
#[cfg(test)]
mod tests;
mod torch;
mod value;

pub(crate) use compare::{Side, compare};
pub(crate) use machine::read;
pub(crate) use torch::storage;
pub(crate) use value::{Graph, Id, Node, Object};
