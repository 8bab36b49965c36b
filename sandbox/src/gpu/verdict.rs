//! Facts and a lockfile's wants → may a step use NVIDIA's GPUs? Pure, and numeric where versions
//! are compared.

use serde::Serialize;

use super::facts::{GpuFacts, Nvidia};
use super::refusal::{NotHeld, Refusal};
use super::usable::{Usable, usable};
use super::version::{Minimum, Pin};

/// A driver that something locked needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Required {
    /// The least that will do.
    pub minimum: Minimum,
    /// What needs it, as the user knows it: `nvidia-cuda-runtime 13.0.96`.
    pub because: String,
}

/// What a lockfile holds to beyond what its packages need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The driver.
    pub driver: Option<Pin>,
    /// The GPU, if it is required and not only recorded.
    pub device: Option<PinnedDevice>,
}

/// The GPU that a lockfile requires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PinnedDevice {
    /// Its name, as the driver tells it.
    pub model: Option<String>,
    /// Whether it is divided.
    pub mig: Option<bool>,
}

/// Whether a step may use NVIDIA's GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It may, and everything is held.
    Held(Usable),
    /// The driver would do, but is not the one that the lockfile is held to.
    NotHeld {
        /// What there is.
        #[serde(flatten)]
        usable: Usable,
        /// The difference.
        reason: NotHeld,
    },
    /// It may not.
    Refused(Refusal),
}

/// What the caller makes of a driver that is not the pinned one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverPolicy {
    /// It is refused.
    #[default]
    Locked,
    /// It is used, and recorded as not held.
    Compatible,
}

/// A driver that a step gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Admitted {
    /// The driver.
    #[serde(flatten)]
    pub usable: Usable,
    /// What of the lockfile is not held.
    pub not_held: Option<NotHeld>,
}

impl Verdict {
    /// Decides with the caller's policy.
    ///
    /// # Errors
    /// Returns why the step may not use the GPU.
    pub fn admit(self, policy: DriverPolicy) -> Result<Admitted, Refusal> {
        match self {
            Verdict::Held(usable) => Ok(Admitted {
                usable,
                not_held: None,
            }),
            Verdict::NotHeld { usable, reason } if policy == DriverPolicy::Compatible => {
                Ok(Admitted {
                    usable,
                    not_held: Some(reason),
                })
            }
            Verdict::NotHeld { reason, .. } => Err(Refusal::NotHeld(reason)),
            Verdict::Refused(refusal) => Err(refusal),
        }
    }
}

/// Judges what was found by what is required and pinned.
pub fn verdict(required: &[Required], pinned: &Pinned, found: &GpuFacts) -> Verdict {
    let usable = match usable(found) {
        Ok(usable) => usable,
        Err(refusal) => return Verdict::Refused(refusal),
    };
    let driver = &usable.driver;
    let unmet = required.iter().filter(|it| !it.minimum.allows(driver));
    // Who updates once should not be asked to do it again.
    if let Some(highest) = unmet.max_by(|one, other| one.minimum.cmp(&other.minimum)) {
        return Verdict::Refused(Refusal::TooOld {
            driver: driver.clone(),
            minimum: highest.minimum.clone(),
            because: highest.because.clone(),
        });
    }
    let device = pinned.device.as_ref();
    if let Some(refusal) = device.and_then(|device| other_device(device, &found.nvidia)) {
        return Verdict::Refused(refusal);
    }
    match &pinned.driver {
        Some(pin) if !pin.allows(driver) => Verdict::NotHeld {
            reason: NotHeld {
                pin: pin.clone(),
                driver: driver.clone(),
            },
            usable,
        },
        _ => Verdict::Held(usable),
    }
}

/// Compares all GPUs: which of them a step gets is not decided here.
fn other_device(wanted: &PinnedDevice, nvidia: &Nvidia) -> Option<Refusal> {
    let cards = || nvidia.cards.iter().filter(|card| card.node.is_some());
    if let Some(model) = &wanted.model {
        let models: Option<Vec<String>> = cards().map(|card| card.model.clone()).collect();
        match models.filter(|models| !models.is_empty()) {
            None => {
                let wanted = format!("the GPU `{model}`");
                return Some(Refusal::DeviceUnknown { wanted });
            }
            Some(found) if found.iter().any(|it| it != model) => {
                let wanted = model.clone();
                return Some(Refusal::OtherModel { wanted, found });
            }
            Some(_) => {}
        }
    }
    let wanted = wanted.mig?;
    let divided: Option<Vec<bool>> = cards()
        .map(|card| card.mig.as_ref().map(|mig| !mig.is_empty()))
        .collect();
    match divided.filter(|divided| !divided.is_empty()) {
        None => {
            let wanted = format!("MIG {}", if wanted { "on" } else { "off" });
            Some(Refusal::DeviceUnknown { wanted })
        }
        Some(divided) => {
            let other = divided.iter().any(|it| *it != wanted);
            other.then_some(Refusal::MigChanged { wanted })
        }
    }
}
