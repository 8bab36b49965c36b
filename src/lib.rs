//! envbox.

pub mod fetch;
pub mod store;
