//! envbox.

pub mod fetch;
pub mod ops;
pub mod record;
pub mod store;
