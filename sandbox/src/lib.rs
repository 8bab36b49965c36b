//! The namespace sandbox of envbox.
