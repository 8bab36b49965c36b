//! What `envbox lock --gpu` takes of this host.

use std::ffi::OsString;
use std::path::Path;

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Explain, FsError, InvalidVersion, Kind};
use envbox_lockfiles::lock::HostGpu;
use envbox_sandbox::gpu::{
    Card, DriverVersion, Edits, Name, PlanError, ProbeError, ProbedDevice, Refusal, Selection,
    try_inside,
};
use envbox_sandbox::{Bind, HostFacts, Policy};

use crate::ops::run::GpuHost;

/// What the root of every sandbox must have.
const MOUNT_POINTS: [&str; 7] = ["dev", "etc", "home/envbox", "proc", "run", "sys", "tmp"];

/// Where hosts keep their libc, for which the driver's libraries are made.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// There is nothing to pin on this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostGpuError {
    /// No step could use a GPU here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The GPUs are not alike.
    #[error("this host has GPUs that are not alike: {}", .found.join(", "))]
    Several {
        /// Number and name of each.
        found: Vec<String>,
    },
    /// There is no GPU with the number.
    #[error("this host has no GPU {index}: it has {count}, and the first is 0")]
    NoSuch {
        /// The number.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The GPU cannot be passed to a sandbox.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The driver does not start.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The driver has a version that is none.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    /// There is no place to try the driver in.
    #[error(transparent)]
    File(#[from] FsError),
}

impl Explain for HostGpuError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) | Self::Plan(_) | Self::Probe(_) | Self::Version(_) => Kind::Host,
            Self::File(error) => error.kind(),
            Self::Several { .. } | Self::NoSuch { .. } => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Refused(refusal) => refusal.remedy(),
            Self::Several { .. } => "choose one by its number: `envbox lock --gpu=0`".to_owned(),
            Self::NoSuch { .. } => "`envbox gpu --json` lists them as `cards`".to_owned(),
            Self::Plan(error) => error.remedy(),
            Self::Probe(error) => return error.remedy().into_iter().collect(),
            Self::Version(_) => return Vec::new(),
            Self::File(error) => return error.hints(),
        };
        vec![hint]
    }
}

/// Returns the driver of a host and the GPU with the number `index`, by place on the bus; without
/// one, that of all, which must then be alike. The driver is started in a sandbox of the host's own
/// libraries, made in `scratch`, because only it knows what a GPU can do.
///
/// # Errors
/// Returns [`HostGpuError`].
pub fn host_gpu(
    host: &GpuHost,
    index: Option<usize>,
    scratch: &Path,
) -> Result<HostGpu, HostGpuError> {
    let facts = host.discover();
    let usable = GpuHost::usable(&facts)?;
    let found = of_cards(&usable.driver, &facts.nvidia.cards, index)?;
    let selection = Selection::These(vec![Name::Index(index.unwrap_or(0))]);
    let edits = host.plan(&facts, &usable, &selection)?;
    let device = measured(&edits, scratch)?;
    Ok(HostGpu {
        compute_capability: device
            .capability
            .map(|(major, minor)| format!("{major}.{minor}").parse())
            .transpose()?,
        multiprocessors: device.multiprocessors,
        ..found
    })
}

/// Starts the driver in a sandbox that has this host's libraries and nothing else of it.
fn measured(edits: &Edits, scratch: &Path) -> Result<ProbedDevice, HostGpuError> {
    create_dir_all(scratch)?;
    let rootfs = tempfile::tempdir_in(scratch).map_err(FsError::at("write to", scratch))?;
    for name in MOUNT_POINTS {
        create_dir_all(&rootfs.path().join(name))?;
    }
    let libraries = LIBRARIES.map(Path::new).into_iter();
    let binds = libraries.filter(|path| path.is_dir()).map(|path| Bind {
        source: path.to_path_buf(),
        target: path.to_path_buf(),
        writable: false,
    });
    let mut policy = Policy {
        rootfs: rootfs.path().to_path_buf(),
        binds: binds.collect(),
        ..Policy::default()
    };
    edits.apply(&mut policy);
    let environment = edits.environment.iter();
    let mut environment: Vec<(OsString, OsString)> = environment
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    environment.push(("LD_LIBRARY_PATH".into(), edits.library_path_after(None)));
    let probed = try_inside(&policy, &environment, &HostFacts::minimal())?;
    // A driver that sees none is an error of its own.
    Ok(probed.devices.into_iter().next().unwrap_or_default())
}

fn of_cards(
    driver: &DriverVersion,
    cards: &[Card],
    index: Option<usize>,
) -> Result<HostGpu, HostGpuError> {
    let usable: Vec<&Card> = cards.iter().filter(|card| card.is_counted()).collect();
    let chosen = match index {
        Some(index) => {
            let count = usable.len();
            Some(
                *usable
                    .get(index)
                    .ok_or(HostGpuError::NoSuch { index, count })?,
            )
        }
        None => {
            let alike = |card: &&Card| look(card) == look(usable[0]);
            if !usable.iter().all(alike) {
                let found = usable.iter().enumerate();
                let found = found.map(|(number, card)| named(number, card)).collect();
                return Err(HostGpuError::Several { found });
            }
            // Where the driver has no files, as in gVisor, no GPU has a name.
            usable.first().copied()
        }
    };
    let (name, mig) = chosen.map(look).unwrap_or_default();
    Ok(HostGpu {
        driver: driver.as_str().parse()?,
        name: name.cloned(),
        // Only a program that starts CUDA learns these.
        compute_capability: None,
        multiprocessors: None,
        mig,
    })
}

