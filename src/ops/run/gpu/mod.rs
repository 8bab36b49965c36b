//! `--gpu`: what a step gets of the host's GPUs, or why it does not run.
//!
//! Comes in: what the lock needs ([`GpuNeeds`]), what the caller asks for ([`GpuOptions`]) and what
//! there is ([`GpuHost`]). Goes out: [`Granted`], whose edits are put into the sandbox, or a
//! [`GpuError`]. All of it is decided before the step starts: a step that asked for a GPU never runs
//! without one.
//!
//! **Invariant:** a driver that the lock does not allow is refused, or recorded as not held
//! (`run::tests::gpu::a_driver_that_is_not_the_pinned_one`).

mod code;
mod error;
mod files;
mod needs;
mod tried;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use envbox_lockfiles::base::{Context, Event};
use envbox_lockfiles::manifest::GpuVendor;
use envbox_sandbox::gpu::{
    Admitted, Caller, Card, CdiPolicy, DeviceNodes, DriverPolicy, Edits, GpuFacts, HostFs,
    HostNodes, LibraryPlaces, Pinned, PlanError, PlanFrom, Refusal, Selection, UngatedVendor,
    Usable, discover, plan, plan_other, verdict,
};

pub use error::GpuError;
pub use needs::{GpuNeeds, RequiredDevice};

use crate::ops::run::environment::GPU;
use crate::record::{Firmness, GpuCard, GpuNoted, GpuSeen};
use crate::store::Store;

/// What a caller asks for of GPUs.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// `--gpu`: which of them.
    pub selection: Selection,
    /// `--driver`: what becomes of a driver that is not the pinned one.
    pub driver: DriverPolicy,
    /// `--cdi`: whether the host's specifications are used.
    pub cdi: CdiPolicy,
    /// Where they are.
    pub host: GpuHost,
}

/// The host whose GPUs a step gets.
#[derive(Clone)]
pub struct GpuHost {
    /// Its files.
    pub files: Arc<HostFs>,
    /// Its nodes, if they are not those that `files` has.
    pub nodes: Option<Arc<dyn DeviceNodes + Send + Sync>>,
    /// Where libraries of the driver are looked for besides.
    pub places: LibraryPlaces,
}

impl Default for GpuHost {
    /// Returns this host.
    fn default() -> Self {
        Self {
            files: Arc::new(HostFs::host()),
            nodes: None,
            places: LibraryPlaces::default(),
        }
    }
}

impl GpuHost {
    /// Looks at everything there is of GPUs.
    pub(in crate::ops) fn discover(&self) -> GpuFacts {
        self.with_nodes(|nodes| discover(&self.files, nodes, &self.places))
    }

    /// Says whether some step could use NVIDIA's driver that was found.
    pub(in crate::ops) fn usable(facts: &GpuFacts) -> Result<Usable, Refusal> {
        let admitted = verdict(&[], &Pinned::default(), facts).admit(DriverPolicy::default())?;
        Ok(admitted.usable)
    }

    /// Says what a step gets of NVIDIA's, whatever CDI specifications say.
    pub(in crate::ops) fn plan(
        &self,
        facts: &GpuFacts,
        usable: &Usable,
        selection: &Selection,
    ) -> Result<Edits, PlanError> {
        self.with_nodes(|nodes| {
            let from = PlanFrom {
                files: &self.files,
                nodes,
                caller: &Caller::current(),
                facts,
            };
            plan(from, usable, selection, CdiPolicy::Off)
        })
    }

    fn with_nodes<T>(&self, look: impl FnOnce(&dyn DeviceNodes) -> T) -> T {
        match &self.nodes {
            Some(nodes) => look(&**nodes),
            None => look(&HostNodes(&self.files)),
        }
    }
}

