//! envbox.

pub mod fetch;
pub mod record;
pub mod store;
