//! Names of archive members, made safe.

use envbox_lockfiles::base::Platform;

/// Longest path below a tree, in bytes: with a store's directory in front it stays below the
/// kernel's `PATH_MAX` of 4096.
const PATH_LIMIT: usize = 2048;

/// Longest component: `NAME_MAX` of every Linux filesystem that matters.
const COMPONENT_LIMIT: usize = 255;

/// Why a member's name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It begins with `/`.
    #[error("it is absolute")]
    Absolute,
    /// It has a `..` component.
    #[error("it has a `..` component")]
    Climbs,
    /// It has a NUL, a newline or another control character: no list of files could hold it.
    #[error("it has a control character")]
    Control,
    /// It, or one of its components, is too long for a filesystem.
    #[error("it is too long")]
    TooLong,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
}

/// The path of an entry below a tree: components parted by single slashes, none of them empty, `.`
/// or `..`. Bytes, because archives of Debian packages need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Reads a member's name; `None` is the tree's own directory (`./`).
    ///
    /// # Errors
    /// Returns [`PathFault`] when the name could lead out of the tree or cannot be written.
    pub fn parse(name: &[u8]) -> Result<Option<Self>, PathFault> {
        if name.is_empty() {
            return Err(PathFault::Empty);
        }
        if name.starts_with(b"/") {
            return Err(PathFault::Absolute);
        }
        if name.iter().any(u8::is_ascii_control) {
            return Err(PathFault::Control);
        }
        let mut path = Vec::with_capacity(name.len());
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(PathFault::Climbs),
                long if long.len() > COMPONENT_LIMIT => return Err(PathFault::TooLong),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        match path.len() {
            0 => Ok(None),
            length if length > PATH_LIMIT => Err(PathFault::TooLong),
            _ => Ok(Some(Self(path))),
        }
    }

    /// Wraps a path that envbox itself wrote.
    ///
    /// # Panics
    /// Panics when it is no path of an entry.
    pub fn known(path: &str) -> Self {
        Self::parse(path.as_bytes())
            .ok()
            .flatten()
            .expect("paths in the source are valid")
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path for a message.
    pub fn display(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Returns the part before the last component, if there is one.
    pub fn parent(&self) -> Option<&[u8]> {
        parent(&self.0)
    }

    /// Returns the entry `name` in this directory.
    ///
    /// # Panics
    /// Panics when `name` is no path of an entry.
    pub fn join(&self, name: &str) -> Self {
        let mut path = self.0.clone();
        path.push(b'/');
        path.extend_from_slice(Self::known(name).as_bytes());
        Self(path)
    }

    /// Returns what follows `prefix` and a slash.
    pub fn below(&self, prefix: &str) -> Option<Self> {
        let rest = self.0.strip_prefix(prefix.as_bytes())?.strip_prefix(b"/")?;
        Some(Self(rest.to_vec()))
    }

    /// Returns this path below `directory`.
    pub fn under(&self, directory: &str) -> Self {
        let mut path = directory.as_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(&self.0);
        Self(path)
    }

    /// Moves what Debian packages keep in `/bin`, `/sbin` and `/lib*` to `/usr`, where these names
    /// lead since bookworm, and the directories themselves. A bare name that is no directory
    /// stays: newer `base-files` has the links as members.
    pub fn merged_usr(self, platform: Platform, directory: bool) -> Self {
        let merged = merged_directories(platform)
            .iter()
            .any(|name| self.below(name).is_some() || (directory && self.0 == name.as_bytes()));
        if merged { self.under("usr") } else { self }
    }
}

/// Returns the directories of the root that are links into `/usr`.
pub fn merged_directories(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::LinuxAmd64 => &["bin", "lib", "lib32", "lib64", "libx32", "sbin"],
        Platform::LinuxArm64 => &["bin", "lib", "sbin"],
    }
}

/// Returns the part of a path before its last component, if there is one.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    Some(&path[..slash])
}

/// Says whether a symbolic link at `path` with this target stays in the tree, taking the tree for
/// the root directory, which it is for every step.
pub fn stays_inside(path: &EntryPath, target: &[u8]) -> bool {
    let own_depth = path.0.iter().filter(|&&byte| byte == b'/').count();
    let mut depth = if target.starts_with(b"/") {
        0
    } else {
        own_depth
    };
    for component in target.split(|&byte| byte == b'/') {
        depth = match component {
            b"" | b"." => depth,
            b".." if depth == 0 => return false,
            b".." => depth - 1,
            _ => depth + 1,
        };
    }
    true
}

/// Returns the components of a path, last one first, without empty ones and `.`.
pub fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        for (name, path) in [
            ("./usr/bin/x", Some("usr/bin/x")),
            ("usr//bin/./x/", Some("usr/bin/x")),
            ("./", None),
            (".", None),
        ] {
            let found = EntryPath::parse(name.as_bytes()).unwrap();
            assert_eq!(found.as_ref().map(EntryPath::display).as_deref(), path);
        }
        let long = "x".repeat(256);
        let deep = "abc/".repeat(600);
        for (name, fault) in [
            ("", PathFault::Empty),
            ("/etc/passwd", PathFault::Absolute),
            ("a/../../b", PathFault::Climbs),
            ("..", PathFault::Climbs),
            ("a\0b", PathFault::Control),
            ("a\nb", PathFault::Control),
            (&long, PathFault::TooLong),
            (&deep, PathFault::TooLong),
        ] {
            assert_eq!(EntryPath::parse(name.as_bytes()), Err(fault), "{name:?}");
        }
        assert!(EntryPath::parse(b"caf\xe9").unwrap().is_some());
    }

    #[test]
    fn usr_is_merged_but_not_its_links() {
        let platform = Platform::LinuxAmd64;
        let merged = |name: &str| EntryPath::known(name).merged_usr(platform, false).display();
        assert_eq!(
            merged("lib/x86_64-linux-gnu/a"),
            "usr/lib/x86_64-linux-gnu/a"
        );
        assert_eq!(merged("lib64/ld.so"), "usr/lib64/ld.so");
        let directory = EntryPath::known("lib64").merged_usr(platform, true);
        assert_eq!(directory.display(), "usr/lib64");
        for same in ["bin", "lib", "usr/lib/a", "library/a", "etc/lib/a"] {
            assert_eq!(merged(same), same);
        }
    }

    #[test]
    fn links_that_climb_over_the_root_are_seen() {
        let path = EntryPath::known("usr/lib/x/link");
        for (target, inside) in [
            ("../../bin/y", true),
            ("../../../y", true),
            ("../../../../y", false),
            ("/etc/x", true),
            ("/../x", false),
            ("a/../../../../../x", false),
        ] {
            assert_eq!(stays_inside(&path, target.as_bytes()), inside, "{target}");
        }
    }

    proptest! {
        #[test]
        fn parsed_paths_stay_below_the_tree(name in any::<Vec<u8>>()) {
            if let Ok(Some(path)) = EntryPath::parse(&name) {
                for component in path.as_bytes().split(|&byte| byte == b'/') {
                    prop_assert!(!component.is_empty() && component != b"." && component != b"..");
                }
                prop_assert_eq!(EntryPath::parse(path.as_bytes()), Ok(Some(path.clone())));
            }
        }
    }
}
