//! What a lock takes of a host with a GPU, and what it keeps.

use crate::base::{DottedVersion, Explain, Kind};
use crate::lock::gpu::derive::{asked, derived};
use crate::lock::gpu::schema::{DriverMatch, HostGpu, LockedDevice, LockedDriver, LockedGpu};
use crate::lock::schema::Lockfile;
use crate::manifest::GpuVendor;

/// A driver cannot be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuPinError {
    /// What is locked does not run on it.
    #[error("{because} needs the NVIDIA driver {minimum} or newer, but {driver} is pinned")]
    TooOld {
        /// The pinned driver.
        driver: DottedVersion,
        /// The least that will do.
        minimum: DottedVersion,
        /// What needs it.
        because: String,
    },
    /// Only NVIDIA's drivers have a version that decides.
    #[error("`[gpu] vendor` is `{vendor}`, and only the drivers of NVIDIA can be pinned")]
    OtherVendor {
        /// The vendor of the manifest.
        vendor: String,
    },
}

impl Explain for GpuPinError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooOld { .. } => Kind::Host,
            Self::OtherVendor { .. } => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hints: &[&str] = match self {
            Self::TooOld { .. } => &[
                "run `envbox lock --gpu` on a host with a newer driver",
                "run `envbox lock --gpu=none` to hold steps to no driver",
                "ask for packages that are built for an older CUDA",
            ],
            Self::OtherVendor { .. } => {
                &["leave `--gpu` out: what is required is locked without it"]
            }
        };
        hints.iter().map(|&hint| hint.to_owned()).collect()
    }
}

impl Lockfile {
    /// Derives anew what is required, and keeps what `previous` pins, as far as the manifest still
    /// wants that.
    pub(crate) fn derive_gpu(&mut self, previous: Option<&LockedGpu>) {
        let asked = asked(self);
        let kept = previous.filter(|gpu| gpu.vendor == asked.vendor);
        let pin = kept.and_then(|gpu| {
            let driver = gpu.pin.as_ref()?.driver.clone();
            let precision = asked.driver.precision()?;
            Some(LockedDriver { driver, precision })
        });
        let device = kept.and_then(|gpu| gpu.device.clone());
        let device = device.map(|device| LockedDevice {
            policy: asked.device,
            ..device
        });
        let is_wanted = self.request.gpu.is_some() || pin.is_some() || device.is_some();
        self.gpu = is_wanted.then(|| LockedGpu {
            vendor: asked.vendor,
            pin,
            device,
            requires: derived(self),
        });
    }

    /// Pins the driver and the GPU of a host, as the manifest says how, in place of what was pinned.
    ///
    /// # Errors
    /// Returns [`GpuPinError`]; the lock is then as it was.
    pub fn pin_gpu(&mut self, host: &HostGpu) -> Result<(), GpuPinError> {
        let asked = asked(self);
        if asked.vendor != GpuVendor::Nvidia {
            let vendor = asked.vendor.name().to_owned();
            return Err(GpuPinError::OtherVendor { vendor });
        }
        let precision = asked.driver.precision();
        let gpu = LockedGpu {
            vendor: asked.vendor,
            pin: precision.map(|precision| LockedDriver {
                driver: host.driver.clone(),
                precision,
            }),
            device: Some(LockedDevice {
                name: host.name.clone(),
                compute_capability: host.compute_capability.clone(),
                multiprocessors: host.multiprocessors,
                mig: host.mig,
                policy: asked.device,
            }),
            requires: derived(self),
        };
        gpu.check(&host.driver, DriverMatch::Exact)?;
        self.gpu = Some(gpu);
        Ok(())
    }

    /// Takes the pinned driver and GPU out.
    pub fn unpin_gpu(&mut self) {
        if let Some(gpu) = &mut self.gpu {
            (gpu.pin, gpu.device) = (None, None);
        }
        self.gpu.take_if(|_| self.request.gpu.is_none());
    }

    /// Checks that the pinned driver runs what is locked.
    ///
    /// # Errors
    /// Returns [`GpuPinError::TooOld`].
    pub fn check_gpu(&self) -> Result<(), GpuPinError> {
        match self.gpu.as_ref().map(|gpu| (gpu, &gpu.pin)) {
            Some((gpu, Some(pin))) => gpu.check(&pin.driver, pin.precision),
            _ => Ok(()),
        }
    }
}

impl LockedGpu {
    fn check(&self, driver: &DottedVersion, precision: DriverMatch) -> Result<(), GpuPinError> {
        let Some(reason) = self.requires.driver() else {
            return Ok(());
        };
        let minimum = &reason.driver;
        let will_do = match precision {
            DriverMatch::Exact => driver.is_at_least(minimum),
            DriverMatch::Branch => driver.major() >= minimum.major(),
        };
        match will_do {
            true => Ok(()),
            false => Err(GpuPinError::TooOld {
                driver: driver.clone(),
                minimum: minimum.clone(),
                because: reason.to_string(),
            }),
        }
    }
}
