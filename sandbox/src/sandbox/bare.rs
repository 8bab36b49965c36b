//! A step without namespaces: what it needs of the container around us, and its plan.

use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};

use super::error::SandboxError;
use super::policy::{Clock, FileStatus, Policy};
use super::spawn::require_kernel;
use crate::host::{HostFacts, Power, PowerRefusal};
use crate::init::{ADDR_NO_RANDOMIZE, AS_IT_IS, FLAG_RANDOM, Plan};

/// What is set for a step that needs no answers.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// The execution domain.
    pub personality: u64,
    /// Whether there is a filter.
    pub filter: bool,
}

impl Allowed {
    /// Everything, as in a sandbox.
    pub const ALL: Allowed = Allowed {
        personality: ADDR_NO_RANDOMIZE,
        filter: true,
    };
}

/// Checks what a policy needs of what is around us. What the container refuses of the rest is passed
/// over: a layout of addresses, and a filter that asks for nothing.
pub fn require(policy: &Policy, facts: &HostFacts) -> Result<Allowed, SandboxError> {
    require_kernel(facts)?;
    let powers = facts.supervision.as_ref();
    let refusal = |power| match powers {
        Some(powers) => powers.refusal(power),
        None => Some(PowerRefusal::Untried),
    };
    for power in needed(policy) {
        if let Some(refusal) = refusal(power) {
            return Err(SandboxError::Refused { power, refusal });
        }
    }
    Ok(Allowed {
        personality: match refusal(Power::Layout) {
            None => ADDR_NO_RANDOMIZE,
            Some(_) => AS_IT_IS,
        },
        filter: refusal(Power::Notify).is_none(),
    })
}

fn needed(policy: &Policy) -> Vec<Power> {
    let clock = policy.clock != Clock::Real;
    let masked = policy.machine.as_ref().is_some_and(|machine| machine.cpuid);
    let asks = clock
        || policy.seed.is_some()
        || policy.machine.is_some()
        || policy.sorted_directories
        || policy.file_status != FileStatus::Host
        || policy.audit;
    let mut powers = Vec::new();
    if asks {
        powers.extend([Power::Notify, Power::Memory]);
    }
    if clock || masked {
        powers.push(Power::Trace);
    }
    powers
}

/// Takes everything out of a plan that makes a sandbox.
pub fn without_namespaces(plan: Plan) -> Plan {
    Plan {
        flags: plan.flags & !FLAG_RANDOM,
        rootfs: PathBuf::from("/"),
        ..plan
    }
}

/// Nanoseconds that the monotonic clock shows.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
