//! envbox.

pub mod store;
