//! A manifest and the registries to a lockfile.
