//! `[gpu]`.

use crate::base::DottedVersion;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::place::Place;
use crate::manifest::schema::{Gpu, GpuVendor};
use crate::manifest::table::Value;

/// The virtual package that tells which CUDA a machine has (CEP 30).
const CUDA: &str = "__cuda";

/// The oldest CUDA whose drivers are known.
const OLDEST: u32 = 8;

/// Reads the table.
pub(super) fn gpu(value: Value<'_>) -> Result<Gpu, ManifestError> {
    let table = value.table(&keys::GPU)?;
    let vendor = table.map("vendor", |value| value.word(&["nvidia", "amd", "intel"]))?;
    let vendor = vendor.unwrap_or_default();
    if let Some(value) = table.get("cuda")
        && vendor != GpuVendor::Nvidia
    {
        let named = table.get("vendor").and_then(|vendor| vendor.str().ok());
        let vendor = named.unwrap_or_default().to_owned();
        return Err(value.error(Problem::CudaElsewhere { vendor }));
    }
    let driver = table.map("driver", |value| value.word(&["exact", "branch", "none"]))?;
    let device = table.map("device", |value| value.word(&["record", "require"]))?;
    Ok(Gpu {
        vendor,
        cuda: table.map("cuda", cuda)?,
        driver: driver.unwrap_or_default(),
        device: device.unwrap_or_default(),
    })
}

/// Reads `13` or `12.4`: a driver tells of no third number.
fn cuda(value: Value<'_>) -> Result<DottedVersion, ManifestError> {
    const EXPECTED: &str = "a CUDA version like `13` or `12.4`";
    const REMEDY: &str = "CUDA 8.0 is the oldest whose drivers are known";
    let text = value.str_of(EXPECTED)?;
    let version: Option<DottedVersion> = text.parse().ok();
    let version = version.filter(|version| version.numbers().len() <= 2);
    match version.ok_or_else(|| value.invalid(text, EXPECTED))? {
        version if version.major() >= OLDEST => Ok(version),
        _ => Err(value.invalid_with(text, EXPECTED, REMEDY)),
    }
}

/// Checks that the machines that `[conda]` declares have the CUDA that `[gpu]` needs. Both tables
/// were read before.
pub(super) fn check_cuda(
    gpu_table: Value<'_>,
    conda_table: Value<'_>,
) -> Result<(), ManifestError> {
    let needed = gpu_table.table(&keys::GPU)?.get("cuda");
    let packages = conda_table.table(&keys::CONDA)?.get("virtual-packages");
    let declared = packages.map(Value::free_table).transpose()?;
    let mut declared = declared.into_iter().flatten();
    let (Some(needed), Some((_, declared))) = (needed, declared.find(|(name, _)| *name == CUDA))
    else {
        return Ok(());
    };
    let (cuda, machine) = (cuda(needed)?, declared.str()?);
    // What is no plain version is no version of a driver's CUDA, but conda's solver can compare it.
    let is_enough = |machine: DottedVersion| machine.is_at_least(&cuda);
    match machine.parse().map_or(true, is_enough) {
        true => Ok(()),
        false => Err(declared.error(Problem::TwoCudas {
            declared: machine.to_owned(),
            needed: cuda.to_string(),
            line: Place::of(needed.source.text, needed.span()).line,
        })),
    }
}
