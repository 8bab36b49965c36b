//! `envbox gpu`: which GPU drivers this host has, and what stands in the way of a step.

use envbox_sandbox::gpu::{
    DriverPolicy, GpuFacts, HostFs, HostNodes, LibraryPlaces, Pinned, discover, verdict,
};
use serde::Serialize;

/// What was found.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct GpuReport {
    /// All that was looked at, and what came of it.
    pub facts: GpuFacts,
    /// NVIDIA's driver that a step could use.
    pub driver: Option<String>,
    /// What is remarkable about it.
    pub remarks: Vec<String>,
    /// Why no step could use one.
    pub refused: Option<String>,
    /// What to do about that.
    pub remedy: Option<String>,
}

/// Looks at this host. Loads no library, runs no program and makes no node.
pub fn gpu() -> GpuReport {
    let files = HostFs::host();
    let facts = discover(&files, &HostNodes(&files), &LibraryPlaces::default());
    let mut report = GpuReport {
        driver: None,
        remarks: Vec::new(),
        refused: None,
        remedy: None,
        facts,
    };
    match verdict(&[], &Pinned::default(), &report.facts).admit(DriverPolicy::default()) {
        Ok(admitted) => {
            report.driver = Some(admitted.usable.driver.to_string());
            let remarks = admitted.usable.remarks.iter();
            report.remarks = remarks.map(ToString::to_string).collect();
        }
        Err(refusal) => {
            report.refused = Some(refusal.to_string());
            report.remedy = Some(refusal.remedy());
        }
    }
    report
}