impl fmt::Debug for GpuHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuHost")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What a step gets.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Granted {
    /// What is put into its sandbox.
    pub(in crate::ops) edits: Edits,
    /// What it sees of the GPUs, for the record.
    pub(super) seen: GpuSeen,
    /// What is known of them besides.
    pub(super) noted: GpuNoted,
    /// How firm that is.
    pub(super) state: Firmness,
    /// Why it is not held.
    pub(super) because: Vec<String>,
    /// The GPU that the lock requires, as far as the driver alone tells of it.
    required: Option<RequiredDevice>,
    /// The identities of MIG instances that were chosen by them.
    instances: Vec<String>,
}

/// Decides whether a step may have the GPUs that it asks for.
///
/// # Errors
/// Returns [`GpuError`] when it may not.
pub(in crate::ops) fn grant(
    context: &Context,
    needs: &GpuNeeds,
    options: &GpuOptions,
) -> Result<Granted, GpuError> {
    let host = &options.host;
    let facts = host.discover();
    let caller = Caller::current();
    let granted = host.with_nodes(|nodes| {
        let from = PlanFrom {
            files: &host.files,
            nodes,
            caller: &caller,
            facts: &facts,
        };
        match needs.vendor {
            GpuVendor::Nvidia => gated(from, needs, options),
            GpuVendor::Amd => ungated(from, needs, UngatedVendor::Amd, options),
            GpuVendor::Intel => ungated(from, needs, UngatedVendor::Intel, options),
        }
    })?;
    for remark in &granted.edits.remarks {
        let message = remark.to_string();
        context.report(Event::Warning { message });
    }
    files::noted(context, &Store::open(&context.store)?, granted)
}

/// Grants NVIDIA's: the driver is judged first.
fn gated(from: PlanFrom<'_>, needs: &GpuNeeds, options: &GpuOptions) -> Result<Granted, GpuError> {
    let admitted = verdict(&needs.required, &needs.pinned, from.facts)
        .admit(options.driver)
        .map_err(|refusal| GpuError::Refused(Box::new(refusal)))?;
    let edits = plan(from, &admitted.usable, &options.selection, options.cdi)?;
    let (state, because) = firmness(needs, &admitted);
    Ok(Granted {
        seen: GpuSeen {
            vendor: needs.vendor.name().to_owned(),
            driver: Some(admitted.usable.driver.to_string()),
            // The driver tells of them when it is tried.
            cards: Vec::new(),
        },
        noted: noted(from.facts, &edits, &admitted),
        edits,
        state,
        because,
        required: needs.device.clone(),
        instances: { options.selection.instances() }
            .map(str::to_owned)
            .collect(),
    })
}

/// Grants another vendor's: no driver is judged, and the record says so.
fn ungated(
    from: PlanFrom<'_>,
    needs: &GpuNeeds,
    vendor: UngatedVendor,
    options: &GpuOptions,
) -> Result<Granted, GpuError> {
    let edits = plan_other(from, vendor, &options.selection)?;
    let name = needs.vendor.name();
    let found = match vendor {
        UngatedVendor::Amd => &from.facts.amd,
        UngatedVendor::Intel => &from.facts.intel,
    };
    let versions = found.iter().flat_map(|found| &found.driver_versions);
    let versions: BTreeMap<String, String> = versions
        .map(|(module, version)| (module.clone(), version.clone()))
        .collect();
    Ok(Granted {
        seen: GpuSeen {
            vendor: name.to_owned(),
            driver: None,
            cards: edits.chosen.iter().map(|_| GpuCard::default()).collect(),
        },
        noted: GpuNoted {
            told: versions,
            remarks: edits.remarks.iter().map(ToString::to_string).collect(),
            ..GpuNoted::default()
        },
        edits,
        state: Firmness::NotHeld,
        because: vec![format!("the driver of {name}'s GPUs is not held")],
        required: None,
        instances: Vec::new(),
    })
}

