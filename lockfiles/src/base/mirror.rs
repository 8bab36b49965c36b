//! A place that has artifacts by their digests.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use url::Url;

/// What begins a path, where it could be taken for a repository.
const DIRECTORY: &str = "dir:";

/// A mirror, as `envbox mirror` makes them: whatever registry an artifact is of, its digest leads
/// to it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// A directory here, or one that a server serves; the URL ends with a slash.
    Directory(Url),
    /// A repository of a registry of images: `registry.example/team/mirror`.
    Repository(String),
}

/// The text names no mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no directory, no URL of one and no repository of images")]
pub struct InvalidMirror {
    /// The text as found.
    pub text: String,
}

impl Mirror {
    /// Reads `dir:PATH`, a path that begins with `/` or `.`, an `http`, `https` or `file` URL, or
    /// else a repository. Relative paths begin at `current`.
    ///
    /// # Errors
    /// Returns [`InvalidMirror`] for another URL, or none at all.
    pub fn parse(text: &str, current: &Path) -> Result<Self, InvalidMirror> {
        let invalid = || InvalidMirror {
            text: text.to_owned(),
        };
        let path = text.strip_prefix(DIRECTORY);
        let path = path.or_else(|| text.starts_with(['/', '.']).then_some(text));
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            let directory = Url::from_directory_path(plain(&current.join(path)));
            return directory.map(Self::Directory).map_err(|()| invalid());
        }
        if text.is_empty() || path.is_some() {
            return Err(invalid());
        }
        if !text.contains("://") {
            return Ok(Self::Repository(text.to_owned()));
        }
        let mut url = Url::parse(text).map_err(|_| invalid())?;
        if !matches!(url.scheme(), "http" | "https" | "file") {
            return Err(invalid());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self::Directory(url))
    }

    /// Returns the directory, if the mirror is one on this machine.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Directory(url) if url.scheme() == "file" => {
                // Without the slash at its end.
                Some(plain(&url.to_file_path().ok()?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path(), self) {
            (Some(path), _) => write!(f, "{}", path.display()),
            (None, Self::Repository(repository)) => f.write_str(repository),
            (None, Self::Directory(url)) => {
                let mut url = url.clone();
                // Whoever reads messages need not know passwords.
                // Neither fails for the schemes of mirrors.
                let _ = url.set_password(None).and_then(|()| url.set_username(""));
                write!(f, "{url}")
            }
        }
    }
}

/// Returns `path` without `.`.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for (text, expected) in [
            ("dir:out/mirror", "/srv/out/mirror"),
            ("dir:mirror", "/srv/mirror"),
            ("./mirror", "/srv/mirror"),
            (".", "/srv"),
            ("/mnt/my mirror", "/mnt/my mirror"),
            ("file:///mnt/mirror", "/mnt/mirror/"),
            ("https://u:p@mirror.test/a", "https://mirror.test/a/"),
            ("registry.test/team/mirror", "registry.test/team/mirror"),
            ("localhost:5000/mirror", "localhost:5000/mirror"),
        ] {
            let mirror = Mirror::parse(text, Path::new("/srv")).unwrap();
            let shown = mirror.to_string();
            assert_eq!(
                shown.trim_end_matches('/'),
                expected.trim_end_matches('/'),
                "{text}"
            );
            assert_eq!(mirror.path().is_some(), expected.starts_with('/'), "{text}");
        }
        for text in ["", "dir:", "ftp://mirror.test/", "http://"] {
            assert!(Mirror::parse(text, Path::new("/srv")).is_err(), "{text}");
        }
    }
}
