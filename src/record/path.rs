//! Paths below the project.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize};

/// A path below the project, relative and without `.` or `..`.
///
/// Ordered component by component: a directory comes right before what is in it. Displayed so that
/// it is one line on a terminal whatever is in the name. Serialized as `path`, and when that is not
/// UTF-8, with all bytes as hex digits in `path_hex`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProjectPath(PathBuf);

impl ProjectPath {
    /// Returns the path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns the path of the entry `name` of this directory.
    pub(super) fn join(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }

    /// Returns the directory it is in and its name; the project itself has neither.
    pub(super) fn split(&self) -> Option<(Self, &OsStr)> {
        let parent = self.0.parent()?.to_path_buf();
        Some((Self(parent), self.0.file_name()?))
    }
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                match character.is_control() {
                    true => write!(f, "{}", character.escape_default())?,
                    false => write!(f, "{character}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for ProjectPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.as_os_str().as_bytes();
        let text = String::from_utf8_lossy(bytes);
        let whole = text.as_bytes() == bytes;
        let mut fields = serializer.serialize_struct("ProjectPath", 2 - usize::from(whole))?;
        fields.serialize_field("path", &text)?;
        if !whole {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            fields.serialize_field("path_hex", &hex)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for ProjectPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            path: String,
            path_hex: Option<String>,
        }
        let Wire { path, path_hex } = Wire::deserialize(deserializer)?;
        let bytes = match path_hex {
            None => path.into_bytes(),
            Some(hex) => (0..hex.len())
                .step_by(2)
                .map(|at| {
                    let digits = hex.get(at..at + 2)?;
                    u8::from_str_radix(digits, 16).ok()
                })
                .collect::<Option<_>>()
                .ok_or_else(|| serde::de::Error::custom("`path_hex` is not hex digits"))?,
        };
        let path = PathBuf::from(OsString::from_vec(bytes));
        let below = |part| matches!(part, std::path::Component::Normal(_));
        match path.components().all(below) {
            true => Ok(Self(path)),
            false => Err(serde::de::Error::custom("`path` leads out of the project")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_line_and_can_be_told_from_every_other() {
        let path = |name: &[u8]| ProjectPath::default().join(OsStr::from_bytes(name));
        let show = |name: &[u8]| {
            let path = path(name);
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<ProjectPath>(&json).unwrap(), path);
            format!("{path} {json}")
        };
        assert_eq!(
            show(b"metrics.json"),
            r#"metrics.json {"path":"metrics.json"}"#
        );
        assert_eq!(show(b"a\nb\x1b"), r#"a\nb\u{1b} {"path":"a\nb\u001b"}"#);
        assert_eq!(
            show(b"caf\xe9"),
            "caf\\xe9 {\"path\":\"caf\u{fffd}\",\"path_hex\":\"636166e9\"}"
        );
    }
}
