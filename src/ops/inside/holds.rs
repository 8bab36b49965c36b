//! What is held of each source of nondeterminism in a container that others made.

use envbox_lockfiles::manifest::{SandboxPolicy, StepClock, StepFileStatus, StepNetwork};
use envbox_sandbox::{Cpuid, Power, Supervision};
use serde::Serialize;

use crate::ops::run::Rest;

/// What became of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The source.
    pub source: &'static str,
    /// What became of it.
    pub state: State,
    /// By what, or why not.
    pub by: String,
}

/// What became of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The same in every container.
    Held,
    /// Another may have another; this report says which it was.
    Recorded,
    /// Whatever the container, the host or the scheduler makes of it.
    NotHeld,
}

/// What decides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided<'a> {
    /// The policy that was in force, without what was refused.
    pub(super) policy: &'a SandboxPolicy,
    /// What the container refused.
    pub(super) powers: &'a Supervision,
    /// Whether CPUID was held.
    pub(super) cpuid: Cpuid,
    /// What became of variables that nobody named.
    pub(super) rest: Rest,
    /// The kernel's release.
    pub(super) kernel: &'a str,
    /// The user and the group.
    pub(super) user: (u32, u32),
}

type Row = (&'static str, State, String);

/// Returns what became of every source, in a fixed order.
pub(super) fn holds(decided: Decided<'_>) -> Vec<Hold> {
    let mut rows = clocks(decided);
    rows.extend(answers(decided));
    rows.extend(surroundings(decided));
    let hold = |(source, state, by)| Hold { source, state, by };
    rows.into_iter().map(hold).collect()
}

/// Returns why a power was refused.
fn refused(decided: Decided<'_>, powers: &[Power]) -> Option<String> {
    let reason = |power: &Power| {
        let refusal = decided.powers.refusal(*power)?;
        Some(format!("the container does not allow {power}: {refusal}"))
    };
    powers.iter().find_map(reason)
}

const ASKED: [Power; 2] = [Power::Notify, Power::Memory];
const STOPPED: [Power; 3] = [Power::Notify, Power::Memory, Power::Trace];

fn clocks(decided: Decided<'_>) -> Vec<Row> {
    use State::{Held, NotHeld};
    let SandboxPolicy { clock, epoch, .. } = decided.policy;
    if let Some(reason) = refused(decided, &STOPPED) {
        let names = ["wall-clock", "other-clocks", "waits"];
        return names.map(|name| (name, NotHeld, reason.clone())).into();
    }
    let hosts = || "the host's".to_owned();
    let wall = match clock {
        StepClock::Logical => (Held, format!("moves by what the step does, from {epoch}")),
        StepClock::Frozen => (Held, format!("stands at {epoch}, but for sleep")),
        StepClock::Ticking => (NotHeld, format!("ticks from {epoch}")),
        StepClock::Real => (NotHeld, hosts()),
    };
    let others = match clock {
        StepClock::Logical => (Held, "move by what the step does, from zero".to_owned()),
        _ => (NotHeld, "the host's, and not from zero".to_owned()),
    };
    let waits = match clock {
        StepClock::Logical | StepClock::Frozen => (Held, "move the step's clock".to_owned()),
        _ => (NotHeld, hosts()),
    };
    vec![
        ("wall-clock", wall.0, wall.1),
        ("other-clocks", others.0, others.1),
        ("waits", waits.0, waits.1),
    ]
}

fn answers(decided: Decided<'_>) -> Vec<Row> {
    use State::{Held, NotHeld};
    let policy = decided.policy;
    let asked = |name, by: String| match refused(decided, &ASKED) {
        None => (name, Held, by),
        Some(reason) => (name, NotHeld, reason),
    };
    let layout = match refused(decided, &[Power::Layout]) {
        None => ("addresses", Held, "not randomised".to_owned()),
        Some(reason) => ("addresses", NotHeld, reason),
    };
    let cpuid = match decided.cpuid {
        Cpuid::Held => ("cpuid", Held, policy.cpu_baseline.name().to_owned()),
        Cpuid::NotHeld(reason) => ("cpuid", NotHeld, reason.to_string()),
        Cpuid::Host => ("cpuid", NotHeld, "the host's".to_owned()),
    };
    let status = match policy.file_status {
        StepFileStatus::Fixed => asked("file-status", "follows from names".to_owned()),
        StepFileStatus::Times if policy.clock != StepClock::Real => {
            let by = "times are the step's, inode numbers the host's";
            ("file-status", NotHeld, by.to_owned())
        }
        StepFileStatus::Times | StepFileStatus::Host => {
            ("file-status", NotHeld, "the host's".to_owned())
        }
    };
    vec![
        asked("randomness", format!("follows from seed {}", policy.seed)),
        asked("random-devices", "opened by their usual names".to_owned()),
        asked("directory-order", "sorted by name".to_owned()),
        status,
        layout,
        asked("processors", format!("{} of them", policy.cpus)),
        cpuid,
        asked("machine", "uname, sysinfo".to_owned()),
        asked(
            "machine-files",
            "of /proc and /sys, those that `run` gives, opened by their usual names".to_owned(),
        ),
        (
            "other-files",
            NotHeld,
            "what else /proc and /sys tell is the host's".to_owned(),
        ),
        match policy.network {
            StepNetwork::Host => ("host-name", State::Recorded, policy.hostname.clone()),
            _ => asked("host-name", format!("`{}`, by uname", policy.hostname)),
        },
    ]
}

fn surroundings(decided: Decided<'_>) -> Vec<Row> {
    use State::{Held, NotHeld, Recorded};
    let environment = match decided.rest {
        Rest::Cleared => (Held, "made of the policy and what was named".to_owned()),
        Rest::Kept => (NotHeld, "variables of the container were kept".to_owned()),
    };
    let (user, group) = decided.user;
    let containers = |name, what: &str| (name, NotHeld, format!("{what} the container's"));
    vec![
        ("environment", environment.0, environment.1),
        ("umask", Held, "022".to_owned()),
        ("limits", Held, "never above the policy's".to_owned()),
        containers("files", "which there are and who may write them is"),
        containers("network", "it is"),
        containers("process-ids", "they are"),
        ("user", Recorded, format!("{user}:{group}")),
        ("kernel", Recorded, decided.kernel.to_owned()),
        (
            "scheduling",
            NotHeld,
            "the host's scheduler decides".to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use envbox_sandbox::PowerRefusal;

    use super::*;
    use crate::ops::inside::InsidePolicy;

    fn open(refused: &[Power]) -> String {
        let policy = InsidePolicy::without_manifest().sandbox;
        let refusal = |power: &Power| (*power, PowerRefusal::Profile);
        let all = holds(Decided {
            policy: &policy,
            powers: &Supervision {
                refused: refused.iter().map(refusal).collect(),
            },
            cpuid: Cpuid::Held,
            rest: Rest::Cleared,
            kernel: "6.1.0",
            user: (0, 0),
        });
        let open = all.iter().filter(|hold| hold.state == State::NotHeld);
        open.map(|hold| hold.source).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_refusal_shows() {
        insta::assert_snapshot!(open(&[]), @"file-status other-files files network process-ids scheduling");
        insta::assert_snapshot!(open(&[Power::Layout]), @"file-status addresses other-files files network process-ids scheduling");
        insta::assert_snapshot!(open(&[Power::Trace]), @"wall-clock other-clocks waits file-status other-files files network process-ids scheduling");
        insta::assert_snapshot!(open(&[Power::Notify]), @"wall-clock other-clocks waits randomness random-devices directory-order file-status processors machine machine-files other-files host-name files network process-ids scheduling");
        insta::assert_snapshot!(open(&[Power::Memory]), @"wall-clock other-clocks waits randomness random-devices directory-order file-status processors machine machine-files other-files host-name files network process-ids scheduling");
    }
}
