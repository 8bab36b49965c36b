//! What a host has → a specification. Nothing in it needs a program of the host.

use std::collections::BTreeMap;
use std::path::Path;

use super::wire::{DeviceWire, EditsWire, MountWire, NodeWire, SpecWire};
use super::{AMD, INTEL, NVIDIA};
use crate::gpu::chosen::{ChooseError, Chosen, choose};
use crate::gpu::edits::links_of;
use crate::gpu::facts::GpuFacts;
use crate::gpu::fs::HostFs;
use crate::gpu::nodes::Node;
use crate::gpu::pci::{OtherVendor, UngatedVendor};
use crate::gpu::selection::Selection;
use crate::gpu::supply::Supply;
use crate::gpu::usable::Usable;

/// The oldest in which a device's name may be a number.
const VERSION: &str = "0.5.0";

/// Where the loaders of Debian and Ubuntu, and those of Fedora and its kin, look whatever their cache
/// has. Nothing writes that cache anew in a container that gets a library.
const LOADERS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64"];

/// Writes a specification of all of NVIDIA's GPUs that can be passed on: by index, by identity, and
/// `all`.
///
/// Libraries are mounted where the host has them, and where loaders look. Hooks would make the links
/// between them; here a library is mounted under each of its names, which is the same to a program.
///
/// # Errors
/// Returns why there is no GPU to write of.
pub fn document(fs: &HostFs, facts: &GpuFacts, usable: &Usable) -> Result<String, ChooseError> {
    let chosen = choose(&facts.nvidia, &Selection::All)?;
    let supply = Supply::find(fs, &facts.nvidia, &usable.driver);
    let shared = [
        &facts.nvidia.control,
        &facts.nvidia.uvm,
        &facts.nvidia.uvm_tools,
    ];
    let shared = shared.into_iter().filter(|node| node.is_present());
    let spec = SpecWire {
        cdi_version: VERSION.to_owned(),
        kind: NVIDIA.to_owned(),
        devices: Some(devices(&chosen)),
        container_edits: Some(EditsWire {
            env: Some(vec!["NVIDIA_VISIBLE_DEVICES=void".to_owned()]),
            device_nodes: Some(shared.map(node).collect()),
            mounts: Some(mounts(&supply, usable)),
            ..EditsWire::default()
        }),
        ..SpecWire::default()
    };
    Ok(text(&spec))
}

/// Writes a specification of all GPUs of another vendor that can be passed on: by index, by place on
/// the bus, and `all`. It has nodes alone, for user space comes with the container.
///
/// # Errors
/// Returns that there is no GPU to write of.
pub fn other_document(facts: &GpuFacts, vendor: UngatedVendor) -> Result<String, ChooseError> {
    let (kind, found) = match vendor {
        UngatedVendor::Amd => (AMD, &facts.amd),
        UngatedVendor::Intel => (INTEL, &facts.intel),
    };
    let found: &OtherVendor = found.as_ref().ok_or(ChooseError::Nothing)?;
    let mut named = Named::default();
    for (index, gpu) in found.gpus.iter().enumerate() {
        let nodes = gpu.nodes.iter().filter(|node| node.is_present());
        let nodes: Vec<NodeWire> = nodes.map(node).collect();
        if !nodes.is_empty() {
            named.add([index.to_string(), gpu.address.clone()], nodes);
        }
    }
    let devices = named.devices();
    if devices.is_empty() {
        return Err(ChooseError::Nothing);
    }
    let shared = found.shared.iter().filter(|node| node.is_present());
    Ok(text(&SpecWire {
        cdi_version: VERSION.to_owned(),
        kind: kind.to_owned(),
        devices: Some(devices),
        container_edits: Some(EditsWire {
            device_nodes: Some(shared.map(node).collect()),
            ..EditsWire::default()
        }),
        ..SpecWire::default()
    }))
}

fn text(spec: &SpecWire) -> String {
    serde_json::to_string_pretty(spec).expect("strings and numbers are a document") + "\n"
}

/// Devices by name.
#[derive(Default)]
struct Named(BTreeMap<String, Vec<NodeWire>>);

impl Named {
    /// Names nodes, and adds them to `all`, each once.
    fn add(&mut self, names: impl IntoIterator<Item = String>, nodes: Vec<NodeWire>) {
        for name in names {
            self.0.insert(name, nodes.clone());
        }
        let all = self.0.entry("all".to_owned()).or_default();
        for node in nodes {
            if !all.iter().any(|it| it.path == node.path) {
                all.push(node);
            }
        }
    }

    fn devices(self) -> Vec<DeviceWire> {
        let device = |(name, nodes)| DeviceWire {
            name,
            container_edits: Some(EditsWire {
                device_nodes: Some(nodes),
                ..EditsWire::default()
            }),
            ..DeviceWire::default()
        };
        self.0.into_iter().map(device).collect()
    }
}

fn devices(chosen: &[Chosen]) -> Vec<DeviceWire> {
    let mut named = Named::default();
    for gpu in chosen {
        let parts = gpu.instance.iter().flat_map(|it| &it.nodes);
        let nodes = [&gpu.node].into_iter().chain(parts).map(node);
        let whole = gpu.uuid.iter().filter(|_| gpu.instance.is_none());
        named.add(whole.chain([&gpu.name]).cloned(), nodes.collect());
    }
    named.devices()
}

fn node(node: &Node) -> NodeWire {
    NodeWire {
        path: node.path.to_string_lossy().into_owned(),
        ..NodeWire::default()
    }
}

fn mounts(supply: &Supply, usable: &Usable) -> Vec<MountWire> {
    let mut mounts = Vec::new();
    for library in &supply.libraries {
        let Some(links) = links_of(library, &usable.driver) else {
            continue;
        };
        let file = &library.file;
        let others = LOADERS.map(Path::new).into_iter();
        let others = others.filter(|it| Some(*it) != file.parent());
        let places = file.parent().into_iter().chain(others);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        for place in places {
            mounts.push(mount(file, &place.join(&*name)));
            mounts.extend(links.iter().map(|link| mount(file, &place.join(link))));
        }
    }
    let smi = supply.smi.iter();
    mounts.extend(smi.map(|it| mount(it, Path::new("/usr/bin/nvidia-smi"))));
    mounts
}

fn mount(host: &Path, container: &Path) -> MountWire {
    let options = ["ro", "nosuid", "nodev", "bind"];
    MountWire {
        host_path: host.to_string_lossy().into_owned(),
        container_path: container.to_string_lossy().into_owned(),
        options: Some(options.map(str::to_owned).into()),
        ..MountWire::default()
    }
}
