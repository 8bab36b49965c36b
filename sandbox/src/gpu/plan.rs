//! The whole way from what a user asks for to what is put into a sandbox.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::access::{Caller, Forbidden};
use super::cdi::{self, CdiError};
use super::chosen::{ChooseError, choose, choose_other};
use super::edits::{self, EditRemark, Edits, Found};
use super::facts::GpuFacts;
use super::fs::HostFs;
use super::nodes::{DeviceNodes, Node};
use super::pci::{OtherVendor, UngatedVendor};
use super::selection::Selection;
use super::supply::{KFD_TOPOLOGY, Supply, SystemDevice};
use super::usable::Usable;

/// Whether CDI specifications are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CdiPolicy {
    /// If one is there that fits the driver, else what was found on the host.
    #[default]
    Auto,
    /// One has to be there and fit.
    Require,
    /// They are not read.
    Off,
}

/// Why a step cannot get the GPUs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The selection does not fit this host.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// This user may not open a node.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// A specification is required and cannot be used.
    #[error("the CDI specification that is required is not used")]
    Cdi(#[from] CdiError),
    /// What was found is gone.
    #[error("failed to look at `{}` again", path.display())]
    Gone {
        /// The host path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl PlanError {
    /// Returns what to do about it.
    pub fn remedy(&self) -> String {
        match self {
            PlanError::Choose(error) => error.remedy(),
            PlanError::Forbidden(error) => error.remedy(),
            PlanError::Cdi(error) => error.remedy(),
            PlanError::Gone { .. } => "run it again when the driver is not being changed".into(),
        }
    }
}

/// A host, as far as planning looks at it.
#[derive(Clone, Copy)]
pub struct PlanFrom<'a> {
    /// Its files.
    pub files: &'a HostFs,
    /// Its nodes.
    pub nodes: &'a dyn DeviceNodes,
    /// Who will start the sandbox.
    pub caller: &'a Caller,
    /// What was found.
    pub facts: &'a GpuFacts,
}

/// Plans what a step gets of NVIDIA's.
///
/// An instance that is chosen by its identity (`MIG-…`) is the one that a specification has under this
/// name. That may not be so any more: [`Selection::instances`] are to be held against what the driver
/// tells when it is tried.
///
/// # Errors
/// Returns why it cannot have what is selected.
pub fn plan(
    from: PlanFrom<'_>,
    usable: &Usable,
    selection: &Selection,
    cdi: CdiPolicy,
) -> Result<Edits, PlanError> {
    let nvidia = &from.facts.nvidia;
    let chosen = choose(nvidia, &identified(from, selection, cdi))?;
    let supply = Supply::find(from.files, nvidia, &usable.driver);
    let found = Found {
        nvidia,
        driver: &usable.driver,
        chosen: &chosen,
        supply: &supply,
    };
    let mut edits = match cdi {
        CdiPolicy::Off => edits::nvidia(found),
        CdiPolicy::Require => of_specifications(from, found)?,
        CdiPolicy::Auto => of_specifications(from, found).unwrap_or_else(|reason| {
            let mut edits = edits::nvidia(found);
            // That there is none is how most hosts are.
            if !matches!(reason, CdiError::Absent { .. }) {
                edits.remarks.push(EditRemark::CdiNotUsed {
                    reason: in_full(&reason),
                });
            }
            edits
        }),
    };
    let addresses = chosen.iter().filter_map(|it| it.address.as_deref());
    edits.add_system(&system(from.files, addresses), supply.numa);
    finish(from, edits)
}

fn identified(from: PlanFrom<'_>, selection: &Selection, cdi: CdiPolicy) -> Selection {
    if cdi == CdiPolicy::Off || selection.instances().next().is_none() {
        return selection.clone();
    }
    match cdi::Registry::read(from.files, cdi::NVIDIA) {
        Ok(registry) => cdi::identified(&from.facts.nvidia, selection, &registry),
        // The identity then is one that nothing tells.
        Err(_) => selection.clone(),
    }
}

fn of_specifications(from: PlanFrom<'_>, found: Found<'_>) -> Result<Edits, CdiError> {
    let registry = cdi::Registry::read(from.files, cdi::NVIDIA)?;
    let wanted = cdi::Wanted {
        fs: from.files,
        nodes: from.nodes,
        found,
    };
    cdi::edits(&wanted, &registry)
}

fn in_full(error: &CdiError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Plans what a step gets of another vendor's: nodes, and no verdict on the driver.
///
/// # Errors
/// Returns why it cannot have what is selected.
pub fn plan_other(
    from: PlanFrom<'_>,
    vendor: UngatedVendor,
    selection: &Selection,
) -> Result<Edits, PlanError> {
    let (name, found) = match vendor {
        UngatedVendor::Amd => ("AMD", &from.facts.amd),
        UngatedVendor::Intel => ("Intel", &from.facts.intel),
    };
    let found: &OtherVendor = found.as_ref().ok_or(ChooseError::Nothing)?;
    let chosen = choose_other(found, selection)?;
    let mut edits = edits::other(name, found, &chosen);
    if edits.devices.is_empty() {
        return Err(ChooseError::Nothing.into());
    }
    let addresses = chosen.iter().map(|gpu| gpu.address.as_str());
    let devices = system(from.files, addresses);
    edits.add_system(&devices, false);
    edits.add_drm(&devices);
    let topology = Path::new(KFD_TOPOLOGY);
    if found.shared.is_some() && from.files.exists(topology) {
        edits.add_file(topology, topology, false);
    }
    finish(from, edits)
}

/// Finds the directories of devices in `/sys`, each once.
fn system<'a>(fs: &HostFs, addresses: impl Iterator<Item = &'a str>) -> Vec<SystemDevice> {
    let addresses: BTreeSet<&str> = addresses.collect();
    let found = addresses.into_iter();
    found.filter_map(|it| SystemDevice::find(fs, it)).collect()
}

/// Checks that the caller may open the nodes, and turns the paths of sources into this process's.
fn finish(from: PlanFrom<'_>, mut edits: Edits) -> Result<Edits, PlanError> {
    for device in &mut edits.devices {
        let node = Node::look(from.nodes, device.source.clone(), None);
        from.caller.opens(from.files, &node)?;
        let outside = from.files.outside_itself(&device.source);
        device.source = outside.map_err(|source| gone(&device.source, source))?;
    }
    for file in &mut edits.files {
        let outside = from.files.outside(&file.source);
        file.source = outside.map_err(|source| gone(&file.source, source))?;
    }
    Ok(edits)
}

fn gone(path: &Path, source: std::io::Error) -> PlanError {
    PlanError::Gone {
        path: path.to_owned(),
        source,
    }
}
