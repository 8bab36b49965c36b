//! Why a step may not use the GPU, and what to do about it: one variant for each reason.

use std::fmt::Display;
use std::path::PathBuf;

use serde::Serialize;

use super::kernel::SourceReading;
use super::kernel::{KernelSource, Reading};
use super::nodes::Numbers;
use super::version::{DriverVersion, Minimum, Pin};

/// Why a step may not use NVIDIA's GPUs. No flag overrides one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "refusal")]
#[non_exhaustive]
pub enum Refusal {
    /// Nothing of NVIDIA's is here.
    #[error("this host has no NVIDIA GPU and no NVIDIA driver")]
    NoDriver,
    /// A GPU is on the bus, and nothing of a driver.
    #[error("no NVIDIA driver is installed for the GPU at {}", listed(addresses))]
    CardWithoutDriver {
        /// Where the GPUs are.
        addresses: Vec<String>,
    },
    /// Another driver has the GPUs.
    #[error("the GPU at {address} is held by the driver `{driver}`, not by NVIDIA's")]
    CardTaken {
        /// Where the GPU is.
        address: String,
        /// The driver.
        driver: String,
    },
    /// The user libraries are here, the kernel module is not loaded.
    #[error(
        "the NVIDIA libraries {} are installed, but the kernel module is not loaded",
        listed(libraries)
    )]
    ModuleNotLoaded {
        /// The versions of the libraries.
        libraries: Vec<DriverVersion>,
    },
    /// A node was left behind, or made by a tool of NVIDIA's that root ran.
    #[error("`{}` exists, but no driver is behind it", node.display())]
    NodeWithoutDriver {
        /// The node.
        node: PathBuf,
    },
    /// A driver was removed, but not all of it.
    #[error(
        "the NVIDIA driver was removed in part: {} cannot be used",
        paths(broken)
    )]
    HalfRemoved {
        /// The files that are left.
        broken: Vec<PathBuf>,
    },
    /// Under Windows the driver has no version that can be seen without running it.
    #[error(
        "this is the Windows Subsystem for Linux, where the version of the driver cannot be verified"
    )]
    Wsl,
    /// The GPU of a Tegra has another driver.
    #[error("this is a Tegra system, whose GPU has another driver than NVIDIA's cards")]
    Tegra,
    /// gVisor runs without NVIDIA's calls.
    #[error("this is a gVisor sandbox that passes on no NVIDIA driver")]
    Gvisor,
    /// What is at the place of a node is none.
    #[error("`{}` is no device", node.display())]
    NotADevice {
        /// The path.
        node: PathBuf,
    },
    /// A node has the numbers of another device.
    #[error("`{}` is the device {found}, but the driver's is {expected}", node.display())]
    OtherNumbers {
        /// The node.
        node: PathBuf,
        /// The numbers that the driver has.
        expected: Numbers,
        /// The numbers of the node.
        found: Numbers,
    },
    /// The node answers, but not as NVIDIA's driver does.
    #[error("the driver behind `{}` is not NVIDIA's", node.display())]
    OtherDriver {
        /// The node.
        node: PathBuf,
    },
    /// A node cannot be looked at or opened.
    #[error("`{}` cannot be opened: {}", node.display(), error_text(*errno))]
    NodeForbidden {
        /// The node.
        node: PathBuf,
        /// The error number.
        errno: i32,
    },
    /// Nothing tells the version, though something of the driver is here.
    #[error(
        "the version of the NVIDIA kernel module cannot be learned: {}",
        readings_text(readings)
    )]
    VersionUnknown {
        /// What the places say.
        readings: Vec<SourceReading>,
    },
    /// Two places tell different versions.
    #[error(
        "this host contradicts itself about its NVIDIA kernel module: {}",
        readings_text(readings)
    )]
    SourcesDisagree {
        /// What the places say.
        readings: Vec<SourceReading>,
    },
    /// The driver is loaded, and a node is not there.
    #[error("the NVIDIA driver {driver} is loaded, but `{}` does not exist", node.display())]
    DriverWithoutNode {
        /// The driver.
        driver: DriverVersion,
        /// The node.
        node: PathBuf,
    },
    /// The driver's second module is not loaded.
    #[error(
        "the kernel module `nvidia_uvm` of the driver {driver} is not loaded: CUDA cannot start"
    )]
    UvmNotLoaded {
        /// The driver.
        driver: DriverVersion,
    },
    /// The driver is loaded and has no GPU.
    #[error("the NVIDIA driver {driver} is loaded, but has no GPU")]
    NoCard {
        /// The driver.
        driver: DriverVersion,
    },
    /// The driver is told to leave all GPUs alone.
    #[error("the NVIDIA driver {driver} is told to leave every GPU alone")]
    AllExcluded {
        /// The driver.
        driver: DriverVersion,
    },
    /// There are no user libraries at all.
    #[error(
        "the NVIDIA kernel module {driver} is loaded, but `libcuda.so.{driver}` is in none of {searched} directories"
    )]
    LibrariesMissing {
        /// The driver.
        driver: DriverVersion,
        /// How many directories were searched.
        searched: usize,
    },
    /// There are none but those of a `cuda-compat` package.
    #[error(
        "the only `libcuda` for the NVIDIA driver {driver} is of a `cuda-compat` package: {}",
        listed(libraries)
    )]
    OnlyCompatibility {
        /// The driver.
        driver: DriverVersion,
        /// The versions of the libraries.
        libraries: Vec<DriverVersion>,
    },
    /// One library is here, another of the same driver is not.
    #[error("the NVIDIA driver {driver} is installed in part: `{missing}.{driver}` is missing")]
    LibrariesIncomplete {
        /// The driver.
        driver: DriverVersion,
        /// The name of the library without its version.
        missing: &'static str,
    },
    /// The user libraries are of another version than the kernel module.
    #[error(
        "the NVIDIA kernel module is {module}, but the user libraries are {}: CUDA refuses to start",
        listed(libraries)
    )]
    LibrariesDiffer {
        /// The version of the module.
        module: DriverVersion,
        /// The versions of the libraries.
        libraries: Vec<DriverVersion>,
    },
    /// The driver is too old for what is locked.
    #[error("{because} needs the NVIDIA driver {minimum} or newer, but this host has {driver}")]
    TooOld {
        /// The driver.
        driver: DriverVersion,
        /// What is needed.
        minimum: Minimum,
        /// What needs it.
        because: String,
    },
    /// The GPU is another than the lockfile requires.
    #[error(
        "the lockfile requires the GPU `{wanted}`, but this host has {}",
        listed(found)
    )]
    OtherModel {
        /// The model that is required.
        wanted: String,
        /// The models that are here.
        found: Vec<String>,
    },
    /// Nothing tells what the GPU is.
    #[error("the lockfile requires {wanted}, but the driver does not tell what this host has")]
    DeviceUnknown {
        /// What is required.
        wanted: String,
    },
    /// MIG was switched since the lockfile was made.
    #[error("the lockfile requires MIG {}, but it is {} here", on(*wanted), on(!*wanted))]
    MigChanged {
        /// Whether the lockfile wants it on.
        wanted: bool,
    },
    /// The driver is not the pinned one, and the caller holds to that.
    #[error(transparent)]
    NotHeld(NotHeld),
}

