//! envbox.

pub mod layers;
pub mod store;
