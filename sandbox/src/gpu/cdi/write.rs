//! What a host has → a specification of version 0.5.0, the oldest in which a device's name may be
//! a number. Nothing in it needs a program of the host.

use std::collections::BTreeMap;
use std::path::Path;

use super::NVIDIA;
use super::wire::{DeviceWire, EditsWire, MountWire, NodeWire, SpecWire};
use crate::gpu::chosen::{ChooseError, Chosen, choose};
use crate::gpu::edits::links_of;
use crate::gpu::facts::GpuFacts;
use crate::gpu::fs::HostFs;
use crate::gpu::nodes::Node;
use crate::gpu::selection::Selection;
use crate::gpu::supply::Supply;
use crate::gpu::usable::Usable;

/// Writes a specification of all of NVIDIA's GPUs that can be passed on: by index, by identity, and
/// `all`.
///
/// Libraries are mounted where the host has them. Hooks would make the links between them; here a
/// library is mounted under each of its names, which is the same to a program.
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
        cdi_version: "0.5.0".to_owned(),
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
    let text = serde_json::to_string_pretty(&spec).expect("strings and numbers are a document");
    Ok(text + "\n")
}

fn devices(chosen: &[Chosen]) -> Vec<DeviceWire> {
    let mut named: BTreeMap<String, Vec<NodeWire>> = BTreeMap::new();
    for gpu in chosen {
        let parts = gpu.instance.iter().flat_map(|it| &it.nodes);
        let nodes: Vec<NodeWire> = [&gpu.node].into_iter().chain(parts).map(node).collect();
        let whole = gpu.uuid.iter().filter(|_| gpu.instance.is_none());
        for name in whole.chain([&gpu.name]) {
            named.insert(name.clone(), nodes.clone());
        }
        let all = named.entry("all".to_owned()).or_default();
        for node in nodes {
            if !all.iter().any(|it| it.path == node.path) {
                all.push(node);
            }
        }
    }
    let device = |(name, nodes)| DeviceWire {
        name,
        container_edits: Some(EditsWire {
            device_nodes: Some(nodes),
            ..EditsWire::default()
        }),
        ..DeviceWire::default()
    };
    named.into_iter().map(device).collect()
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
        mounts.push(mount(&library.file, &library.file));
        let beside = |link: &String| mount(&library.file, &library.file.with_file_name(link));
        mounts.extend(links.iter().map(beside));
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
