//! What `envbox lock --gpu` takes of this host.

use envbox_lockfiles::base::{Explain, InvalidVersion, Kind};
use envbox_lockfiles::lock::HostGpu;
use envbox_sandbox::gpu::{
    Card, DriverPolicy, DriverVersion, GpuFacts, HostFs, HostNodes, LibraryPlaces, Pinned, Refusal,
    discover, verdict,
};

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
    /// The driver has a version that is none.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
}

impl Explain for HostGpuError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) | Self::Version(_) => Kind::Host,
            Self::Several { .. } | Self::NoSuch { .. } => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Refused(refusal) => refusal.remedy(),
            Self::Several { .. } => "choose one by its number: `envbox lock --gpu=0`".to_owned(),
            Self::NoSuch { .. } => "`envbox gpu --json` lists them as `cards`".to_owned(),
            Self::Version(_) => return Vec::new(),
        };
        vec![hint]
    }
}

/// Returns the driver of this host and the GPU with the number `index`, by place on the bus; without
/// one, that of all, which must then be alike. Loads no library and runs no program.
///
/// # Errors
/// Returns [`HostGpuError`].
pub fn host_gpu(index: Option<usize>) -> Result<HostGpu, HostGpuError> {
    let files = HostFs::host();
    let facts = discover(&files, &HostNodes(&files), &LibraryPlaces::default());
    of_facts(&facts, index)
}

fn of_facts(facts: &GpuFacts, index: Option<usize>) -> Result<HostGpu, HostGpuError> {
    let admitted = verdict(&[], &Pinned::default(), facts).admit(DriverPolicy::default())?;
    of_cards(&admitted.usable.driver, &facts.nvidia.cards, index)
}

fn of_cards(
    driver: &DriverVersion,
    cards: &[Card],
    index: Option<usize>,
) -> Result<HostGpu, HostGpuError> {
    // Those that the driver has, and was not told to leave alone.
    let usable = cards
        .iter()
        .filter(|card| card.node.is_some() && !card.excluded);
    let usable: Vec<&Card> = usable.collect();
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
    use envbox_sandbox::gpu::{MigInstance, Node, NodeState};

    use super::*;

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
        let files = HostFs::below(root.path()).unwrap();
        let facts = discover(&files, &HostNodes(&files), &LibraryPlaces::default());
        let error = of_facts(&facts, None).unwrap_err();
        assert_eq!(error.to_string(), Refusal::NoDriver.to_string());
        assert_eq!(error.hints(), [Refusal::NoDriver.remedy()]);
        assert_eq!(error.kind(), Kind::Host);
    }
}
