//! Locked packages → what they need of a driver.

use crate::base::{CondaName, Platform};
use crate::lock::gpu::cuda::{Cuda, Need};
use crate::lock::gpu::schema::{GpuReason, GpuRequirements, GpuSource};
use crate::lock::schema::Lockfile;
use crate::manifest::{Gpu, GpuVendor};

/// The virtual package that tells which CUDA a machine has (CEP 30).
const CUDA: &str = "__cuda";

/// Conda packages whose version is that of their CUDA.
const CONDA: [&str; 5] = [
    "cuda-cudart",
    "cuda-runtime",
    "cuda-version",
    "cudatoolkit",
    "pytorch-cuda",
];

/// Returns what `lock` needs of a driver. One with `[gpu]` says it; of another it is derived, from
/// the packages that it has: those of the groups that were chosen.
pub fn gpu_requirements(lock: &Lockfile) -> GpuRequirements {
    match &lock.gpu {
        Some(gpu) => gpu.requires.clone(),
        None => derived(lock),
    }
}

/// Derives it, whatever the lock says.
pub(super) fn derived(lock: &Lockfile) -> GpuRequirements {
    let asked = lock.request.gpu.as_ref();
    if asked.is_some_and(|gpu| gpu.vendor != GpuVendor::Nvidia) {
        return GpuRequirements::default();
    }
    let mut requirements = GpuRequirements::default();
    let cuda = asked.and_then(|gpu| gpu.cuda.as_ref());
    if let Some(version) = cuda.map(|cuda| cuda.as_str()) {
        let all = &lock.request.platforms;
        let declared = declared(version);
        requirements.add((GpuSource::Manifest, "cuda", version), all, declared);
    }
    for package in &lock.conda.virtual_packages {
        let (name, version) = (package.name.as_str(), package.version.as_str());
        // That of `[gpu]` was said already.
        if name == CUDA && cuda.is_none_or(|cuda| cuda.as_str() != version) {
            let key = (GpuSource::Conda, name, version);
            requirements.add(key, &package.platforms, declared(version));
        }
    }
    for package in &lock.conda.packages {
        let key = (GpuSource::Conda, package.name.as_str(), &*package.version);
        let told = told_by_package(&package.name, &package.version);
        requirements.add(key, &package.platforms, told.map(Cuda::need));
    }
    for wheel in &lock.python {
        let key = (GpuSource::Python, wheel.name.as_str(), &*wheel.version);
        let told = told_by_wheel(wheel.name.as_str(), &wheel.version);
        requirements.add(key, &wheel.platforms, told.map(Cuda::need));
    }
    requirements.sort();
    requirements
}

impl GpuRequirements {
    fn add(
        &mut self,
        (source, package, version): (GpuSource, &str, &str),
        platforms: &[Platform],
        need: Option<Need>,
    ) {
        let Some(need) = need else { return };
        let mut known = self.because.iter_mut();
        // A wheel of each platform is one package.
        if let Some(known) = known.find(|known| known.key() == (source, package, version)) {
            known.platforms.extend(platforms);
            return;
        }
        self.because.push(GpuReason {
            source,
            package: package.to_owned(),
            version: version.to_owned(),
            platforms: platforms.to_vec(),
            rule: need.rule,
            driver: need.driver,
            cuda_api: need.cuda_api,
        });
    }

    /// Drops what `lock` does not have any more.
    pub(in crate::lock) fn keep(&mut self, lock: &Lockfile) {
        self.because.retain_mut(|reason| {
            let platforms = reason.found(lock);
            reason
                .platforms
                .retain(|platform| platforms.contains(platform));
            !reason.platforms.is_empty()
        });
    }
}

impl GpuReason {
    /// Returns the platforms that `lock` has it for.
    fn found(&self, lock: &Lockfile) -> Vec<Platform> {
        let is = |name: &str, version: &str| name == self.package && version == self.version;
        let conda = &lock.conda;
        match self.source {
            GpuSource::Manifest => lock.request.platforms.clone(),
            GpuSource::Python => {
                let wheels = lock.python.iter();
                let wheels = wheels.filter(|wheel| is(wheel.name.as_str(), &wheel.version));
                wheels.flat_map(|wheel| wheel.platforms.clone()).collect()
            }
            GpuSource::Conda => {
                let packages = conda.packages.iter();
                let packages = packages.map(|it| (&it.name, &it.version, &it.platforms));
                let more = conda.virtual_packages.iter();
                let more = more.map(|it| (&it.name, &it.version, &it.platforms));
                let found = packages
                    .chain(more)
                    .filter(|(name, version, _)| is(name.as_str(), version));
                found
                    .flat_map(|(_, _, platforms)| platforms.clone())
                    .collect()
            }
        }
    }
}

/// Who declares `12` wants any driver that runs programs of CUDA 12, who declares `12.4` one that
/// has CUDA 12.4.
fn declared(version: &str) -> Option<Need> {
    let cuda = Cuda::of_version(version)?;
    Some(match cuda.minor {
        None => cuda.need(),
        Some(_) => cuda.toolkit(),
    })
}

fn told_by_package(name: &CondaName, version: &str) -> Option<Cuda> {
    let tells = CONDA.contains(&name.as_str());
    tells.then(|| Cuda::of_version(version)).flatten()
}

/// Returns the CUDA that a wheel is made for, where its name or version tells.
///
/// From CUDA 13 on the runtime has no number in its name: `nvidia-cuda-runtime-cu13` is a name
/// without content, as others of NVIDIA's are, all at version 0.0.1. The other libraries of
/// NVIDIA's come with the runtime, but for NCCL, which XGBoost has alone.
fn told_by_wheel(name: &str, version: &str) -> Option<Cuda> {
    if matches!(name, "nvidia-cuda-runtime" | "cuda-toolkit") {
        return Cuda::of_version(version);
    }
    if let Some((_, local)) = version.split_once('+')
        && let Some(cuda) = local.split('.').find_map(told_by_local)
    {
        return Some(cuda);
    }
    if version.starts_with("0.0.") {
        return None;
    }
    if let Some(digits) = name.strip_prefix("nvidia-cuda-runtime-cu") {
        let named = Cuda::of_digits(digits)?;
        return Cuda::of_version(version).filter(|cuda| cuda.major == named.major);
    }
    let plugin = name.strip_prefix("jax-cuda");
    let plugin = plugin.and_then(|rest| rest.split_once('-'));
    if let Some((digits, "plugin" | "pjrt")) = plugin {
        return Cuda::of_digits(digits);
    }
    if let Some(digits) = name.strip_prefix("cupy-cuda") {
        return Cuda::of_digits(digits);
    }
    let (stem, digits) = name.rsplit_once("-cu")?;
    let tells = stem == "nvidia-nccl" || !stem.starts_with("nvidia-");
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    Cuda::of_digits(digits).filter(|_| tells && is_number)
}

/// A part of a local version: `cu128`, `cuda12`, `cu12torch2`.
fn told_by_local(part: &str) -> Option<Cuda> {
    let digits = part
        .strip_prefix("cuda")
        .or_else(|| part.strip_prefix("cu"));
    Cuda::of_digits(digits?)
}

/// What is asked for where the manifest has no `[gpu]`.
pub(super) fn asked(lock: &Lockfile) -> Gpu {
    lock.request.gpu.clone().unwrap_or_default()
}
