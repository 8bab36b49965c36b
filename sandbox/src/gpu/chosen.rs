//! Names of GPUs → the GPUs of a host, or why there are none. Pure.

use std::fmt::Display;
use std::path::PathBuf;

use serde::Serialize;

use super::cards::{Card, MigInstance};
use super::facts::Nvidia;
use super::nodes::Node;
use super::pci::{OtherGpu, OtherVendor};
use super::selection::{Name, Selection};

/// A GPU of NVIDIA's, or a part of one, that a step gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// How it was chosen: the index of its GPU, and of the instance behind a colon.
    pub name: String,
    /// Its node.
    pub node: Node,
    /// Where its GPU is on the bus; none if the driver does not tell, as in gVisor.
    pub address: Option<String>,
    /// The identity of its GPU, if the driver tells it.
    pub uuid: Option<String>,
    /// The MIG instance.
    pub instance: Option<ChosenInstance>,
}

/// A part of a GPU that a step gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChosenInstance {
    /// The number of the GPU instance.
    pub gpu_instance: u32,
    /// The number of the compute instance in it.
    pub compute_instance: u32,
    /// The nodes that grant access to both.
    pub nodes: [Node; 2],
}

/// Why no GPU can be chosen by a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "refusal")]
#[non_exhaustive]
pub enum ChooseError {
    /// There is no such GPU.
    #[error(
        "there is no GPU `{name}` on this host; there is {}",
        listed(available)
    )]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        available: Vec<String>,
    },
    /// Several GPUs begin so.
    #[error("`{name}` is the beginning of several GPUs: {}", listed(matching))]
    Ambiguous {
        /// The beginning.
        name: String,
        /// The identities.
        matching: Vec<String>,
    },
    /// The driver was told to leave the GPU alone.
    #[error("the GPU `{name}` at {address} is excluded: the driver is told to leave it alone")]
    Excluded {
        /// The name.
        name: String,
        /// Where it is.
        address: String,
    },
    /// NVIDIA's driver does not have the GPU.
    #[error("NVIDIA's driver does not have the GPU `{name}` at {address}")]
    NotTheDrivers {
        /// The name.
        name: String,
        /// Where it is.
        address: String,
    },
    /// The node is not there or not right.
    #[error("the GPU `{name}` has no node that could be passed on: {found}")]
    WithoutNode {
        /// The name.
        name: String,
        /// The node.
        node: PathBuf,
        /// What was found in its place.
        found: String,
    },
    /// An instance is asked for where there is none.
    #[error("`{name}` names a MIG instance, but the GPU `{card}` is not divided")]
    MigOff {
        /// The name.
        name: String,
        /// The GPU.
        card: String,
    },
    /// A whole GPU is asked for that is divided.
    #[error(
        "the GPU `{name}` is divided by MIG; its instances are {}",
        listed(instances)
    )]
    MigOn {
        /// The name.
        name: String,
        /// How the instances are named.
        instances: Vec<String>,
    },
    /// The driver does not tell of instances.
    #[error("`{name}` names a MIG instance, but the driver does not tell which there are")]
    MigUnknown {
        /// The name.
        name: String,
    },
    /// An instance is named by what only NVML knows, and no CDI specification tells.
    #[error(
        "which MIG instance `{name}` is cannot be told without running the driver, and no CDI \
         specification names it; there is {}",
        listed(available)
    )]
    MigIdentity {
        /// The name.
        name: String,
        /// The names that there are.
        available: Vec<String>,
    },
    /// A GPU is named twice.
    #[error("`{name}` and `{other}` are the same GPU")]
    Twice {
        /// The later name.
        name: String,
        /// The earlier one.
        other: String,
    },
    /// There is nothing to choose from.
    #[error("no GPU of this host can be passed on")]
    Nothing,
}

