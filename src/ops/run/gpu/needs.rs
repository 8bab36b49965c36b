//! What a lock asks of a host's GPUs, in the words of the sandbox.

use std::fmt;

use envbox_lockfiles::base::Platform;
use envbox_lockfiles::lock::{
    DriverMatch, GpuReason, LockedDevice, LockedDriver, Lockfile, gpu_requirements,
};
use envbox_lockfiles::manifest::{DevicePin, GpuVendor};
use envbox_sandbox::gpu::{DriverVersion, Match, Pin, Pinned, PinnedDevice, Required};

use crate::ops::run::GpuError;

/// What a lock asks of a host's GPUs.
#[derive(Debug, Clone, Default)]
pub struct GpuNeeds {
    /// Who makes them.
    pub vendor: GpuVendor,
    /// What the packages need.
    pub required: Vec<Required>,
    /// What the lock is held to besides.
    pub pinned: Pinned,
    /// The GPU that it requires, as far as the driver alone tells of it.
    pub device: Option<RequiredDevice>,
}

/// What only a driver that runs tells of a GPU. What a program computes can depend on it: random
/// numbers are spread over multiprocessors, and code is made for a compute capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredDevice {
    /// Its compute capability, such as 9 and 0.
    pub capability: Option<(u32, u32)>,
    /// How many multiprocessors it has.
    pub multiprocessors: Option<u32>,
}

impl GpuNeeds {
    /// Returns what a lock asks on this platform. What its packages need holds also where it says
    /// nothing of GPUs.
    ///
    /// # Errors
    /// Returns [`GpuError::Version`] when a driver in it is none.
    pub fn of(lock: &Lockfile) -> Result<Self, GpuError> {
        let locked = lock.gpu.as_ref();
        let because = gpu_requirements(lock).on(Platform::host()).because;
        let pin = locked.and_then(|gpu| gpu.pin.as_ref());
        let device = locked.and_then(|gpu| gpu.device.as_ref());
        Ok(Self {
            vendor: locked.map(|gpu| gpu.vendor).unwrap_or_default(),
            required: because.iter().map(required).collect::<Result<_, _>>()?,
            pinned: Pinned {
                driver: pin.map(pinned).transpose()?,
                device: device.and_then(required_model),
            },
            device: device.and_then(required_device),
        })
    }
}

fn required(reason: &GpuReason) -> Result<Required, GpuError> {
    let text = reason.driver.to_string();
    let minimum = text.parse().map_err(GpuError::Version)?;
    Ok(Required {
        minimum,
        because: reason.to_string(),
    })
}

fn pinned(locked: &LockedDriver) -> Result<Pin, GpuError> {
    let text = locked.driver.to_string();
    let driver: DriverVersion = text.parse().map_err(GpuError::Version)?;
    let precision = match locked.precision {
        DriverMatch::Exact => Match::Exact,
        DriverMatch::Branch => Match::Branch,
    };
    Ok(Pin { driver, precision })
}

/// Returns the GPU that steps are held to, as far as every host tells of it; none that is only
/// noted.
fn required_model(device: &LockedDevice) -> Option<PinnedDevice> {
    (device.policy == DevicePin::Require).then(|| PinnedDevice {
        model: device.name.clone(),
        mig: device.mig,
    })
}

fn required_device(device: &LockedDevice) -> Option<RequiredDevice> {
    let capability = device.compute_capability.as_ref();
    let capability = capability.and_then(|it| match it.numbers() {
        [major, minor] => Some((*major, *minor)),
        _ => None,
    });
    (device.policy == DevicePin::Require).then_some(RequiredDevice {
        capability,
        multiprocessors: device.multiprocessors,
    })
}

/// `compute capability 9.0, 132 multiprocessors`.
impl fmt::Display for RequiredDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capability = self.capability;
        let capability =
            capability.map(|(major, minor)| format!("compute capability {major}.{minor}"));
        let multiprocessors = self.multiprocessors;
        let multiprocessors = multiprocessors.map(|count| format!("{count} multiprocessors"));
        let all: Vec<String> = capability.into_iter().chain(multiprocessors).collect();
        f.write_str(&all.join(", "))
    }
}
