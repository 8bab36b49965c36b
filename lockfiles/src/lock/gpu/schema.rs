//! What a lock says of a GPU.

use std::fmt;

use crate::base::{DottedVersion, Platform};
use crate::lock::order::set;
use crate::manifest::{DevicePin, DriverPin, GpuVendor};

/// `[gpu]` of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedGpu {
    /// Who makes the GPU.
    pub vendor: GpuVendor,
    /// The driver that steps are held to.
    pub pin: Option<LockedDriver>,
    /// The GPU that it was on.
    pub device: Option<LockedDevice>,
    /// What the locked packages and the manifest need of any driver.
    pub requires: GpuRequirements,
}

/// The driver that steps are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDriver {
    /// The driver that was there.
    pub driver: DottedVersion,
    /// How much of it has to be the same.
    pub precision: DriverMatch,
}

/// How much of a driver's version has to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverMatch {
    /// All of it.
    Exact,
    /// Its first number.
    Branch,
}

/// A GPU. What could not be learned is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDevice {
    /// Its name, as the driver tells it.
    pub name: Option<String>,
    /// Its compute capability: `9.0`.
    pub compute_capability: Option<DottedVersion>,
    /// How many multiprocessors it has: random numbers depend on it.
    pub multiprocessors: Option<u32>,
    /// Whether it is divided.
    pub mig: Option<bool>,
    /// Whether steps run on its like only.
    pub policy: DevicePin,
}

/// What a lock needs of a driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuRequirements {
    /// Each thing that needs something, sorted by source, name and version.
    pub because: Vec<GpuReason>,
}

/// One thing that needs something of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuReason {
    /// What it is.
    pub source: GpuSource,
    /// Its name: a package, or the key of `[gpu]`.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The platforms that it is for, sorted; all of the lock's when it is for all.
    pub platforms: Vec<Platform>,
    /// What is known of it.
    pub rule: GpuRule,
    /// The least driver that will do.
    pub driver: DottedVersion,
    /// The least CUDA that such a driver tells of.
    pub cuda_api: DottedVersion,
}

/// Where a need comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum GpuSource {
    /// A conda package, or the virtual package `__cuda`.
    Conda,
    /// `[gpu]` of the manifest.
    Manifest,
    /// A wheel.
    Python,
}

/// Why a driver is the least that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRule {
    /// A driver runs programs of all CUDAs with its own first number.
    /// <https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html>
    MinorVersionCompatibility,
    /// This CUDA came with this driver. Below 11 there is no other rule.
    /// <https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html>
    Toolkit,
}

/// What the driver of a host tells of it and of one GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostGpu {
    /// The version of the driver.
    pub driver: DottedVersion,
    /// The name of the GPU.
    pub name: Option<String>,
    /// Its compute capability: `9.0`.
    pub compute_capability: Option<DottedVersion>,
    /// How many multiprocessors it has.
    pub multiprocessors: Option<u32>,
    /// Whether it is divided.
    pub mig: Option<bool>,
}

impl LockedGpu {
    /// Returns what it says in a few words, each with its name.
    pub(in crate::lock) fn told(&self) -> Vec<(&'static str, String)> {
        let pin = self.pin.as_ref().map(ToString::to_string);
        let device = self.device.as_ref().map(|device| match device.policy {
            DevicePin::Record => device.to_string(),
            DevicePin::Require => format!("{device}, required"),
        });
        let bounds = self.requires.driver().zip(self.requires.cuda_api());
        let bounds = bounds.map(|(driver, api)| {
            let (driver, api) = (&driver.driver, &api.cuda_api);
            format!("driver >={driver}, CUDA >={api}")
        });
        [
            ("gpu vendor", Some(self.vendor.name().to_owned())),
            ("gpu requires", bounds),
            ("gpu driver", pin),
            ("gpu device", device),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
    }
}

impl GpuRequirements {
    /// Sorts the reasons and the platforms of each.
    pub(in crate::lock) fn sort(&mut self) {
        for reason in &mut self.because {
            set(&mut reason.platforms);
        }
        self.because.sort_by(|a, b| a.key().cmp(&b.key()));
    }

    /// Returns what needs the newest driver.
    pub fn driver(&self) -> Option<&GpuReason> {
        self.highest(|reason| &reason.driver)
    }

    /// Returns what needs the newest CUDA of the driver.
    pub fn cuda_api(&self) -> Option<&GpuReason> {
        self.highest(|reason| &reason.cuda_api)
    }

    /// Returns what is needed on `platform`.
    pub fn on(&self, platform: Platform) -> Self {
        let because = self.because.iter();
        let because = because.filter(|reason| reason.platforms.contains(&platform));
        Self {
            because: because.cloned().collect(),
        }
    }

    /// The first of several is taken, so that the order of reasons decides.
    fn highest(&self, bound: impl Fn(&GpuReason) -> &DottedVersion) -> Option<&GpuReason> {
        let mut reasons = self.because.iter();
        let first = reasons.next()?;
        Some(reasons.fold(
            first,
            |highest, reason| match bound(highest).is_at_least(bound(reason)) {
                true => highest,
                false => reason,
            },
        ))
    }
}

impl GpuReason {
    /// The order of reasons.
    pub(super) fn key(&self) -> (GpuSource, &str, &str) {
        (self.source, &self.package, &self.version)
    }
}

/// As a user knows it: `nvidia-cuda-runtime 13.0.96`.
impl fmt::Display for GpuReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (package, version) = (&self.package, &self.version);
        match self.source {
            GpuSource::Manifest => write!(f, "`{package} = \"{version}\"` of [gpu]"),
            GpuSource::Conda | GpuSource::Python => write!(f, "{package} {version}"),
        }
    }
}

/// `580.159.04`, or `580.*`.
impl fmt::Display for LockedDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.precision {
            DriverMatch::Exact => write!(f, "{}", self.driver),
            DriverMatch::Branch => write!(f, "{}.*", self.driver.major()),
        }
    }
}

/// As far as it is known: `NVIDIA H100 80GB HBM3, compute capability 9.0, 132 multiprocessors`.
impl fmt::Display for LockedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("a GPU without a name");
        f.write_str(name)?;
        if let Some(capability) = &self.compute_capability {
            write!(f, ", compute capability {capability}")?;
        }
        if let Some(count) = self.multiprocessors {
            write!(f, ", {count} multiprocessors")?;
        }
        match self.mig {
            Some(true) => f.write_str(", divided (MIG)"),
            Some(false) | None => Ok(()),
        }
    }
}

impl DriverPin {
    /// Returns how much of the driver has to be the same, if anything has.
    pub fn precision(self) -> Option<DriverMatch> {
        match self {
            Self::Exact => Some(DriverMatch::Exact),
            Self::Branch => Some(DriverMatch::Branch),
            Self::None => None,
        }
    }
}
