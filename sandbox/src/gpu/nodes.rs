//! Device nodes: which there should be, and which there are.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;

use super::fs::HostFs;
use crate::sys;

/// The numbers of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// The driver's.
    pub major: u32,
    /// The device's.
    pub minor: u32,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its numbers, if it is a character device.
    pub numbers: Option<Numbers>,
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// What the module behind `/dev/nvidiactl` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its version.
    Version(Vec<u8>),
    /// That it does not know the question: it is older than 530.30.02.
    Unrecognised,
}

/// The nodes of a host. Ordinary users can make none, so tests answer for them.
pub trait DeviceNodes {
    /// Returns what a path is, without opening it.
    ///
    /// # Errors
    /// Passes on what the kernel says.
    fn status(&self, path: &Path) -> io::Result<Status>;

    /// Opens a node and asks the module behind it for its version.
    ///
    /// # Errors
    /// Passes on what the kernel says: `ENXIO` if there is no driver, `ENOTTY` if it is another.
    fn ask_version(&self, path: &Path) -> io::Result<Answer>;
}

/// The nodes that really are there.
#[derive(Clone, Copy, Debug)]
pub struct HostNodes<'a>(pub &'a HostFs);

impl DeviceNodes for HostNodes<'_> {
    fn status(&self, path: &Path) -> io::Result<Status> {
        self.0.status(path)
    }

    fn ask_version(&self, path: &Path) -> io::Result<Answer> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let node = self.0.open(path, flags)?;
        let version = sys::nvidia::module_version(node)?;
        Ok(version.map_or(Answer::Unrecognised, Answer::Version))
    }
}

/// A node that a driver has or should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Where.
    pub path: PathBuf,
    /// The numbers it should have; `None` if nobody tells, as its major is given out at start.
    pub expected: Option<Numbers>,
    /// What was found.
    #[serde(flatten)]
    pub state: NodeState,
}

/// What was found in the place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum NodeState {
    /// The node, with the expected numbers as far as these are known.
    Present {
        /// Its numbers.
        numbers: Numbers,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Nothing.
    Missing,
    /// Something that is no character device.
    NotADevice,
    /// A device with other numbers.
    OtherNumbers {
        /// The numbers.
        found: Numbers,
    },
    /// Nobody knows.
    Unreadable {
        /// The error number.
        errno: i32,
    },
}

impl Node {
    pub(super) fn look(
        nodes: &dyn DeviceNodes,
        path: impl Into<PathBuf>,
        expected: Option<Numbers>,
    ) -> Node {
        let path = path.into();
        let state = match nodes.status(&path) {
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => NodeState::Missing,
                errno => NodeState::Unreadable {
                    errno: errno.unwrap_or(libc::EIO),
                },
            },
            Ok(status) => match status.numbers {
                None => NodeState::NotADevice,
                Some(found) if expected.is_some_and(|expected| expected != found) => {
                    NodeState::OtherNumbers { found }
                }
                Some(numbers) => NodeState::Present {
                    numbers,
                    mode: status.mode,
                    uid: status.uid,
                    gid: status.gid,
                },
            },
        };
        Node {
            path,
            expected,
            state,
        }
    }

    /// Returns whether it is there and right.
    pub fn is_present(&self) -> bool {
        matches!(self.state, NodeState::Present { .. })
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.path.display())?;
        match (self.state, self.expected) {
            (NodeState::Present { numbers, mode, .. }, _) => {
                write!(f, "is the device {numbers}, mode {mode:04o}")
            }
            (NodeState::Missing, _) => f.write_str("does not exist"),
            (NodeState::NotADevice, _) => f.write_str("is no device"),
            (NodeState::OtherNumbers { found }, Some(expected)) => {
                write!(f, "is the device {found}, not {expected}")
            }
            (NodeState::OtherNumbers { found }, None) => write!(f, "is the device {found}"),
            (NodeState::Unreadable { errno }, _) => {
                let error = io::Error::from_raw_os_error(errno);
                write!(f, "cannot be read ({error})")
            }
        }
    }
}

/// The drivers of character devices, by name: the first half of `/proc/devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered(BTreeMap<String, u32>);

impl Registered {
    /// Reads them; none if the file is not there.
    pub(super) fn read(fs: &HostFs) -> Option<Registered> {
        fs.text("/proc/devices")
            .map(|text| Registered::parse(&text))
    }

    pub(super) fn parse(text: &str) -> Registered {
        let lines = text.lines().take_while(|line| !line.starts_with("Block"));
        let entry = |line: &str| {
            let (number, name) = line.trim().split_once(' ')?;
            Some((name.trim().to_owned(), number.parse().ok()?))
        };
        Registered(lines.filter_map(entry).collect())
    }

    /// Returns the major of a driver.
    pub(super) fn major(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    /// Returns whether some driver has a major.
    pub(super) fn has(&self, major: u32) -> bool {
        self.0.values().any(|have| *have == major)
    }
}
