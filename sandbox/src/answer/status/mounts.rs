//! The mounts of a sandbox, as `/proc/PID/mountinfo` lists them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys::read_proc;

/// What is mounted somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/proc`, and what covers parts of it.
    Kernels,
    /// Nobody inside can change it.
    ReadOnly,
    /// A file system in memory.
    Memory,
    /// The project, as an overlay.
    Overlay,
    /// Another directory of the host that can be written to.
    Writable,
}

/// A mount.
#[derive(Clone, Copy, Debug)]
pub struct Mount {
    /// What it is.
    pub kind: Kind,
    /// Its number, from 1 on.
    pub number: u32,
}

/// All mounts, by the kernel's number.
#[derive(Debug, Default)]
pub struct Mounts {
    mounts: BTreeMap<u64, (Mount, PathBuf)>,
}

impl Mounts {
    /// Reads those that a thread sees.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub fn of(thread: u32) -> io::Result<Mounts> {
        Ok(Mounts::parse(&read_proc(format!(
            "/proc/{thread}/mountinfo"
        ))?))
    }

    /// Finds one.
    pub fn find(&self, id: u64) -> Option<Mount> {
        self.mounts.get(&id).map(|(mount, _)| *mount)
    }

    /// Whether one is the root, and nobody inside can change it.
    pub fn is_root(&self, id: u64) -> bool {
        let root = |(mount, path): &(Mount, PathBuf)| {
            mount.kind == Kind::ReadOnly && path == Path::new("/")
        };
        self.mounts.get(&id).is_some_and(root)
    }

    /// Returns the mount points of those that can be written to, and their numbers.
    pub fn writable(&self) -> Vec<(PathBuf, u32)> {
        let mounts = self.mounts.values();
        mounts
            .filter(|(mount, _)| !matches!(mount.kind, Kind::Kernels | Kind::ReadOnly))
            .map(|(mount, path)| (path.clone(), mount.number))
            .collect()
    }

    fn parse(text: &[u8]) -> Mounts {
        let lines = text.split(|byte| *byte == b'\n').filter_map(line);
        let mut lines: Vec<(u64, Kind, PathBuf)> = lines.collect();
        // What covers parts of `/proc` depends on the kernel, so it is not counted.
        lines.sort_by(|(_, kind, a), (_, other, b)| {
            let last = |kind| kind == Kind::Kernels;
            (last(*kind), a).cmp(&(last(*other), b))
        });
        let number = |(number, (id, kind, path)): (u32, _)| (id, (Mount { kind, number }, path));
        Mounts {
            mounts: (1..).zip(lines).map(number).collect(),
        }
    }
}

fn line(line: &[u8]) -> Option<(u64, Kind, PathBuf)> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = words.iter().position(|word| *word == b"-")?;
    let id = std::str::from_utf8(words.first()?).ok()?.parse().ok()?;
    let path = unescape(words.get(4)?);
    let mut options = words.get(5)?.split(|byte| *byte == b',');
    let read_only = options.any(|option| option == b"ro");
    let kind = match *words.get(dash + 1)? {
        b"proc" => Kind::Kernels,
        _ if path.starts_with("/proc") => Kind::Kernels,
        _ if read_only => Kind::ReadOnly,
        b"tmpfs" | b"devpts" => Kind::Memory,
        b"overlay" => Kind::Overlay,
        _ => Kind::Writable,
    };
    Some((id, kind, path))
}

/// Undoes the octal escapes for white space and backslashes.
fn unescape(text: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'\\', [a, b, c, tail @ ..]) => {
                let digit = |byte: &u8| byte.wrapping_sub(b'0') & 7;
                bytes.push((digit(a) << 6) | (digit(b) << 3) | digit(c));
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    Path::new(OsStr::from_bytes(&bytes)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Mounts};

    #[test]
    fn mounts_are_numbered_by_their_paths() {
        let text = br"97 60 0:5 /null /proc/keys ro,nosuid - devtmpfs udev rw
61 60 0:40 / /tmp rw,nosuid - tmpfs none rw,size=1
60 33 8:1 /rootfs / ro,nosuid,nodev - ext4 /dev/root rw
62 60 0:41 / /project rw - overlay none rw
63 60 0:42 / /proc rw - proc proc rw
64 60 8:1 /x\040y /mnt/x\040y rw shared:1 master:2 - ext4 /dev/root rw
";
        let mounts = Mounts::parse(text);
        let shown: Vec<String> = mounts
            .mounts
            .iter()
            .map(|(id, (mount, path))| {
                format!("{id} {:?} {} {}", mount.kind, mount.number, path.display())
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        60 ReadOnly 1 /
        61 Memory 4 /tmp
        62 Overlay 3 /project
        63 Kernels 5 /proc
        64 Writable 2 /mnt/x y
        97 Kernels 6 /proc/keys
        ");
        assert!(mounts.is_root(60) && !mounts.is_root(62) && !mounts.is_root(97));
        assert_eq!(mounts.find(98).map(|mount| mount.kind), None);
        assert_eq!(mounts.find(97).map(|mount| mount.kind), Some(Kind::Kernels));
    }
}
