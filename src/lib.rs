//! envbox.

pub mod fetch;
pub mod layers;
pub mod store;
