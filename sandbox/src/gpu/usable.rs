//! Facts → a driver that works, or the nearest reason why there is none.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::candidate::{Fate, Library, Unsound};
use super::cards::Card;
use super::facts::{GpuFacts, Nvidia};
use super::kernel::{KernelSource, Reading};

use super::nodes::{Node, NodeState};
use super::refusal::Refusal;
use super::surroundings::Surroundings;
use super::version::DriverVersion;

/// A driver that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usable {
    /// Its version: of the kernel module and the user libraries.
    pub driver: DriverVersion,
    /// Who told it.
    pub source: KernelSource,
    /// The `libcuda` of this version.
    pub libcuda: PathBuf,
    /// What the user may want to know.
    pub remarks: Vec<Remark>,
}

/// Something that prevents nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "remark")]
pub enum Remark {
    /// Libraries of other drivers are installed as well.
    OtherLibraries {
        /// Their versions.
        versions: Vec<DriverVersion>,
    },
    /// A library is missing that some programs need.
    LibraryMissing {
        /// Its name without a version.
        name: &'static str,
    },
    /// A place that should tell the version does not.
    Silent {
        /// The place.
        source: KernelSource,
    },
    /// A GPU cannot be used.
    CardUnusable {
        /// Where it is on the bus.
        address: String,
    },
    /// A node has a number that nobody confirms.
    Unconfirmed {
        /// The node.
        node: PathBuf,
    },
}

/// Judges the driver by itself.
pub(super) fn usable(found: &GpuFacts) -> Result<Usable, Refusal> {
    match found.surroundings {
        Surroundings::Wsl => return Err(Refusal::Wsl),
        Surroundings::Tegra => return Err(Refusal::Tegra),
        Surroundings::Linux | Surroundings::Gvisor => {}
    }
    let nvidia = &found.nvidia;
    if nvidia.module.disagrees() {
        return Err(Refusal::SourcesDisagree {
            readings: nvidia.module.readings.clone(),
        });
    }
    let Some((driver, source)) = nvidia.module.version() else {
        return Err(no_version(found));
    };
    control_node(nvidia, driver)?;
    uvm_node(nvidia, driver, found.surroundings)?;
    card_nodes(nvidia, driver)?;
    let libcuda = libraries(nvidia, driver)?;
    Ok(Usable {
        driver: driver.clone(),
        source,
        libcuda,
        remarks: remarks(nvidia, driver),
    })
}

/// Names the nearest reason for which nothing tells the version of a module.
fn no_version(found: &GpuFacts) -> Refusal {
    let nvidia = &found.nvidia;
    let unclear = nvidia.module.readings.iter().any(|it| {
        let malformed = matches!(it.reading, Reading::Malformed { .. } | Reading::TooOld);
        let unreadable = matches!(it.reading, Reading::Unreadable { .. });
        malformed || unreadable && it.source != KernelSource::Ioctl
    });
    if unclear {
        return Refusal::VersionUnknown {
            readings: nvidia.module.readings.clone(),
        };
    }
    if found.surroundings == Surroundings::Gvisor && nvidia.control.state == NodeState::Missing {
        return Refusal::Gvisor;
    }
    let nothing_behind = *nvidia.module.reading(KernelSource::Ioctl) == Reading::NothingBehind;
    if nvidia.control.state != NodeState::Missing
        && !nothing_behind
        && let Err(refusal) = node(&nvidia.control).and_then(|()| answered(nvidia))
    {
        return refusal;
    }
    if let Some((address, driver)) = taken(&nvidia.cards) {
        return Refusal::CardTaken { address, driver };
    }
    let libraries = installed(nvidia);
    if !libraries.is_empty() {
        return Refusal::ModuleNotLoaded { libraries };
    }
    let broken = broken(nvidia);
    if !broken.is_empty() {
        return Refusal::HalfRemoved { broken };
    }
    if !nvidia.cards.is_empty() {
        let addresses = nvidia.cards.iter().map(|card| card.address.clone());
        return Refusal::CardWithoutDriver {
            addresses: addresses.collect(),
        };
    }
    let mut nodes = [&nvidia.control, &nvidia.uvm]
        .into_iter()
        .chain(&nvidia.unclaimed);
    match nodes.find(|node| node.state != NodeState::Missing) {
        Some(node) => Refusal::NodeWithoutDriver {
            node: node.path.clone(),
        },
        None => Refusal::NoDriver,
    }
}