impl ChooseError {
    /// Returns what to do about it.
    pub fn remedy(&self) -> String {
        match self {
            ChooseError::Unknown { .. } => "choose one of these, or `all`".into(),
            ChooseError::Ambiguous { .. } => "write more of the identity".into(),
            ChooseError::Excluded { .. } => {
                "choose another, or remove the option `NVreg_ExcludedGpus` of the module".into()
            }
            ChooseError::NotTheDrivers { .. } => {
                "choose another, or bind it to the driver `nvidia`".into()
            }
            ChooseError::WithoutNode { .. } => {
                "have the driver make its nodes: `nvidia-modprobe -c 0 -u` as root, on the host \
                 if this is a container"
                    .into()
            }
            ChooseError::MigOff { card, .. } => {
                format!("choose the whole GPU `{card}`, or divide it with `nvidia-smi mig` as root")
            }
            ChooseError::MigOn { .. } => {
                "choose an instance by the index of its GPU and its own, as in `0:1`".into()
            }
            ChooseError::MigIdentity { .. } => {
                "choose it by the index of its GPU and its own, as in `0:1`, or have it named: \
                 `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` as root"
                    .into()
            }
            ChooseError::MigUnknown { .. } => {
                "run this where `/proc/driver/nvidia/capabilities` is visible".into()
            }
            ChooseError::Twice { .. } => "name each GPU once".into(),
            ChooseError::Nothing => "look at `envbox gpu` for what is in the way of each".into(),
        }
    }
}

/// A GPU that the driver has, with what it is called.
struct Present<'a> {
    index: usize,
    card: Option<&'a Card>,
    node: &'a Node,
}

/// Chooses among NVIDIA's GPUs.
///
/// # Errors
/// Returns why a name is none of a GPU that can be passed on.
pub fn choose(nvidia: &Nvidia, selection: &Selection) -> Result<Vec<Chosen>, ChooseError> {
    let present = present(nvidia);
    let mut chosen: Vec<(String, Chosen)> = Vec::new();
    match selection {
        Selection::All => {
            for gpu in present.iter().filter(|gpu| gpu.node.is_present()) {
                chosen.extend(
                    gpu.everything()?
                        .into_iter()
                        .map(|it| (it.name.clone(), it)),
                );
            }
        }
        Selection::These(names) => {
            for name in names {
                let one = named(nvidia, &present, name)?;
                if let Some((other, _)) = chosen.iter().find(|(_, it)| it.name == one.name) {
                    return Err(ChooseError::Twice {
                        name: name.to_string(),
                        other: other.clone(),
                    });
                }
                chosen.push((name.to_string(), one));
            }
        }
    }
    match chosen.is_empty() {
        true => Err(ChooseError::Nothing),
        false => Ok(chosen.into_iter().map(|(_, it)| it).collect()),
    }
}

/// Lists the GPUs that the driver has and uses. Where it has no files, its nodes are all that
/// tells of them.
fn present(nvidia: &Nvidia) -> Vec<Present<'_>> {
    let cards = nvidia.cards.iter().filter(|card| card.is_counted());
    let cards = cards.filter_map(|card| Some((Some(card), card.node.as_ref()?)));
    let mut found: Vec<_> = cards.collect();
    if found.is_empty() {
        found.extend(nvidia.unclaimed.iter().map(|node| (None, node)));
    }
    let counted = found.into_iter().enumerate();
    let present = counted.map(|(index, (card, node))| Present { index, card, node });
    present.collect()
}

