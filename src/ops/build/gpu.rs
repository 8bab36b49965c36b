//! What an image says of the GPU that it needs, for those who choose a machine for it.

use std::collections::BTreeMap;

use envbox_lockfiles::lock::{LockedGpu, Lockfile};
use envbox_lockfiles::manifest::GpuVendor;

/// Labels of the image, beside the lock's own.
const VENDOR: &str = "dev.envbox.gpu.vendor";
const DRIVER: &str = "dev.envbox.gpu.driver";
const CUDA: &str = "dev.envbox.gpu.cuda";
const PINNED: &str = "dev.envbox.gpu.pinned-driver";

/// Labels and variables of an image whose lock has a GPU; none otherwise.
#[derive(Debug, Default)]
pub(super) struct GpuMarks {
    pub(super) labels: BTreeMap<&'static str, String>,
    /// What NVIDIA's container toolkit reads: it refuses a driver that is too old.
    /// <https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html>
    pub(super) environment: Vec<(String, String)>,
}

impl GpuMarks {
    pub(super) fn of(lock: &Lockfile) -> Self {
        lock.gpu.as_ref().map(Self::of_gpu).unwrap_or_default()
    }

    fn of_gpu(gpu: &LockedGpu) -> Self {
        let mut marks = Self::default();
        marks.labels.insert(VENDOR, gpu.vendor.name().to_owned());
        // Images of all platforms say the same.
        let requires = &gpu.requires;
        if let Some(reason) = requires.driver() {
            marks.labels.insert(DRIVER, format!(">={}", reason.driver));
        }
        if let Some(pin) = &gpu.pin {
            marks.labels.insert(PINNED, pin.to_string());
        }
        if gpu.vendor != GpuVendor::Nvidia {
            return marks;
        }
        let capabilities = "compute,utility".to_owned();
        marks
            .environment
            .push(("NVIDIA_DRIVER_CAPABILITIES".to_owned(), capabilities));
        if let Some(reason) = requires.cuda_api() {
            marks.labels.insert(CUDA, format!(">={}", reason.cuda_api));
            let wanted = format!("cuda>={}", reason.cuda_api);
            marks
                .environment
                .push(("NVIDIA_REQUIRE_CUDA".to_owned(), wanted));
        }
        marks
    }
}
