//! Whether a lock still answers its manifest, and if not, why.

use crate::base::{Explain, Kind};
use crate::lock::groups;
use crate::lock::reason::{Affected, StaleReason};
use crate::lock::schema::{CondaRequest, Lockfile, Request};
use crate::manifest::Gpu;

/// Checks whether `lock` answers `request`.
///
/// # Errors
/// Returns every reason why it does not.
pub fn satisfies(lock: &Lockfile, request: &Request) -> Result<(), Stale> {
    let locked = &lock.request;
    let mut reasons = Vec::new();
    environment(locked, request, &mut reasons);
    python(locked, request, &mut reasons);
    debian(locked, request, &mut reasons);
    conda(locked, request, &mut reasons);
    gpu(locked, request, &mut reasons);
    groups::compare(&locked.groups, &request.groups, &mut reasons);
    if reasons.is_empty() {
        return Ok(());
    }
    let affected = reasons
        .iter()
        .map(StaleReason::affects)
        .fold(Affected::NONE, Affected::or);
    Err(Stale { reasons, affected })
}

/// The lock does not answer the manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("the lockfile does not answer the manifest: {}", phrases(reasons))]
pub struct Stale {
    /// Why: at least one reason.
    pub reasons: Vec<StaleReason>,
    /// Which sections of the lock that concerns.
    #[serde(skip)]
    pub affected: Affected,
}

impl Explain for Stale {
    fn kind(&self) -> Kind {
        Kind::Stale
    }

    fn hints(&self) -> Vec<String> {
        vec!["run `envbox lock` to bring the lockfile up to date".to_owned()]
    }
}

fn environment(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    if locked.name != asked.name {
        reasons.push(StaleReason::NameChanged {
            locked: locked.name.to_string(),
            asked: asked.name.to_string(),
        });
    }
    lists(
        (&locked.platforms, &asked.platforms),
        |platform| StaleReason::PlatformAdded { platform },
        |platform| StaleReason::PlatformRemoved { platform },
        reasons,
    );
    values(
        (&locked.python, &asked.python),
        |locked, asked| StaleReason::PythonChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.python_from, &asked.python_from),
        |locked, asked| StaleReason::PythonSourceChanged { locked, asked },
        reasons,
    );
}

fn python(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    lists(
        (&locked.requirements, &asked.requirements),
        |requirement| StaleReason::RequirementAdded { requirement },
        |requirement| StaleReason::RequirementRemoved { requirement },
        reasons,
    );
    lists(
        (&locked.constraints, &asked.constraints),
        |constraint| StaleReason::ConstraintAdded { constraint },
        |constraint| StaleReason::ConstraintRemoved { constraint },
        reasons,
    );
    lists(
        (&locked.overrides, &asked.overrides),
        |requirement| StaleReason::OverrideAdded { requirement },
        |requirement| StaleReason::OverrideRemoved { requirement },
        reasons,
    );
    values(
        (&locked.exclude_newer, &asked.exclude_newer),
        |locked, asked| StaleReason::ExcludeNewerChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.prerelease, &asked.prerelease),
        |locked, asked| StaleReason::PrereleaseChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.extra_indexes, &asked.extra_indexes),
        |locked, asked| StaleReason::ExtraIndexesChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.find_links, &asked.find_links),
        |locked, asked| StaleReason::FindLinksChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.no_build, &asked.no_build),
        |locked, asked| StaleReason::NoBuildChanged { locked, asked },
        reasons,
    );
}

fn debian(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    values(
        (&locked.suite, &asked.suite),
        |locked, asked| StaleReason::SuiteChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.snapshot, &asked.snapshot),
        |locked, asked| StaleReason::SnapshotChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.security, &asked.security),
        |locked, asked| StaleReason::SecurityChanged { locked, asked },
        reasons,
    );
    lists(
        (&locked.packages, &asked.packages),
        |package| StaleReason::PackageAdded { package },
        |package| StaleReason::PackageRemoved { package },
        reasons,
    );
    values(
        (&locked.base, &asked.base),
        |locked, asked| StaleReason::BaseChanged { locked, asked },
        reasons,
    );
}