fn named(nvidia: &Nvidia, present: &[Present<'_>], name: &Name) -> Result<Chosen, ChooseError> {
    let gpu = match name {
        Name::Index(index) | Name::Instance { card: index, .. } => present.get(*index),
        Name::Uuid(uuid) | Name::InstanceOf { uuid, .. } => by_uuid(present, name, uuid)?,
        Name::Address(address) => present
            .iter()
            .find(|gpu| gpu.card.is_some_and(|card| card.address == *address)),
        Name::MigUuid(_) => {
            return Err(ChooseError::MigIdentity {
                name: name.to_string(),
                available: available(present),
            });
        }
    };
    let Some(gpu) = gpu else {
        return Err(absent(nvidia, present, name));
    };
    match name {
        Name::Instance { instance, .. } => {
            let parts = gpu.instances(name)?;
            match parts.get(*instance) {
                Some(part) => gpu.part(*instance, part),
                None => Err(absent(nvidia, present, name)),
            }
        }
        Name::InstanceOf {
            gpu_instance,
            compute_instance,
            ..
        } => {
            let parts = gpu.instances(name)?;
            let wanted = |it: &MigInstance| {
                it.gpu_instance == *gpu_instance && it.compute_instance == Some(*compute_instance)
            };
            match parts.iter().position(|it| wanted(it)) {
                Some(index) => gpu.part(index, parts[index]),
                None => Err(absent(nvidia, present, name)),
            }
        }
        _ if !gpu.parts().is_empty() => Err(ChooseError::MigOn {
            name: name.to_string(),
            instances: gpu.names(),
        }),
        _ => gpu.whole(),
    }
}

fn by_uuid<'a, 'b>(
    present: &'b [Present<'a>],
    name: &Name,
    uuid: &str,
) -> Result<Option<&'b Present<'a>>, ChooseError> {
    let uuid = uuid.to_ascii_lowercase();
    let known = |gpu: &Present<'_>| {
        let known = gpu.card.and_then(|card| card.uuid.as_ref())?;
        Some(known.to_ascii_lowercase())
    };
    let matching: Vec<_> = present
        .iter()
        .filter(|gpu| known(gpu).is_some_and(|known| known.starts_with(&uuid)))
        .collect();
    let exact = matching.iter().find(|gpu| known(gpu) == Some(uuid.clone()));
    match (exact, &matching[..]) {
        (Some(gpu), _) | (None, [gpu]) => Ok(Some(gpu)),
        (None, []) => Ok(None),
        (None, several) => Err(ChooseError::Ambiguous {
            name: name.to_string(),
            matching: several.iter().filter_map(|gpu| known(gpu)).collect(),
        }),
    }
}