fn firmness(needs: &GpuNeeds, admitted: &Admitted) -> (Firmness, Vec<String>) {
    match (&admitted.not_held, &needs.pinned.driver) {
        (Some(reason), _) => (Firmness::NotHeld, vec![reason.to_string()]),
        (None, None) => (
            Firmness::Recorded,
            vec!["the lock pins no GPU driver".to_owned()],
        ),
        (None, Some(_)) => (Firmness::Held, Vec::new()),
    }
}

/// Returns the card that a name of a chosen GPU stands for; none for one of a CDI specification's
/// own names.
fn card<'a>(facts: &'a GpuFacts, chosen: &str) -> Option<&'a Card> {
    let index = chosen.split(':').next()?.parse::<usize>().ok()?;
    let mut cards = facts.nvidia.cards.iter().filter(|card| card.is_counted());
    cards.nth(index)
}

fn noted(facts: &GpuFacts, edits: &Edits, admitted: &Admitted) -> GpuNoted {
    let remarks = admitted.usable.remarks.iter().map(ToString::to_string);
    let remarks = remarks.chain(edits.remarks.iter().map(ToString::to_string));
    let mut told = BTreeMap::new();
    for chosen in &edits.chosen {
        let Some(card) = card(facts, chosen) else {
            continue;
        };
        let mut tell = |what: &str, value: Option<&String>| {
            if let Some(value) = value {
                told.insert(format!("{chosen} {what}"), value.clone());
            }
        };
        tell("address", Some(&card.address));
        tell("uuid", card.uuid.as_ref());
        tell("video-bios", card.video_bios.as_ref());
        tell("firmware", card.firmware.as_ref());
    }
    GpuNoted {
        source: Some(admitted.usable.source.to_string()),
        told,
        remarks: remarks.collect(),
        ..GpuNoted::default()
    }
}

/// Variables that keep numeric libraries from choosing otherwise on a GPU, if nobody set them.
///
/// TF32 rounds what a matrix product takes to ten bits of mantissa, and cuDNN does so by default;
/// NCCL's NVLS algorithm adds in another order each time (NVIDIA/nccl#1497).
const DETERMINISM: [(&str, &str); 2] = [("NCCL_ALGO", "Ring"), ("NVIDIA_TF32_OVERRIDE", "0")];

/// Added to what JAX and TensorFlow tell their compiler.
const XLA: (&str, &str) = ("XLA_FLAGS", "--xla_gpu_deterministic_ops=true");

/// Adds what keeps numeric libraries from choosing otherwise on a GPU to variables, of which those that
/// are set stay.
pub(in crate::ops) fn gpu_determinism(all: &mut BTreeMap<OsString, OsString>) {
    for (name, value) in DETERMINISM {
        all.entry(name.into()).or_insert_with(|| value.into());
    }
    let (name, flag) = XLA;
    let flags = all.entry(name.into()).or_default();
    if !flags
        .to_string_lossy()
        .contains("xla_gpu_deterministic_ops")
    {
        let before = match flags.is_empty() {
            true => OsString::new(),
            false => [flags, OsStr::new(" ")].into_iter().collect(),
        };
        *flags = [&*before, OsStr::new(flag)].into_iter().collect();
    }
}

impl Granted {
    /// Adds what the GPUs need to a step's environment, which stays sorted. What the manifest or
    /// the caller set stays.
    pub(in crate::ops) fn add_to(&self, environment: &mut Vec<(OsString, OsString)>) {
        let mut all: BTreeMap<OsString, OsString> = environment.drain(..).collect();
        for (name, value) in &self.edits.environment {
            all.entry(name.into()).or_insert_with(|| value.into());
        }
        gpu_determinism(&mut all);
        all.insert(GPU.into(), self.seen.vendor.clone().into());
        const PATH: &str = "LD_LIBRARY_PATH";
        let path = self
            .edits
            .library_path_after(all.get(OsStr::new(PATH)).map(|it| &**it));
        if !path.is_empty() {
            all.insert(PATH.into(), path);
        }
        environment.extend(all);
    }
}
