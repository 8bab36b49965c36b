//! The version of NVIDIA's kernel module, from the three places that tell it.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::fs::HostFs;
use super::nodes::{Answer, DeviceNodes, Node, NodeState, Registered};
use super::surroundings::Surroundings;
use super::version::DriverVersion;

/// What the kernel says about its NVIDIA module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelModule {
    /// What each place says, in the order in which they are believed.
    pub readings: Vec<SourceReading>,
    /// Which of NVIDIA's two modules it is, if it says so.
    pub flavour: Option<Flavour>,
    /// Whether `nvidia_uvm` is registered; `None` if the kernel does not list its drivers.
    pub uvm_registered: Option<bool>,
}

/// What one place says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceReading {
    /// The place.
    pub source: KernelSource,
    /// What it says.
    #[serde(flatten)]
    pub reading: Reading,
}

/// A place that tells the version of the kernel module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelSource {
    /// The module itself, asked through `/dev/nvidiactl`.
    Ioctl,
    /// `/sys/module/nvidia/version`.
    Sys,
    /// `/proc/driver/nvidia/version`.
    Proc,
}

/// What a place says about the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reading")]
pub enum Reading {
    /// This version.
    Version {
        /// The version.
        version: DriverVersion,
    },
    /// Nothing: it is not there.
    Absent,
    /// Nothing: the place of the node has something else, which was not opened.
    WrongNode,
    /// Nothing: no driver is behind the node.
    NothingBehind,
    /// Nothing: another driver is behind the node.
    OtherDriver,
    /// Nothing: the module is older than the question.
    TooOld,
    /// Nothing that could be read.
    Unreadable {
        /// The error number.
        errno: i32,
    },
    /// Something that is no version.
    Malformed {
        /// The beginning of it.
        text: String,
    },
}

/// Which of NVIDIA's two kernel modules it is. Both work with the same libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// The open one.
    Open,
    /// The proprietary one.
    Proprietary,
}

impl KernelModule {
    /// Asks all three places.
    pub(super) fn read(
        fs: &HostFs,
        nodes: &dyn DeviceNodes,
        registered: Option<&Registered>,
        control: &Node,
        surroundings: Surroundings,
    ) -> KernelModule {
        // gVisor's kernel loads no modules, and need not list what it passes on.
        let listed = registered.filter(|_| surroundings != Surroundings::Gvisor);
        let (ioctl, sys) = (ask(nodes, listed, control), sys_version(fs));
        let (proc, flavour) = proc_version(fs);
        let readings = [
            (KernelSource::Ioctl, ioctl),
            (KernelSource::Sys, sys),
            (KernelSource::Proc, proc),
        ];
        let reading = |(source, reading)| SourceReading { source, reading };
        KernelModule {
            readings: readings.map(reading).into(),
            flavour,
            uvm_registered: registered.map(|list| list.major("nvidia-uvm").is_some()),
        }
    }

    /// Returns the version of the most trusted place that tells one, and the place.
    pub fn version(&self) -> Option<(&DriverVersion, KernelSource)> {
        self.versions().next()
    }

    /// Returns whether two places tell different versions.
    pub fn disagrees(&self) -> bool {
        let mut versions = self.versions();
        let Some((first, _)) = versions.next() else {
            return false;
        };
        versions.any(|(other, _)| !other.is_exactly(first))
    }

    /// Returns what a place says.
    pub fn reading(&self, source: KernelSource) -> &Reading {
        let found = self.readings.iter().find(|it| it.source == source);
        found.map_or(&Reading::Absent, |it| &it.reading)
    }

    fn versions(&self) -> impl Iterator<Item = (&DriverVersion, KernelSource)> {
        self.readings.iter().filter_map(|it| match &it.reading {
            Reading::Version { version } => Some((version, it.source)),
            _ => None,
        })
    }
}

