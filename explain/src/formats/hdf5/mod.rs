//! HDF5: groups, datasets, attributes.

mod compare;
mod rows;

pub(crate) use compare::compare;