/// Returns the first GPU and its driver if drivers of others have all of them.
fn taken(cards: &[Card]) -> Option<(String, String)> {
    let other = |card: &Card| {
        let driver = card.bound_to.clone().filter(|driver| driver != "nvidia")?;
        Some((card.address.clone(), driver))
    };
    let taken: Option<Vec<_>> = cards.iter().map(other).collect();
    taken?.into_iter().next()
}

fn control_node(nvidia: &Nvidia, driver: &DriverVersion) -> Result<(), Refusal> {
    if nvidia.control.state == NodeState::Missing {
        return Err(without_node(driver, &nvidia.control));
    }
    node(&nvidia.control)?;
    answered(nvidia)
}

/// Refuses what the module says through its node if that means that the node is of no use.
fn answered(nvidia: &Nvidia) -> Result<(), Refusal> {
    let node = nvidia.control.path.clone();
    match *nvidia.module.reading(KernelSource::Ioctl) {
        Reading::NothingBehind => Err(Refusal::NodeWithoutDriver { node }),
        Reading::OtherDriver => Err(Refusal::OtherDriver { node }),
        Reading::Unreadable { errno } => Err(Refusal::NodeForbidden { node, errno }),
        Reading::Malformed { .. } => Err(Refusal::VersionUnknown {
            readings: nvidia.module.readings.clone(),
        }),
        Reading::Version { .. } | Reading::TooOld | Reading::Absent | Reading::WrongNode => Ok(()),
    }
}

fn uvm_node(nvidia: &Nvidia, driver: &DriverVersion, around: Surroundings) -> Result<(), Refusal> {
    let driver = || driver.clone();
    match nvidia.module.uvm_registered {
        Some(false) if around != Surroundings::Gvisor => {
            Err(Refusal::UvmNotLoaded { driver: driver() })
        }
        _ if nvidia.uvm.state == NodeState::Missing => Err(without_node(&driver(), &nvidia.uvm)),
        _ => node(&nvidia.uvm),
    }
}

fn card_nodes(nvidia: &Nvidia, driver: &DriverVersion) -> Result<(), Refusal> {
    let driver = || driver.clone();
    let known = || nvidia.cards.iter().filter(|card| card.node.is_some());
    if known().next().is_some() && known().all(|card| card.excluded) {
        return Err(Refusal::AllExcluded { driver: driver() });
    }
    let cards = known().filter(|card| !card.excluded);
    let mut nodes: Vec<&Node> = cards.filter_map(|card| card.node.as_ref()).collect();
    if nodes.is_empty() {
        nodes.extend(&nvidia.unclaimed);
    }
    if nodes.iter().any(|node| node.is_present()) {
        return Ok(());
    }
    match nodes.first() {
        None => Err(Refusal::NoCard { driver: driver() }),
        Some(missing) if missing.state == NodeState::Missing => {
            Err(without_node(&driver(), missing))
        }
        Some(wrong) => node(wrong),
    }
}

/// Returns the `libcuda` that is taken.
fn libraries(nvidia: &Nvidia, driver: &DriverVersion) -> Result<PathBuf, Refusal> {
    let driver = || driver.clone();
    let Some(libcuda) = nvidia.libraries.taken(Library::Cuda) else {
        return Err(no_libcuda(nvidia, driver()));
    };
    if nvidia.libraries.taken(Library::Ml).is_none() {
        return Err(Refusal::LibrariesIncomplete {
            driver: driver(),
            missing: Library::Ml.file_name(),
        });
    }
    Ok(libcuda.path.clone())
}

/// Names the nearest reason for which no `libcuda` is taken.
fn no_libcuda(nvidia: &Nvidia, driver: DriverVersion) -> Refusal {
    let libraries = installed(nvidia);
    if !libraries.is_empty() {
        let module = driver;
        return Refusal::LibrariesDiffer { module, libraries };
    }
    let broken = broken(nvidia);
    if !broken.is_empty() {
        return Refusal::HalfRemoved { broken };
    }
    let libraries = versions(nvidia, |fate| *fate == Fate::Compatibility);
    match libraries.is_empty() {
        false => Refusal::OnlyCompatibility { driver, libraries },
        true => Refusal::LibrariesMissing {
            driver,
            searched: nvidia.libraries.searched.len(),
        },
    }
}