/// Asks the module, if its node is the right one and opening it makes the kernel load nothing.
fn ask(nodes: &dyn DeviceNodes, registered: Option<&Registered>, control: &Node) -> Reading {
    let numbers = match control.state {
        NodeState::Present { numbers, .. } => numbers,
        NodeState::Missing => return Reading::Absent,
        NodeState::Unreadable { errno } => return Reading::Unreadable { errno },
        NodeState::NotADevice | NodeState::OtherNumbers { .. } => return Reading::WrongNode,
    };
    if registered.is_some_and(|list| !list.has(numbers.major)) {
        return Reading::NothingBehind;
    }
    match nodes.ask_version(&control.path) {
        Ok(Answer::Version(bytes)) => parsed(&bytes),
        Ok(Answer::Unrecognised) => Reading::TooOld,
        Err(error) => match error.raw_os_error().unwrap_or(libc::EIO) {
            libc::ENXIO | libc::ENODEV => Reading::NothingBehind,
            libc::ENOTTY => Reading::OtherDriver,
            errno => Reading::Unreadable { errno },
        },
    }
}

fn sys_version(fs: &HostFs) -> Reading {
    match fs.read(Path::new("/sys/module/nvidia/version")) {
        Ok(bytes) => parsed(&bytes),
        Err(error) => failed(&error),
    }
}

fn proc_version(fs: &HostFs) -> (Reading, Option<Flavour>) {
    let bytes = match fs.read(Path::new("/proc/driver/nvidia/version")) {
        Ok(bytes) => bytes,
        Err(error) => return (failed(&error), None),
    };
    match parse_proc(&String::from_utf8_lossy(&bytes)) {
        Some((version, flavour)) => (Reading::Version { version }, Some(flavour)),
        None => (malformed(&bytes), None),
    }
}

/// Finds the version in the line that begins with `NVRM version:`. What stands before it differs
/// between drivers and builds, so it is the first word that is a version.
pub(super) fn parse_proc(text: &str) -> Option<(DriverVersion, Flavour)> {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("NVRM version:"))?;
    let flavour = match line.contains("Open Kernel Module") {
        true => Flavour::Open,
        false => Flavour::Proprietary,
    };
    let version = line.split_whitespace().find_map(|word| word.parse().ok())?;
    Some((version, flavour))
}

fn parsed(bytes: &[u8]) -> Reading {
    let text = String::from_utf8_lossy(bytes);
    let version = text.trim().parse().ok();
    version.map_or_else(|| malformed(bytes), |version| Reading::Version { version })
}

fn malformed(bytes: &[u8]) -> Reading {
    let text = String::from_utf8_lossy(bytes);
    let first = text.lines().next().unwrap_or_default();
    Reading::Malformed {
        text: first.chars().take(80).collect(),
    }
}

fn failed(error: &std::io::Error) -> Reading {
    match error.raw_os_error().unwrap_or(libc::EIO) {
        libc::ENOENT | libc::ENOTDIR => Reading::Absent,
        errno => Reading::Unreadable { errno },
    }
}

impl fmt::Display for KernelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelSource::Ioctl => "/dev/nvidiactl",
            KernelSource::Sys => "/sys/module/nvidia/version",
            KernelSource::Proc => "/proc/driver/nvidia/version",
        })
    }
}

impl fmt::Display for SourceReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.source)?;
        match &self.reading {
            Reading::Version { version } => write!(f, "says {version}"),
            Reading::Absent => f.write_str("does not exist"),
            Reading::WrongNode => f.write_str("is not the driver's node"),
            Reading::NothingBehind => f.write_str("has no driver behind it"),
            Reading::OtherDriver => f.write_str("is of another driver"),
            Reading::TooOld => f.write_str("does not know the question"),
            Reading::Unreadable { errno } => {
                let error = std::io::Error::from_raw_os_error(*errno);
                write!(f, "cannot be read ({error})")
            }
            Reading::Malformed { text } => write!(f, "says {text:?}, which is no version"),
        }
    }
}
