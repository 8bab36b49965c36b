//! GPUs as the PCI bus has them, and what AMD's and Intel's drivers make of theirs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::fs::HostFs;
use super::nodes::{DeviceNodes, Node, Numbers, Registered};

/// A GPU on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PciDevice {
    pub(super) address: String,
    pub(super) vendor: u16,
    /// The driver that has it.
    pub(super) driver: Option<String>,
    /// Its names below `/dev/dri`.
    drm: Vec<String>,
}

/// GPUs of a vendor whose driver has no version of its own to hold to: user space comes with the
/// environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherVendor {
    /// The GPUs.
    pub gpus: Vec<OtherGpu>,
    /// The node for computing that all of them share: AMD's `/dev/kfd`.
    pub shared: Option<Node>,
    /// The versions of its modules; a module of the kernel's own tree has none.
    pub driver_versions: BTreeMap<String, String>,
}

/// One such GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherGpu {
    /// Where it is on the bus.
    pub address: String,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

pub(super) const NVIDIA: u16 = 0x10de;
const AMD: u16 = 0x1002;
const INTEL: u16 = 0x8086;

const DEVICES: &str = "/sys/bus/pci/devices";
/// The upper byte of a class: displays, 3D controllers too.
const DISPLAY: u32 = 0x03;
/// Processing accelerators: AMD's Instinct. Intel's of this class are no GPUs.
const ACCELERATOR: u32 = 0x12;

/// Lists the GPUs of all three vendors by address.
pub(super) fn gpus(fs: &HostFs) -> Vec<PciDevice> {
    let addresses = fs.list(DEVICES).unwrap_or_default();
    let devices = addresses.into_iter();
    devices.filter_map(|address| gpu(fs, address)).collect()
}

fn gpu(fs: &HostFs, address: String) -> Option<PciDevice> {
    let directory = Path::new(DEVICES).join(&address);
    let number = |name: &str| {
        let text = fs.text(directory.join(name))?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let vendor = u16::try_from(number("vendor")?).ok()?;
    let class = number("class")? >> 16;
    let is_gpu = class == DISPLAY || class == ACCELERATOR && vendor == AMD;
    if !is_gpu || ![NVIDIA, AMD, INTEL].contains(&vendor) {
        return None;
    }
    let drm = fs.list(directory.join("drm")).unwrap_or_default();
    Some(PciDevice {
        vendor,
        driver: fs.link_name(directory.join("driver")),
        drm: drm.into_iter().filter(|name| is_drm(name)).collect(),
        address,
    })
}

fn is_drm(name: &str) -> bool {
    let number = ["card", "renderD"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Returns what there is of AMD's.
pub(super) fn amd(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    registered: Option<&Registered>,
    gpus: &[PciDevice],
) -> Option<OtherVendor> {
    let major = registered.and_then(|list| list.major("kfd"));
    let expected = major.map(|major| Numbers { major, minor: 0 });
    let mut found = other(fs, nodes, gpus, AMD, &["amdgpu"])?;
    found.shared = Some(Node::look(nodes, "/dev/kfd", expected));
    Some(found)
}

/// Returns what there is of Intel's.
pub(super) fn intel(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    gpus: &[PciDevice],
) -> Option<OtherVendor> {
    other(fs, nodes, gpus, INTEL, &["i915", "xe"])
}

fn other(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    gpus: &[PciDevice],
    vendor: u16,
    modules: &[&str],
) -> Option<OtherVendor> {
    let gpus = gpus.iter().filter(|gpu| gpu.vendor == vendor);
    let gpu = |gpu: &PciDevice| OtherGpu {
        address: gpu.address.clone(),
        driver: gpu.driver.clone(),
        nodes: drm_nodes(fs, nodes, gpu),
    };
    let gpus: Vec<OtherGpu> = gpus.map(gpu).collect();
    let version = |module: &&str| {
        let text = fs.text(format!("/sys/module/{module}/version"))?;
        Some(((*module).to_owned(), text.trim().to_owned()))
    };
    (!gpus.is_empty()).then(|| OtherVendor {
        gpus,
        shared: None,
        driver_versions: modules.iter().filter_map(version).collect(),
    })
}

fn drm_nodes(fs: &HostFs, nodes: &dyn DeviceNodes, gpu: &PciDevice) -> Vec<Node> {
    let node = |name: &String| {
        let file = format!("{DEVICES}/{}/drm/{name}/dev", gpu.address);
        let expected = fs.text(file).and_then(|text| numbers(&text));
        Node::look(nodes, format!("/dev/dri/{name}"), expected)
    };
    gpu.drm.iter().map(node).collect()
}

/// Parses `226:128`, as the `dev` files of sysfs have it.
pub(super) fn numbers(text: &str) -> Option<Numbers> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(Numbers {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}
