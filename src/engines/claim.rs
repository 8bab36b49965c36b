//! Volumes that a cluster has already.

use std::fmt;
use std::str::FromStr;

use crate::engines::EngineError;
use crate::engines::name::is_label;

/// What the image or the container has of its own: a volume there would hide it.
const TAKEN: [&str; 12] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/opt/env",
    "/opt/python",
    "/proc",
    "/run/envbox",
    "/sbin",
    "/sys",
    "/usr",
];

/// A PersistentVolumeClaim and where a step sees it, as `CLAIM:PATH[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name in the namespace that the step runs in.
    pub name: String,
    /// Where it is inside.
    pub path: String,
    /// Whether the step cannot write to it.
    pub read_only: bool,
}

impl Claim {
    /// Says whether it is at or above `path`.
    pub fn covers(&self, path: &str) -> bool {
        is_below(path, &self.path)
    }
}

/// Says whether `path` is `directory`, or below it.
pub(super) fn is_below(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Says whether `path` is absolute and has one spelling.
pub(super) fn is_plain(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
    parts.is_some_and(|mut parts| {
        parts.all(|part| !["", ".", ".."].contains(&part) && !part.contains(['\0', ':']))
    })
}

impl FromStr for Claim {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let malformed = || EngineError::Claim {
            found: text.to_owned(),
        };
        let mut parts = text.split(':');
        let (name, path) = (parts.next(), parts.next());
        let (name, path) = name.zip(path).ok_or_else(malformed)?;
        let read_only = match (parts.next(), parts.next()) {
            (None, _) => false,
            (Some("ro"), None) => true,
            _ => return Err(malformed()),
        };
        // A name of a claim is a whole name of DNS.
        if name.len() > 253 || !name.split('.').all(is_label) || !is_plain(path) {
            return Err(malformed());
        }
        let hides = |taken: &&&str| is_below(path, taken) || is_below(taken, path);
        if let Some(taken) = TAKEN.iter().find(hides) {
            return Err(EngineError::ClaimPlace {
                path: path.to_owned(),
                taken,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            read_only,
        })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.read_only { ":ro" } else { "" };
        write!(f, "{}:{}{end}", self.name, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_as_they_are_written() {
        for text in [
            "data:/data:ro",
            "a.b-1:/project",
            "x:/opt/envelope",
            "x:/home/envbox",
        ] {
            assert_eq!(text.parse::<Claim>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "data",
            "data:",
            "data:data",
            "Data:/data",
            "data:/data:rw",
            "data:/data:ro:",
            "data:/a/../b",
            "data:/",
            "data://a",
            "data:/a/",
            ":/data",
        ] {
            let error = wrong.parse::<Claim>().unwrap_err();
            assert!(matches!(error, EngineError::Claim { .. }), "{wrong}");
        }
        for taken in ["x:/usr", "x:/proc/1", "x:/opt", "x:/run", "x:/dev/shm"] {
            let error = taken.parse::<Claim>().unwrap_err();
            assert!(matches!(error, EngineError::ClaimPlace { .. }), "{taken}");
        }
    }

    #[test]
    fn a_claim_covers_what_is_in_it() {
        let claim: Claim = "x:/project".parse().unwrap();
        assert!(claim.covers("/project") && claim.covers("/project/model"));
        assert!(!claim.covers("/projects") && !claim.covers("/"));
    }
}
