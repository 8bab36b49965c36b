//! What a lock asks of a host's GPUs, in the words of the sandbox.

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
                device: device.and_then(required_device),
            },
        })
    }

    pub(super) fn vendor_name(&self) -> &'static str {
        match self.vendor {
            GpuVendor::Nvidia => "nvidia",
            GpuVendor::Amd => "amd",
            GpuVendor::Intel => "intel",
        }
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

/// Returns the GPU that steps are held to; none that is only noted.
fn required_device(device: &LockedDevice) -> Option<PinnedDevice> {
    (device.policy == DevicePin::Require).then(|| PinnedDevice {
        model: device.name.clone(),
        mig: device.mig,
    })
}
