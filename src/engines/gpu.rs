//! GPUs of a cluster: how many, and on which nodes.

use envbox_lockfiles::base::DottedVersion;
use envbox_lockfiles::lock::{DriverMatch, LockedDevice, LockedDriver, Lockfile, gpu_requirements};
use envbox_lockfiles::manifest::{DevicePin, GpuVendor};
use serde_json::{Value, json};

use crate::engines::EngineError;

/// What NVIDIA's feature discovery says of a node's driver, one label for each number of its version
/// (`internal/lm/nvml.go` of <https://github.com/NVIDIA/k8s-device-plugin>, since 0.15; the labels
/// `nvidia.com/cuda.driver.*` before are deprecated).
const DRIVER: [&str; 3] = [
    "nvidia.com/cuda.driver-version.major",
    "nvidia.com/cuda.driver-version.minor",
    "nvidia.com/cuda.driver-version.revision",
];

/// The whole version, as the driver writes it.
const WHOLE_DRIVER: &str = "nvidia.com/cuda.driver-version.full";

/// What it says of the GPUs (`internal/lm/resource.go`).
const CAPABILITY: [&str; 2] = [
    "nvidia.com/gpu.compute.major",
    "nvidia.com/gpu.compute.minor",
];
const MULTIPROCESSORS: &str = "nvidia.com/gpu.multiprocessors";

/// The GPUs of a step.
#[derive(Debug, Clone)]
pub struct EngineGpu {
    /// What the device plugin of the vendor calls one.
    pub resource: &'static str,
    /// How many.
    pub count: u32,
    /// Which nodes have them: one of these lists must hold. Empty when the lock says nothing.
    pub nodes: Vec<Vec<NodeLabel>>,
}

/// What a label of a node must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeLabel {
    /// This word.
    Is(&'static str, String),
    /// A number above this one.
    Above(&'static str, i64),
}

impl NodeLabel {
    /// Returns it as an expression of a node selector.
    pub(super) fn expression(&self) -> Value {
        let (key, operator, value) = match self {
            Self::Is(key, value) => (key, "In", value.clone()),
            Self::Above(key, value) => (key, "Gt", value.to_string()),
        };
        json!({ "key": key, "operator": operator, "values": [value] })
    }
}

impl EngineGpu {
    /// Returns `count` GPUs that a lock is for.
    ///
    /// # Errors
    /// Returns [`EngineError::Mig`].
    pub fn of(lock: &Lockfile, count: u32) -> Result<Self, EngineError> {
        let locked = lock.gpu.as_ref();
        let vendor = locked.map(|gpu| gpu.vendor).unwrap_or_default();
        let resource = match vendor {
            GpuVendor::Nvidia => "nvidia.com/gpu",
            // <https://github.com/ROCm/k8s-device-plugin>
            GpuVendor::Amd => "amd.com/gpu",
            // <https://github.com/intel/intel-device-plugins-for-kubernetes>
            GpuVendor::Intel => "gpu.intel.com/i915",
        };
        let mut nodes = Vec::new();
        if vendor == GpuVendor::Nvidia {
            let least = gpu_requirements(lock);
            let least = least.driver().map(|reason| &reason.driver);
            let pin = locked.and_then(|gpu| gpu.pin.as_ref());
            nodes = drivers(pin, least);
            let device = locked.and_then(|gpu| gpu.device.as_ref());
            let device = device.filter(|device| device.policy == DevicePin::Require);
            if let Some(device) = device {
                let labels = models(device)?;
                nodes = both(nodes, &labels);
            }
        }
        Ok(Self {
            resource,
            count,
            nodes,
        })
    }
}

/// Returns the drivers that will do.
fn drivers(pin: Option<&LockedDriver>, least: Option<&DottedVersion>) -> Vec<Vec<NodeLabel>> {
    match (pin, least) {
        (Some(pin), _) if pin.precision == DriverMatch::Exact => {
            vec![vec![NodeLabel::Is(WHOLE_DRIVER, pin.driver.to_string())]]
        }
        (pin, least) => {
            let branch = pin.map(|pin| NodeLabel::Is(DRIVER[0], pin.driver.major().to_string()));
            let branch: Vec<NodeLabel> = branch.into_iter().collect();
            match least {
                // Of another branch each is older, or newer.
                Some(least) if pin.is_none_or(|pin| pin.driver.major() == least.major()) => {
                    both(at_least(least), &branch)
                }
                _ => both(Vec::new(), &branch),
            }
        }
    }
}

/// Returns the lists of which one holds on a node with `least` or something newer.
fn at_least(least: &DottedVersion) -> Vec<Vec<NodeLabel>> {
    let mut numbers: Vec<i64> = least.numbers().iter().copied().map(i64::from).collect();
    numbers.truncate(DRIVER.len());
    // `580` is `580.0`, and nothing is below zero.
    while numbers.len() > 1 && numbers.last() == Some(&0) {
        numbers.pop();
    }
    let last = numbers.len() - 1;
    let mut lists = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        let same = DRIVER.iter().zip(&numbers).take(at);
        let mut list: Vec<NodeLabel> = same
            .map(|(label, number)| NodeLabel::Is(label, number.to_string()))
            .collect();
        let bound = if at == last { number - 1 } else { *number };
        list.push(NodeLabel::Above(DRIVER[at], bound));
        lists.push(list);
    }
    lists
}

