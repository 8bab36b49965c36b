//! `envbox gpu`: which GPU drivers this host has, and what stands in the way of a step.

use envbox_lockfiles::manifest::GpuVendor;
use envbox_sandbox::gpu::{
    ChooseError, GpuFacts, PlanError, UngatedVendor, cdi_document, other_cdi_document,
};
use serde::Serialize;

use crate::ops::Error;
use crate::ops::run::{GpuError, GpuHost, RunError};

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

/// Looks at a host. Loads no library, runs no program and makes no node.
pub fn gpu(host: &GpuHost) -> GpuReport {
    let facts = host.discover();
    let mut report = GpuReport {
        driver: None,
        remarks: Vec::new(),
        refused: None,
        remedy: None,
        facts,
    };
    match GpuHost::usable(&report.facts) {
        Ok(usable) => {
            report.driver = Some(usable.driver.to_string());
            let remarks = usable.remarks.iter();
            report.remarks = remarks.map(ToString::to_string).collect();
        }
        Err(refusal) => {
            report.refused = Some(refusal.to_string());
            report.remedy = Some(refusal.remedy());
        }
    }
    report
}

/// Writes what steps get of a host's GPUs of a vendor as a CDI specification.
///
/// # Errors
/// Returns [`GpuError`] when no step could use one.
pub fn cdi(host: &GpuHost, vendor: GpuVendor) -> Result<String, Error> {
    let facts = host.discover();
    let document = match vendor {
        GpuVendor::Nvidia => match GpuHost::usable(&facts) {
            Ok(usable) => cdi_document(&host.files, &facts, &usable).map_err(not_chosen),
            Err(refusal) => Err(GpuError::Refused(Box::new(refusal))),
        },
        GpuVendor::Amd => other_cdi_document(&facts, UngatedVendor::Amd).map_err(not_chosen),
        GpuVendor::Intel => other_cdi_document(&facts, UngatedVendor::Intel).map_err(not_chosen),
    };
    Ok(document.map_err(RunError::from)?)
}

fn not_chosen(error: ChooseError) -> GpuError {
    PlanError::from(error).into()
}