fn conda(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    match (&locked.conda, &asked.conda) {
        (None, None) => {}
        (None, Some(_)) => reasons.push(StaleReason::CondaAdded),
        (Some(_), None) => reasons.push(StaleReason::CondaRemoved),
        (Some(locked), Some(asked)) => {
            channels(locked, asked, reasons);
            conda_packages(locked, asked, reasons);
        }
    }
}

fn gpu(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    let (locked, asked) = match (&locked.gpu, &asked.gpu) {
        (None, None) => return,
        (None, Some(_)) => return reasons.push(StaleReason::GpuAdded),
        (Some(_), None) => return reasons.push(StaleReason::GpuRemoved),
        (Some(locked), Some(asked)) => (locked, asked),
    };
    values(
        (&locked.vendor, &asked.vendor),
        |locked, asked| StaleReason::GpuVendorChanged { locked, asked },
        reasons,
    );
    let cuda = |gpu: &Gpu| gpu.cuda.as_ref().map(ToString::to_string);
    values(
        (&cuda(locked), &cuda(asked)),
        |locked, asked| StaleReason::CudaChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.driver, &asked.driver),
        |locked, asked| StaleReason::DriverPinChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.device, &asked.device),
        |locked, asked| StaleReason::DevicePinChanged { locked, asked },
        reasons,
    );
}

fn channels(locked: &CondaRequest, asked: &CondaRequest, reasons: &mut Vec<StaleReason>) {
    values(
        (&locked.channels, &asked.channels),
        |locked, asked| StaleReason::ChannelsChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.channel_priority, &asked.channel_priority),
        |locked, asked| StaleReason::ChannelPriorityChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.exclude_newer, &asked.exclude_newer),
        |locked, asked| StaleReason::CondaExcludeNewerChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.base, &asked.base),
        |locked, asked| StaleReason::CondaBaseChanged { locked, asked },
        reasons,
    );
}

fn conda_packages(locked: &CondaRequest, asked: &CondaRequest, reasons: &mut Vec<StaleReason>) {
    lists(
        (&locked.dependencies, &asked.dependencies),
        |dependency| StaleReason::CondaDependencyAdded { dependency },
        |dependency| StaleReason::CondaDependencyRemoved { dependency },
        reasons,
    );
    lists(
        (&locked.constraints, &asked.constraints),
        |constraint| StaleReason::CondaConstraintAdded { constraint },
        |constraint| StaleReason::CondaConstraintRemoved { constraint },
        reasons,
    );
    lists(
        (&locked.virtual_packages, &asked.virtual_packages),
        |package| StaleReason::VirtualPackageAdded { package },
        |package| StaleReason::VirtualPackageRemoved { package },
        reasons,
    );
    lists(
        (&locked.python_names, &asked.python_names),
        |entry| StaleReason::PythonNameAdded { entry },
        |entry| StaleReason::PythonNameRemoved { entry },
        reasons,
    );
    lists(
        (&locked.link_scripts, &asked.link_scripts),
        |package| StaleReason::LinkScriptAllowed { package },
        |package| StaleReason::LinkScriptRefused { package },
        reasons,
    );
}

/// Compares two values: of `locked`, then of `asked`.
fn values<T: PartialEq + Clone>(
    (locked, asked): (&T, &T),
    changed: impl FnOnce(T, T) -> StaleReason,
    reasons: &mut Vec<StaleReason>,
) {
    if locked != asked {
        reasons.push(changed(locked.clone(), asked.clone()));
    }
}

/// Compares two sorted lists: of `locked`, then of `asked`.
fn lists<T: PartialEq + Clone>(
    (locked, asked): (&[T], &[T]),
    added: impl Fn(T) -> StaleReason,
    removed: impl Fn(T) -> StaleReason,
    reasons: &mut Vec<StaleReason>,
) {
    let new = asked.iter().filter(|item| !locked.contains(item));
    reasons.extend(new.cloned().map(added));
    let gone = locked.iter().filter(|item| !asked.contains(item));
    reasons.extend(gone.cloned().map(removed));
}

fn phrases(reasons: &[StaleReason]) -> String {
    let phrases: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    phrases.join("; ")
}
