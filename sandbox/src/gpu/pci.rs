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
    /// Its names below `/dev/accel`.
    accel: Vec<String>,
}

/// A vendor whose driver is not held to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UngatedVendor {
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

/// GPUs of a vendor whose driver has no version of its own to hold to: user space comes with the
/// environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherVendor {
    /// The GPUs, and Intel's accelerators.
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
/// Habana Labs, whose accelerators are Intel's: Gaudi.
const HABANA: u16 = 0x1da3;

const DEVICES: &str = "/sys/bus/pci/devices";
/// The upper byte of a class: displays, 3D controllers too.
const DISPLAY: u32 = 0x03;
/// Processing accelerators: AMD's Instinct, and those of Intel's that have a driver of the kernel's
/// `accel` subsystem. <https://docs.kernel.org/accel/introduction.html>
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
    if ![NVIDIA, AMD, INTEL, HABANA].contains(&vendor) {
        return None;
    }
    let named = |folder: &str| {
        let names = fs.list(directory.join(folder)).unwrap_or_default();
        names.into_iter().filter(|name| is_node(name)).collect()
    };
    let accel: Vec<String> = named("accel");
    let accelerates = class == ACCELERATOR && (vendor == AMD || !accel.is_empty());
    if class != DISPLAY && !accelerates {
        return None;
    }
    Some(PciDevice {
        vendor,
        driver: fs.link_name(directory.join("driver")),
        drm: named("drm"),
        accel,
        address,
    })
}

/// Beside nodes there are connectors of displays, as `card0-DP-1`.
fn is_node(name: &str) -> bool {
    let number = ["card", "renderD", "accel_controlD", "accel"]
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
    let mut found = other(fs, nodes, gpus, &[AMD], &["amdgpu"])?;
    found.shared = Some(Node::look(nodes, "/dev/kfd", expected));
    Some(found)
}

/// Returns what there is of Intel's.
pub(super) fn intel(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    gpus: &[PciDevice],
) -> Option<OtherVendor> {
    let modules = ["i915", "xe", "intel_vpu", "habanalabs"];
    other(fs, nodes, gpus, &[INTEL, HABANA], &modules)
}

fn other(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    gpus: &[PciDevice],
    vendors: &[u16],
    modules: &[&str],
) -> Option<OtherVendor> {
    let gpus = { gpus.iter() }.filter(|gpu| vendors.contains(&gpu.vendor));
    let gpu = |gpu: &PciDevice| OtherGpu {
        address: gpu.address.clone(),
        driver: gpu.driver.clone(),
        nodes: own_nodes(fs, nodes, gpu),
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

fn own_nodes(fs: &HostFs, nodes: &dyn DeviceNodes, gpu: &PciDevice) -> Vec<Node> {
    let drm = gpu.drm.iter().map(|name| ("drm", "/dev/dri", name));
    let accel = gpu.accel.iter().map(|name| ("accel", "/dev/accel", name));
    let node = |(folder, directory, name)| {
        let file = format!("{DEVICES}/{}/{folder}/{name}/dev", gpu.address);
        let expected = fs.text(file).and_then(|text| numbers(&text));
        Node::look(nodes, format!("{directory}/{name}"), expected)
    };
    drm.chain(accel).map(node).collect()
}

/// Parses `226:128`, as the `dev` files of sysfs have it.
pub(super) fn numbers(text: &str) -> Option<Numbers> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(Numbers {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}
