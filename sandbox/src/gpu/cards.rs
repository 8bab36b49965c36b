//! NVIDIA's GPUs, as its driver and the bus have them, and their MIG instances.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fs::HostFs;
use super::nodes::{DeviceNodes, Node, Numbers, Registered};
use super::pci::{NVIDIA, PciDevice};

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Where it is on the bus.
    pub address: String,
    /// The driver that has it, as the bus tells it.
    pub bound_to: Option<String>,
    /// Its name.
    pub model: Option<String>,
    /// Its identity; a driver that has not started it yet has question marks here.
    pub uuid: Option<String>,
    /// The version of its video BIOS.
    pub video_bios: Option<String>,
    /// The version of the firmware that the driver loaded into it.
    pub firmware: Option<String>,
    /// Whether the driver was told to leave it alone.
    pub excluded: bool,
    /// Its node, if the driver has it: `/dev/nvidia` and the driver's number for it.
    pub node: Option<Node>,
    /// Its MIG instances, none if MIG is off; `None` if the driver does not tell.
    pub mig: Option<Vec<MigInstance>>,
}

impl Card {
    /// Says whether it is one of those that indices count: the driver has it and uses it.
    pub fn is_counted(&self) -> bool {
        self.node.is_some() && !self.excluded
    }
}

/// A part of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigInstance {
    /// The number of the GPU instance.
    pub gpu_instance: u32,
    /// The number of the compute instance in it; none for the GPU instance itself.
    pub compute_instance: Option<u32>,
    /// The node that grants access; none if the driver does not tell its number.
    pub node: Option<Node>,
}

/// The major of the nodes of NVIDIA's driver that do not get theirs at start.
/// <https://docs.kernel.org/admin-guide/devices.html>
pub(super) const MAJOR: u32 = 195;

const GPUS: &str = "/proc/driver/nvidia/gpus";
/// There in drivers from 450 on, whether or not a GPU can be divided.
const CAPABILITIES: &str = "/proc/driver/nvidia/capabilities";

/// Lists the GPUs by address.
pub(super) fn cards(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    registered: Option<&Registered>,
    gpus: &[PciDevice],
) -> Vec<Card> {
    let mut cards = BTreeMap::new();
    for gpu in gpus.iter().filter(|gpu| gpu.vendor == NVIDIA) {
        let card: &mut Card = cards.entry(gpu.address.clone()).or_default();
        card.bound_to.clone_from(&gpu.driver);
    }
    let minors = mig_minors(
        &fs.text("/proc/driver/nvidia-caps/mig-minors")
            .unwrap_or_default(),
    );
    let major = registered.and_then(|list| list.major("nvidia-caps"));
    let capability = |name: &str| {
        let minor = *minors.get(name)?;
        let expected = major.map(|major| Numbers { major, minor });
        let path = format!("/dev/nvidia-caps/nvidia-cap{minor}");
        Some(Node::look(nodes, path, expected))
    };
    for address in fs.list(GPUS).unwrap_or_default() {
        let text = fs.text(format!("{GPUS}/{address}/information"));
        let card = cards.entry(address).or_default();
        let Some(minor) = card.read(&text.unwrap_or_default()) else {
            continue;
        };
        card.node = Some(gpu_node(nodes, minor));
        card.mig = mig(fs, minor, &capability);
    }
    let named = |(address, card)| Card { address, ..card };
    cards.into_iter().map(named).collect()
}

/// Lists the nodes of GPUs that no card claims: all of them where the driver has no files.
pub(super) fn unclaimed(fs: &HostFs, nodes: &dyn DeviceNodes, cards: &[Card]) -> Vec<Node> {
    let names = fs.list("/dev").unwrap_or_default();
    let minors = names.iter().filter_map(|name| {
        let number = name.strip_prefix("nvidia")?.parse::<u32>().ok()?;
        // Not `nvidia007`.
        (number.to_string().len() + "nvidia".len() == name.len()).then_some(number)
    });
    let found = minors.map(|minor| gpu_node(nodes, minor));
    let claimed = |node: &Node| {
        let mut claims = cards.iter().flat_map(|card| &card.node);
        claims.any(|claim| claim.path == node.path)
    };
    found.filter(|node| !claimed(node)).collect()
}

fn gpu_node(nodes: &dyn DeviceNodes, minor: u32) -> Node {
    let expected = Numbers {
        major: MAJOR,
        minor,
    };
    Node::look(nodes, format!("/dev/nvidia{minor}"), Some(expected))
}

impl Card {
    /// Takes over what a file `information` says, and returns the driver's number for the GPU.
    pub(super) fn read(&mut self, text: &str) -> Option<u32> {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let fields: BTreeMap<&str, &str> = fields
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let field = |name: &str| {
            let value = fields.get(name).filter(|value| !value.is_empty());
            value.map(|value| (*value).to_owned())
        };
        self.model = field("Model");
        self.uuid = field("GPU UUID");
        self.video_bios = field("Video BIOS");
        self.firmware = field("GPU Firmware").filter(|version| version != "N/A");
        self.excluded = fields.get("GPU Excluded") == Some(&"Yes");
        fields.get("Device Minor")?.parse().ok()
    }
}

/// Parses lines such as `gpu0/gi1/ci0/access 13`.
pub(super) fn mig_minors(text: &str) -> BTreeMap<String, u32> {
    let entry = |line: &str| {
        let (name, minor) = line.trim().rsplit_once(' ')?;
        Some((name.trim().to_owned(), minor.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

fn mig(
    fs: &HostFs,
    minor: u32,
    capability: &dyn Fn(&str) -> Option<Node>,
) -> Option<Vec<MigInstance>> {
    if !fs.exists(CAPABILITIES) {
        return None;
    }
    let directory = format!("{CAPABILITIES}/gpu{minor}/mig");
    let mut instances = Vec::new();
    for gpu_instance in numbered(fs, &directory, "gi") {
        let name = format!("gpu{minor}/gi{gpu_instance}");
        instances.push(MigInstance {
            gpu_instance,
            compute_instance: None,
            node: capability(&format!("{name}/access")),
        });
        let directory = format!("{directory}/gi{gpu_instance}");
        for compute_instance in numbered(fs, &directory, "ci") {
            instances.push(MigInstance {
                gpu_instance,
                compute_instance: Some(compute_instance),
                node: capability(&format!("{name}/ci{compute_instance}/access")),
            });
        }
    }
    Some(instances)
}

/// Lists the numbers behind a prefix in the names of a directory, in order.
fn numbered(fs: &HostFs, directory: &str, prefix: &str) -> Vec<u32> {
    let names = fs.list(directory).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_prefix(prefix));
    let mut numbers: Vec<u32> = numbers.filter_map(|number| number.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}
