//! envbox.