/// Names the nearest reason for which a name leads nowhere.
fn absent(nvidia: &Nvidia, present: &[Present<'_>], name: &Name) -> ChooseError {
    let is_meant = |card: &&Card| match name {
        Name::Address(address) => card.address == *address,
        Name::Uuid(uuid) => {
            let known = card.uuid.as_ref();
            known.is_some_and(|known| known.eq_ignore_ascii_case(uuid))
        }
        _ => false,
    };
    let (text, meant) = (name.to_string(), nvidia.cards.iter().find(is_meant));
    match meant {
        Some(card) if card.excluded => ChooseError::Excluded {
            name: text,
            address: card.address.clone(),
        },
        Some(card) => ChooseError::NotTheDrivers {
            name: text,
            address: card.address.clone(),
        },
        None => ChooseError::Unknown {
            name: text,
            available: available(present),
        },
    }
}

/// Lists the names of what there is.
fn available(present: &[Present<'_>]) -> Vec<String> {
    let names = present.iter().flat_map(|gpu| match gpu.parts().is_empty() {
        true => vec![gpu.described()],
        false => gpu.names(),
    });
    names.collect()
}

impl Present<'_> {
    /// Returns the compute instances: what NVIDIA calls a MIG device.
    fn parts(&self) -> Vec<&MigInstance> {
        let all = self.card.and_then(|card| card.mig.as_ref());
        let all = all.into_iter().flatten();
        all.filter(|it| it.compute_instance.is_some()).collect()
    }

    fn instances(&self, name: &Name) -> Result<Vec<&MigInstance>, ChooseError> {
        let name = name.to_string();
        if self.card.is_none_or(|card| card.mig.is_none()) {
            return Err(ChooseError::MigUnknown { name });
        }
        match self.parts() {
            parts if parts.is_empty() => Err(ChooseError::MigOff {
                name,
                card: self.index.to_string(),
            }),
            parts => Ok(parts),
        }
    }

    fn names(&self) -> Vec<String> {
        let count = self.parts().len();
        let names = (0..count).map(|instance| format!("{}:{instance}", self.index));
        names.collect()
    }

    fn described(&self) -> String {
        match self.card.and_then(|card| card.uuid.as_ref()) {
            Some(uuid) => format!("{} ({uuid})", self.index),
            None => self.index.to_string(),
        }
    }

    fn everything(&self) -> Result<Vec<Chosen>, ChooseError> {
        let parts = self.parts();
        if parts.is_empty() {
            return Ok(vec![self.whole()?]);
        }
        let parts = parts.into_iter().enumerate();
        parts.map(|(index, part)| self.part(index, part)).collect()
    }

    fn whole(&self) -> Result<Chosen, ChooseError> {
        let name = self.index.to_string();
        usable(&name, self.node)?;
        Ok(Chosen {
            name,
            node: self.node.clone(),
            address: self.card.map(|card| card.address.clone()),
            uuid: self.card.and_then(|card| card.uuid.clone()),
            instance: None,
        })
    }

    fn part(&self, index: usize, part: &MigInstance) -> Result<Chosen, ChooseError> {
        let name = format!("{}:{index}", self.index);
        let all = self.card.and_then(|card| card.mig.as_ref());
        let of_gpu = |it: &&MigInstance| {
            it.gpu_instance == part.gpu_instance && it.compute_instance.is_none()
        };
        let gpu_instance = all.into_iter().flatten().find(of_gpu);
        let nodes = gpu_instance
            .and_then(|it| it.node.clone())
            .zip(part.node.clone());
        let (Some((gpu, compute)), Some(compute_instance)) = (nodes, part.compute_instance) else {
            return Err(ChooseError::MigUnknown { name });
        };
        [&gpu, &compute]
            .into_iter()
            .try_for_each(|node| usable(&name, node))?;
        let whole = self.whole()?;
        Ok(Chosen {
            name,
            instance: Some(ChosenInstance {
                gpu_instance: part.gpu_instance,
                compute_instance,
                nodes: [gpu, compute],
            }),
            ..whole
        })
    }
}

fn usable(name: &str, node: &Node) -> Result<(), ChooseError> {
    match node.is_present() {
        true => Ok(()),
        false => Err(ChooseError::WithoutNode {
            name: name.to_owned(),
            node: node.path.clone(),
            found: node.to_string(),
        }),
    }
}

/// Chooses among the GPUs of another vendor: by index or address, or all.
///
/// # Errors
/// Returns why a name is none of a GPU that can be passed on.
pub fn choose_other<'a>(
    found: &'a OtherVendor,
    selection: &Selection,
) -> Result<Vec<&'a OtherGpu>, ChooseError> {
    let Selection::These(names) = selection else {
        return match found.gpus.is_empty() {
            true => Err(ChooseError::Nothing),
            false => Ok(found.gpus.iter().collect()),
        };
    };
    let mut chosen: Vec<(String, &OtherGpu)> = Vec::new();
    for name in names {
        let gpu = match name {
            Name::Index(index) => found.gpus.get(*index),
            Name::Address(address) => found.gpus.iter().find(|gpu| gpu.address == *address),
            _ => None,
        };
        let name = name.to_string();
        let Some(gpu) = gpu else {
            let gpus = found.gpus.iter().enumerate();
            let available = gpus.map(|(index, gpu)| format!("{index} ({})", gpu.address));
            return Err(ChooseError::Unknown {
                name,
                available: available.collect(),
            });
        };
        if let Some((other, _)) = chosen.iter().find(|(_, it)| it.address == gpu.address) {
            let other = other.clone();
            return Err(ChooseError::Twice { name, other });
        }
        chosen.push((name, gpu));
    }
    Ok(chosen.into_iter().map(|(_, gpu)| gpu).collect())
}

fn listed<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|it| format!("`{it}`")).collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}
