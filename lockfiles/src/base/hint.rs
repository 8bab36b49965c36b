//! What an error is, and what the user can do about it.

/// Says whose turn it is; the command's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The user asked for something impossible or malformed.
    User,
    /// The lockfile does not answer the manifest any more.
    Stale,
    /// This host cannot do it (kernel, driver, disk, permissions).
    Host,
    /// A registry could not be reached, or did not answer properly.
    Network,
    /// Bytes are not the bytes that were promised.
    Integrity,
    /// envbox is wrong.
    Internal,
}

/// An error that knows its kind and its remedies.
pub trait Explain: std::error::Error {
    /// Returns the kind.
    fn kind(&self) -> Kind;

    /// Returns remedies, one imperative sentence each without a full stop.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}
