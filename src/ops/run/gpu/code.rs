//! For which GPUs the libraries of an environment have code. Locks do not tell: it is in the wheels
//! alone, so the installed files are asked, before the step finds out by `no kernel image is available`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use envbox_sandbox::gpu::{Capability, DeviceCode, ProbedDevice};

use crate::ops::run::gpu::GpuError;

/// Where environments have what was locked.
const ENVIRONMENT: &str = "opt/env";

/// The libraries that have code for GPUs, by their place in the environment.
pub(super) struct Libraries(Vec<(PathBuf, DeviceCode)>);

impl Libraries {
    /// Looks at all libraries of the environment in a root.
    pub(super) fn of(rootfs: &Path) -> Result<Self, GpuError> {
        let mut found = Vec::new();
        let top = rootfs.join(ENVIRONMENT);
        let mut open = match top.is_dir() {
            true => vec![top],
            false => Vec::new(),
        };
        while let Some(directory) = open.pop() {
            let failed = || FsError::at("read", &directory);
            for entry in fs::read_dir(&directory).map_err(failed())? {
                let entry = entry.map_err(failed())?;
                let kind = entry.file_type().map_err(failed())?;
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() && entry.file_name().to_string_lossy().contains(".so") {
                    let path = entry.path();
                    let file = File::open(&path).map_err(FsError::at("read", &path))?;
                    found.extend(DeviceCode::of(&file).map(|code| (path, code)));
                }
            }
        }
        for (path, _) in &mut found {
            *path = path.strip_prefix(rootfs).unwrap_or(path).to_owned();
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self(found))
    }

    /// Refuses a GPU for which none of them has code. Without any, what a step computes with is
    /// compiled on the way, or is not for GPUs.
    pub(super) fn check(&self, device: &ProbedDevice) -> Result<(), GpuError> {
        let Some(gpu) = capability(device) else {
            return Ok(());
        };
        if self.0.is_empty() || self.0.iter().any(|(_, code)| code.runs_on(gpu)) {
            return Ok(());
        }
        Err(GpuError::NoCode {
            name: device.name.clone(),
            capability: gpu,
            code: self.all(),
        })
    }

    /// Returns what all of them have together.
    pub(super) fn all(&self) -> DeviceCode {
        let mut all = DeviceCode::default();
        for (_, code) in &self.0 {
            all.native.extend(&code.native);
            all.ptx.extend(&code.ptx);
            all.more |= code.more;
        }
        all
    }

    /// Names those that have none for a GPU, in words.
    pub(super) fn without(&self, device: &ProbedDevice) -> Option<String> {
        let gpu = capability(device)?;
        let without = self.0.iter().filter(|(_, code)| !code.runs_on(gpu));
        let names: Vec<String> = without
            .map(|(path, _)| format!("`/{}`", path.display()))
            .collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("these have no code for compute capability {gpu}: {names}")
        })
    }
}

fn capability(device: &ProbedDevice) -> Option<Capability> {
    let (major, minor) = device.capability?;
    Some(Capability { major, minor })
}