/// The driver would do, but is not the one that the lockfile is held to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the lockfile is held to the NVIDIA driver {pin}, but this host has {driver}")]
pub struct NotHeld {
    /// What it is held to.
    pub pin: Pin,
    /// The driver.
    pub driver: DriverVersion,
}

impl Refusal {
    /// Returns what to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Refusal::NoDriver => "run this on a host with an NVIDIA GPU".into(),
            Refusal::CardWithoutDriver { .. } => {
                "install NVIDIA's driver for this host's kernel".into()
            }
            Refusal::CardTaken { driver, .. } => {
                format!("have `{driver}` give up the GPU, then load the module `nvidia`")
            }
            Refusal::ModuleNotLoaded { .. } => {
                "load it as root with `modprobe nvidia`; if there is no such module, \
                 install the driver's for the kernel that runs"
                    .into()
            }
            Refusal::NodeWithoutDriver { node } => format!(
                "install or load NVIDIA's driver, or remove `{}` if this host has no GPU",
                node.display()
            ),
            Refusal::HalfRemoved { .. } => {
                "install the driver again, or remove its packages altogether".into()
            }
            Refusal::Wsl => "run this on Linux itself, or without the GPU".into(),
            Refusal::Tegra => "run this on a host with one of NVIDIA's PCI cards".into(),
            Refusal::Gvisor => "start the gVisor sandbox with `--nvproxy` and the GPU".into(),
            Refusal::NotADevice { node } | Refusal::OtherNumbers { node, .. } => format!(
                "remove `{}` and have the driver make it again: `nvidia-modprobe -c 0 -u` as root",
                node.display()
            ),
            Refusal::OtherDriver { .. } => "check what is mounted at `/dev`".into(),
            Refusal::NodeForbidden { node, errno } if !is_permission(*errno) => format!(
                "look for `NVRM` in the kernel's log: it says why `{}` fails",
                node.display()
            ),
            Refusal::NodeForbidden { node, .. } => format!(
                "grant this user access to `{}`: by its group, or by the container's device rules",
                node.display()
            ),
            Refusal::VersionUnknown { .. } => {
                "make one of these readable; drivers before 530.30.02 tell it in the files alone"
                    .into()
            }
            Refusal::SourcesDisagree { .. } => {
                "check what is mounted over `/proc`, `/sys` and `/dev`; \
                 if nothing is, reboot"
                    .into()
            }
            Refusal::DriverWithoutNode { .. } => {
                "have the driver make its nodes: `nvidia-modprobe -c 0 -u` as root, on the host \
                 if this is a container"
                    .into()
            }
            Refusal::UvmNotLoaded { .. } => {
                "load it as root with `nvidia-modprobe -u -c 0` or `modprobe nvidia_uvm`".into()
            }
            Refusal::NoCard { .. } => {
                "check with `lspci` whether the GPU is on the bus, and the kernel's log for why \
                 the driver gave it up"
                    .into()
            }
            Refusal::AllExcluded { .. } => {
                "remove the option `NVreg_ExcludedGpus` of the module".into()
            }
            Refusal::LibrariesMissing { driver, .. }
            | Refusal::OnlyCompatibility { driver, .. } => format!(
                "install the user libraries of the driver {driver}, \
                 or name the directory that has them"
            ),
            Refusal::LibrariesIncomplete { driver, .. } => {
                format!("install all packages of the driver {driver}")
            }
            Refusal::LibrariesDiffer { module, libraries }
                if libraries.iter().all(|it| it < module) =>
            {
                format!("install the user libraries of the driver {module}")
            }
            Refusal::LibrariesDiffer { .. } => {
                "reboot, or unload the module `nvidia` and load it again: the driver was updated \
                 and the old one still runs"
                    .into()
            }
            Refusal::TooOld { minimum, .. } => {
                format!(
                    "update the driver to {minimum} or newer, or lock packages for an older CUDA"
                )
            }
            Refusal::OtherModel { wanted, .. } => {
                format!("run this where every GPU is `{wanted}`, or lock again for this host")
            }
            Refusal::DeviceUnknown { .. } => {
                "run this where `/proc/driver/nvidia` is visible, or lock without requiring the GPU"
                    .into()
            }
            Refusal::MigChanged { wanted } => format!(
                "switch MIG {} with `nvidia-smi -mig {}` as root, or lock again",
                on(*wanted),
                u8::from(*wanted)
            ),
            Refusal::NotHeld(it) => it.remedy(),
        }
    }
}

impl NotHeld {
    /// Returns what to do about it.
    pub fn remedy(&self) -> String {
        format!(
            "install the driver {}, or allow every driver that satisfies the packages: the run \
             then records that the driver was not held",
            self.pin
        )
    }
}

fn is_permission(errno: i32) -> bool {
    matches!(errno, libc::EACCES | libc::EPERM)
}

fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn listed<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(", ")
}

fn paths(paths: &[PathBuf]) -> String {
    let quoted = paths.iter().map(|path| format!("`{}`", path.display()));
    quoted.collect::<Vec<_>>().join(", ")
}

fn error_text(errno: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno)
}

/// Names what the places say; a node that is not there needs no word beside them.
fn readings_text(readings: &[SourceReading]) -> String {
    let absent =
        |it: &SourceReading| it.source == KernelSource::Ioctl && it.reading == Reading::Absent;
    let readings = readings.iter().filter(|it| !absent(it));
    listed(&readings.collect::<Vec<_>>())
}
