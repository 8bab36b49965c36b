//! `MIG-…` → the place of the instance, where a specification tells it.
//!
//! Only NVML knows the identities of instances, and it is not asked before the step. Who wrote the
//! specification has asked it. GPUs may have been divided anew since, so whoever chooses by this has
//! to look at what CUDA says of the instance when it starts.

use std::path::Path;

use super::registry::{Registered, Registry};
use crate::gpu::cards::MigInstance;
use crate::gpu::facts::Nvidia;
use crate::gpu::selection::{Name, Selection};

/// Puts indices in the place of identities of instances, as far as `registry` tells which they are.
pub fn identified(nvidia: &Nvidia, selection: &Selection, registry: &Registry) -> Selection {
    let Selection::These(names) = selection else {
        return selection.clone();
    };
    let name = |name: &Name| {
        let Name::MigUuid(uuid) = name else {
            return name.clone();
        };
        let device = registry.device(uuid);
        let place = device.and_then(|device| place(nvidia, device));
        place.unwrap_or_else(|| name.clone())
    };
    Selection::These(names.iter().map(name).collect())
}

/// Finds the instance to which the nodes of a device grant access.
fn place(nvidia: &Nvidia, device: &Registered) -> Option<Name> {
    let nodes = device.own.device_nodes.iter().flatten();
    let paths: Vec<&Path> = nodes
        .map(|node| Path::new(node.host_path.as_ref().unwrap_or(&node.path)))
        .collect();
    let granted = |it: &&MigInstance| {
        let node = it.node.as_ref();
        node.is_some_and(|node| paths.contains(&&*node.path))
    };
    let counted = nvidia.cards.iter().filter(|card| card.is_counted());
    { counted }.enumerate().find_map(|(card, it)| {
        let parts = it.mig.iter().flatten();
        let mut parts = parts.filter(|it| it.compute_instance.is_some());
        let instance = parts.position(|it| granted(&it))?;
        Some(Name::Instance { card, instance })
    })
}
