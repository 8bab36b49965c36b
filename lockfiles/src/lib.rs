//! Manifest, lockfile and resolvers of envbox.