/// Returns what is known of the GPU that the lock requires.
fn models(device: &LockedDevice) -> Result<Vec<NodeLabel>, EngineError> {
    if device.mig == Some(true) {
        return Err(EngineError::Mig);
    }
    let mut labels = Vec::new();
    if let Some(capability) = &device.compute_capability {
        let numbers = CAPABILITY.iter().zip(capability.numbers());
        labels.extend(numbers.map(|(label, number)| NodeLabel::Is(label, number.to_string())));
    }
    if let Some(number) = device.multiprocessors {
        labels.push(NodeLabel::Is(MULTIPROCESSORS, number.to_string()));
    }
    Ok(labels)
}

/// Returns the lists with `labels` in each.
fn both(lists: Vec<Vec<NodeLabel>>, labels: &[NodeLabel]) -> Vec<Vec<NodeLabel>> {
    match (lists.is_empty(), labels.is_empty()) {
        (true, true) => Vec::new(),
        (true, false) => vec![labels.to_vec()],
        (false, _) => {
            let with =
                |list: Vec<NodeLabel>| list.into_iter().chain(labels.iter().cloned()).collect();
            lists.into_iter().map(with).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says whether a node with this driver is among those.
    fn takes(lists: &[Vec<NodeLabel>], driver: &str) -> bool {
        let mut numbers = driver.split('.');
        let parts = DRIVER.map(|label| (label, numbers.next().unwrap_or("")));
        let holds = |label: &NodeLabel| match label {
            NodeLabel::Is(WHOLE_DRIVER, value) => value == driver,
            NodeLabel::Is(key, value) => parts.contains(&(*key, value.as_str())),
            NodeLabel::Above(key, bound) => {
                let part = parts.iter().find(|(label, _)| label == key);
                part.is_some_and(|(_, text)| text.parse::<i64>().is_ok_and(|it| it > *bound))
            }
        };
        lists.is_empty() || lists.iter().any(|list| list.iter().all(holds))
    }

    #[test]
    fn nodes_have_a_driver_that_will_do() {
        let least = |text: &str| Some(text.parse::<DottedVersion>().unwrap());
        let pin = |text: &str, precision| {
            Some(LockedDriver {
                driver: text.parse().unwrap(),
                precision,
            })
        };
        let exact = pin("580.159.04", DriverMatch::Exact);
        let branch = pin("580.95.05", DriverMatch::Branch);
        let all = [
            "525.60.12",
            "525.60.13",
            "525.147.05",
            "570.1.1",
            "580.95.05",
            "580.159.04",
        ];
        let taken = |pin: &Option<LockedDriver>, least: Option<DottedVersion>| {
            let lists = drivers(pin.as_ref(), least.as_ref());
            let taken = all.iter().filter(|driver| takes(&lists, driver));
            taken.copied().collect::<Vec<_>>()
        };
        assert_eq!(taken(&None, None), all);
        assert_eq!(taken(&None, least("580")), all[4..]);
        assert_eq!(taken(&None, least("525.60.13")), all[1..]);
        assert_eq!(taken(&None, least("525.100")), all[2..]);
        assert_eq!(taken(&exact, least("580")), ["580.159.04"]);
        assert_eq!(taken(&branch, least("525.60.13")), all[4..]);
        assert_eq!(taken(&branch, least("580.100")), ["580.159.04"]);
    }
}