/// What is told of a GPU without starting it: its name, and whether it is divided.
fn look(card: &Card) -> (Option<&String>, Option<bool>) {
    let mig = card.mig.as_ref().map(|instances| !instances.is_empty());
    (card.model.as_ref(), mig)
}

fn named(number: usize, card: &Card) -> String {
    let (name, mig) = look(card);
    let name = name.map_or("without a name", |name| name.as_str());
    match mig {
        Some(true) => format!("{number} `{name}`, divided (MIG)"),
        Some(false) | None => format!("{number} `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envbox_sandbox::gpu::{HostFs, MigInstance, Node, NodeState};

    use super::*;
    use crate::ops::run::fake_host;

    fn card(model: Option<&str>, mig: Option<bool>) -> Card {
        let instance = MigInstance {
            gpu_instance: 1,
            compute_instance: None,
            node: None,
        };
        Card {
            model: model.map(str::to_owned),
            node: Some(Node {
                path: "/dev/nvidia0".into(),
                expected: None,
                state: NodeState::Missing,
            }),
            mig: mig.map(|divided| vec![instance; usize::from(divided)]),
            ..Card::default()
        }
    }

    fn found(cards: &[Card], index: Option<usize>) -> Result<HostGpu, String> {
        let driver = "580.159.04".parse().unwrap();
        of_cards(&driver, cards, index).map_err(|error| {
            assert!(!error.hints().is_empty());
            error.to_string()
        })
    }

    #[test]
    fn gpus_that_are_alike_are_one() {
        let (h100, h200) = (
            || card(Some("NVIDIA H100"), Some(false)),
            || card(Some("NVIDIA H200"), Some(false)),
        );
        let host = |name: Option<&str>, mig: Option<bool>| HostGpu {
            driver: "580.159.04".parse().unwrap(),
            name: name.map(str::to_owned),
            compute_capability: None,
            multiprocessors: None,
            mig,
        };
        let (one, other) = (
            host(Some("NVIDIA H100"), Some(false)),
            host(Some("NVIDIA H200"), Some(false)),
        );
        assert_eq!(found(&[h100()], None), Ok(one.clone()));
        assert_eq!(found(&[h100(), h100()], None), Ok(one.clone()));
        assert_eq!(found(&[h100(), h200()], Some(0)), Ok(one.clone()));
        assert_eq!(found(&[h100(), h200()], Some(1)), Ok(other));
        let differ = "this host has GPUs that are not alike: 0 `NVIDIA H100`, 1 `NVIDIA H200`";
        assert_eq!(found(&[h100(), h200()], None), Err(differ.to_owned()));
        let divided = card(Some("NVIDIA H100"), Some(true));
        let differ = "this host has GPUs that are not alike: 0 `NVIDIA H100`, 1 `NVIDIA H100`, \
                      divided (MIG)";
        assert_eq!(found(&[h100(), divided], None), Err(differ.to_owned()));
        let none = "this host has no GPU 1: it has 1, and the first is 0";
        assert_eq!(found(&[h100()], Some(1)), Err(none.to_owned()));
        // One that the driver leaves alone, or does not have, is not counted.
        let (mut excluded, mut without) = (h200(), h200());
        excluded.excluded = true;
        without.node = None;
        assert_eq!(found(&[excluded, without, h100()], None), Ok(one));
        assert_eq!(found(&[], None), Ok(host(None, None)));
        assert_eq!(found(&[card(None, None)], None), Ok(host(None, None)));
    }

    #[test]
    fn a_host_without_a_driver_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let host = GpuHost {
            files: Arc::new(HostFs::below(root.path()).unwrap()),
            ..GpuHost::default()
        };
        let error = host_gpu(&host, None, root.path()).unwrap_err();
        assert_eq!(error.to_string(), Refusal::NoDriver.to_string());
        assert_eq!(error.hints(), [Refusal::NoDriver.remedy()]);
        assert_eq!(error.kind(), Kind::Host);
    }

    #[test]
    fn the_driver_tells_what_a_gpu_can_do() {
        let root = tempfile::tempdir().unwrap();
        let host = fake_host(&root.path().join("host"));
        let found = host_gpu(&host, Some(1), root.path()).unwrap();
        assert_eq!(found.compute_capability, Some("9.0".parse().unwrap()));
        assert_eq!(found.multiprocessors, Some(132));
        assert_eq!(found.driver, "580.159.04".parse().unwrap());
        assert_eq!(found.name.as_deref(), Some("NVIDIA H100 80GB HBM3"));
    }
}
