//! All that is known of this host's GPUs.

use serde::Serialize;

use super::cards::{self, Card, MAJOR};
use super::fs::HostFs;
use super::kernel::KernelModule;
use super::libraries::{LibraryPlaces, UserLibraries};
use super::nodes::{DeviceNodes, Node, Numbers, Registered};
use super::pci::{self, OtherVendor, PciDevice};
use super::surroundings::Surroundings;

/// The GPUs of a host and their drivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GpuFacts {
    /// What the host is a guest of.
    pub surroundings: Surroundings,
    /// NVIDIA's.
    pub nvidia: Nvidia,
    /// AMD's, if there are any.
    pub amd: Option<OtherVendor>,
    /// Intel's, if there are any.
    pub intel: Option<OtherVendor>,
}

/// NVIDIA's GPUs and driver, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nvidia {
    /// The kernel module.
    pub module: KernelModule,
    /// `/dev/nvidiactl`, which everything needs.
    pub control: Node,
    /// `/dev/nvidia-uvm`, which CUDA needs.
    pub uvm: Node,
    /// `/dev/nvidia-uvm-tools`, which profilers need.
    pub uvm_tools: Node,
    /// `/dev/nvidia-modeset`, which graphics need.
    pub modeset: Node,
    /// The GPUs.
    pub cards: Vec<Card>,
    /// The nodes of GPUs that no card claims: of GPUs that are gone, or of all of them where the
    /// driver has no files, as in gVisor.
    pub unclaimed: Vec<Node>,
    /// The user libraries.
    pub libraries: UserLibraries,
}

/// Looks at everything, in the order of `README.md`. Cannot fail: what cannot be read is a fact too.
pub fn discover(fs: &HostFs, nodes: &dyn DeviceNodes, places: &LibraryPlaces) -> GpuFacts {
    let surroundings = Surroundings::detect(fs);
    let registered = Registered::read(fs);
    let registered = registered.as_ref();
    let gpus = pci::gpus(fs);
    GpuFacts {
        surroundings,
        nvidia: nvidia(fs, nodes, places, registered, (surroundings, &gpus)),
        amd: pci::amd(fs, nodes, registered, &gpus),
        intel: pci::intel(fs, nodes, &gpus),
    }
}

fn nvidia(
    fs: &HostFs,
    nodes: &dyn DeviceNodes,
    places: &LibraryPlaces,
    registered: Option<&Registered>,
    (surroundings, gpus): (Surroundings, &[PciDevice]),
) -> Nvidia {
    let fixed = |minor| {
        Some(Numbers {
            major: MAJOR,
            minor,
        })
    };
    let uvm_major = registered.and_then(|list| list.major("nvidia-uvm"));
    let uvm = |minor| uvm_major.map(|major| Numbers { major, minor });
    let control = Node::look(nodes, "/dev/nvidiactl", fixed(255));
    let module = KernelModule::read(fs, nodes, registered, &control, surroundings);
    let cards = cards::cards(fs, nodes, registered, gpus);
    // Fields are looked at in the order in which they stand here.
    Nvidia {
        uvm: Node::look(nodes, "/dev/nvidia-uvm", uvm(0)),
        uvm_tools: Node::look(nodes, "/dev/nvidia-uvm-tools", uvm(1)),
        modeset: Node::look(nodes, "/dev/nvidia-modeset", fixed(254)),
        unclaimed: cards::unclaimed(fs, nodes, &cards),
        libraries: UserLibraries::find(fs, places, module.version().map(|(it, _)| it)),
        module,
        control,
        cards,
    }
}