/// Refuses a node that is not as it should be.
fn node(node: &Node) -> Result<(), Refusal> {
    let path = node.path.clone();
    match (node.state, node.expected) {
        (NodeState::OtherNumbers { found }, Some(expected)) => Err(Refusal::OtherNumbers {
            node: path,
            expected,
            found,
        }),
        (NodeState::NotADevice | NodeState::OtherNumbers { .. }, _) => {
            Err(Refusal::NotADevice { node: path })
        }
        (NodeState::Unreadable { errno }, _) => Err(Refusal::NodeForbidden { node: path, errno }),
        (NodeState::Present { .. } | NodeState::Missing, _) => Ok(()),
    }
}

fn without_node(driver: &DriverVersion, node: &Node) -> Refusal {
    Refusal::DriverWithoutNode {
        driver: driver.clone(),
        node: node.path.clone(),
    }
}

/// Lists the versions of `libcuda` that a driver's packages have installed.
fn installed(nvidia: &Nvidia) -> Vec<DriverVersion> {
    let other = |fate: &Fate| matches!(fate, Fate::Unsound { .. } | Fate::Compatibility);
    versions(nvidia, |fate| !other(fate))
}

/// Lists the versions of `libcuda` with some fates, in order and once each.
fn versions(nvidia: &Nvidia, wanted: impl Fn(&Fate) -> bool) -> Vec<DriverVersion> {
    let candidates = nvidia.libraries.candidates.iter();
    let wanted = candidates.filter(|it| it.library == Library::Cuda && wanted(&it.fate));
    let mut versions: Vec<_> = wanted.filter_map(|it| it.version.clone()).collect();
    versions.sort();
    versions.dedup_by(|one, other| one.is_exactly(other));
    versions
}

/// Lists what a package leaves behind that is not wholly removed. A 32-bit library is whole.
fn broken(nvidia: &Nvidia) -> Vec<PathBuf> {
    let candidates = nvidia.libraries.candidates.iter();
    let broken = candidates.filter(|it| match it.fate {
        Fate::Unsound { reason } => reason != Unsound::OtherMachine,
        _ => false,
    });
    broken.map(|it| it.path.clone()).collect()
}

/// The libraries that libcuda loads when it compiles: nothing but such programs misses them.
const LOADED_LATER: [&str; 2] = ["libnvidia-ptxjitcompiler.so", "libnvidia-nvvm.so"];

fn remarks(nvidia: &Nvidia, driver: &DriverVersion) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut versions = installed(nvidia);
    versions.retain(|it| !it.is_exactly(driver));
    if !versions.is_empty() {
        remarks.push(Remark::OtherLibraries { versions });
    }
    let has = |name: &str| {
        let mut files = nvidia.libraries.files.iter();
        files.any(|file| file.to_string_lossy().contains(name))
    };
    let missing = LOADED_LATER.into_iter().filter(|name| !has(name));
    remarks.extend(missing.map(|name| Remark::LibraryMissing { name }));
    let readings = nvidia.module.readings.iter();
    let silent = readings.filter(|it| !matches!(it.reading, Reading::Version { .. }));
    remarks.extend(silent.map(|it| Remark::Silent { source: it.source }));
    let cards = nvidia.cards.iter().filter(|card| {
        let node = card.node.as_ref();
        card.excluded || node.is_some_and(|node| !node.is_present())
    });
    remarks.extend(cards.map(|card| Remark::CardUnusable {
        address: card.address.clone(),
    }));
    if nvidia.uvm.expected.is_none() {
        let node = nvidia.uvm.path.clone();
        remarks.push(Remark::Unconfirmed { node });
    }
    remarks
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::OtherLibraries { versions } => {
                let versions: Vec<&str> = versions.iter().map(DriverVersion::as_str).collect();
                let versions = versions.join(", ");
                write!(
                    f,
                    "libraries of other drivers are installed as well: {versions}"
                )
            }
            Remark::LibraryMissing { name } => {
                write!(
                    f,
                    "`{name}` is missing, which programs that compile for the GPU need"
                )
            }
            Remark::Silent { source } => write!(f, "`{source}` does not tell the version"),
            Remark::CardUnusable { address } => {
                write!(f, "the GPU at {address} is excluded or has no node")
            }
            Remark::Unconfirmed { node } => {
                let node = node.display();
                write!(f, "nothing tells which number `{node}` should have")
            }
        }
    }
}
