//! What `envbox.toml` can say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::base::{
    CondaName, DebianName, Digest, DottedVersion, EnvironmentName, GroupName, ImageReference,
    Platform, PythonName, RegistryName,
};

/// A well-formed manifest: names normalized, requirements read in, nothing resolved.
///
/// Made by [`Manifest::parse`](crate::manifest::Manifest::parse) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `[environment]`.
    pub environment: Environment,
    /// `[base]`; none builds the base of Debian packages.
    pub base: Option<BaseImage>,
    /// `[python]`.
    pub python: Python,
    /// `[conda]`, if the environment has one.
    pub conda: Option<Conda>,
    /// `[debian]`.
    pub debian: Debian,
    /// `[groups.NAME]`: locked together with the rest, and chosen by name.
    pub groups: BTreeMap<GroupName, Group>,
    /// `[gpu]`, if the environment is for one.
    pub gpu: Option<Gpu>,
    /// `[sandbox]`.
    pub sandbox: SandboxPolicy,
    /// `[data]`, sorted by path; no entry lies in another.
    pub data: Vec<Datum>,
}

/// A file or directory that a step reads, by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datum {
    /// Where it is in the project.
    pub path: PathBuf,
    /// The digest of the file; of a directory, that of the list of its files, as `sha256sum` writes
    /// it: `find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`.
    pub sha256: Digest,
    /// The size of the file in bytes.
    pub size: Option<u64>,
    /// Where it is to be had, if it is not in the project.
    pub url: Option<String>,
}

/// `[environment]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `name`.
    pub name: EnvironmentName,
    /// `python`; none gives an environment without an interpreter.
    pub python: Option<Interpreter>,
    /// `platforms`, sorted and without repetition; by default `linux/amd64`.
    pub platforms: Vec<Platform>,
}

/// The Python asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// `3.11` or `3.11.9`: the first two numbers, and the third where one is asked for.
    pub version: PythonVersion,
    /// Where it comes from; none lets `resolve` choose.
    pub from: Option<InterpreterSource>,
}

/// A Python version as a manifest gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion {
    /// The 3 of 3.11.9.
    pub major: u8,
    /// The 11 of 3.11.9.
    pub minor: u8,
    /// The 9 of 3.11.9, if given.
    pub patch: Option<u8>,
}

impl std::fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// Who offers interpreters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum InterpreterSource {
    /// The Debian suite's own package.
    Debian,
    /// A python-build-standalone release.
    Standalone,
    /// A channel's package `python`, among the conda packages.
    Conda,
}

/// `[base]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// `image` without its host, in the registry of `registry`.
    pub reference: ImageReference,
    /// Where `image` says that the registry lies: its host, or the directory of an OCI layout.
    pub place: Option<String>,
}

/// `[python]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Python {
    /// `requirements` and all that `requirements-from` refers to, each a PEP 508 text in the
    /// spelling of the PEP's `str()`, in the order given.
    pub requirements: Vec<String>,
    /// `constraints`: PEP 508 texts.
    pub constraints: Vec<String>,
    /// `overrides`: PEP 508 texts.
    pub overrides: Vec<String>,
    /// `exclude-newer`: files uploaded later are not there.
    pub exclude_newer: Option<Timestamp>,
    /// `prerelease`.
    pub prerelease: Prerelease,
    /// `index-url`: where the default registry (`pypi`) lies for this project.
    pub index_url: Option<String>,
    /// `extra-index-urls`: further registries, in order of preference.
    pub extra_indexes: Vec<NamedUrl>,
    /// `find-links`: directories or pages that list files.
    pub find_links: Vec<NamedUrl>,
    /// `no-build`: true takes wheels only.
    pub no_build: bool,
}

/// A registry that the manifest adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUrl {
    /// Its name in the lock; `extra-1`, `find-links-1`, … when the manifest gives none.
    pub name: RegistryName,
    /// Where it lies.
    pub url: String,
}

/// Whether pre-releases are candidates (uv's policies of the same names).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prerelease {
    /// Never.
    Disallow,
    /// Always.
    Allow,
    /// When a package has nothing else.
    IfNecessary,
    /// When a requirement names one.
    Explicit,
    /// When a package has nothing else, or a requirement names one.
    #[default]
    IfNecessaryOrExplicit,
}

/// `[conda]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conda {
    /// `channels`, the most wanted first.
    pub channels: Vec<CondaChannel>,
    /// `channel-priority`.
    pub channel_priority: ChannelPriority,
    /// `dependencies`: MatchSpecs (CEP 29) in the order given.
    pub dependencies: Vec<String>,
    /// `constraints`: MatchSpecs that hold for what is there for other reasons.
    pub constraints: Vec<String>,
    /// `exclude-newer`: packages uploaded later are not there; by default that of `[python]`.
    pub exclude_newer: Option<Timestamp>,
    /// `virtual-packages`: name and version; for `__archspec` the microarchitecture.
    pub virtual_packages: BTreeMap<CondaName, String>,
    /// `python-names`: the distributions that a package brings, where it does not say or says
    /// wrongly.
    pub python_names: BTreeMap<CondaName, Vec<PythonName>>,
    /// `link-scripts`: the packages whose scripts may run when they are installed.
    pub link_scripts: Vec<CondaName>,
    /// `base`.
    pub base: CondaBase,
}

/// A channel as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondaChannel {
    /// Its name in the lock.
    pub name: RegistryName,
    /// Where it lies, when the manifest says so.
    pub url: Option<String>,
}

/// What it means that a package is in several channels (conda's setting of the same name).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelPriority {
    /// It is taken only from the first channel that has its name.
    #[default]
    Strict,
    /// It is taken from the first channel where it fits.
    Flexible,
    /// The version alone decides.
    Disabled,
}

/// What conda packages stand on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CondaBase {
    /// The base of every environment: a shell, its commands, certificates.
    #[default]
    Debian,
    /// The C library alone.
    Glibc,
}

/// `[debian]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Debian {
    /// `suite`; none lets `resolve` choose by the Python version.
    pub suite: Option<String>,
    /// `snapshot`: the archive as of this time, `YYYYMMDDTHHMMSSZ`.
    pub snapshot: Option<String>,
    /// `packages` beyond the base.
    pub packages: Vec<DebianName>,
    /// `security`: whether the suite's security updates are taken; by default they are.
    pub security: Option<bool>,
    /// `mirror`: where the default registry (`debian`) lies for this project.
    pub mirror: Option<String>,
    /// `security-mirror`: where the registry `debian-security` lies for this project.
    pub security_mirror: Option<String>,
}

/// `[groups.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// `requirements` and all that `requirements-from` refers to: PEP 508 texts.
    pub requirements: Vec<String>,
    /// `conda`: MatchSpecs.
    pub conda: Vec<String>,
    /// `debian`: packages beyond the base.
    pub debian: Vec<DebianName>,
}

/// `[gpu]`, with defaults filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu {
    /// `vendor`.
    pub vendor: GpuVendor,
    /// `cuda`: the CUDA that the environment needs, whether or not a package tells. One number: any
    /// driver that runs programs of this CUDA; two: one that has all of it.
    pub cuda: Option<DottedVersion>,
    /// `driver`.
    pub driver: DriverPin,
    /// `device`.
    pub device: DevicePin,
}

/// Who makes the GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuVendor {
    /// NVIDIA.
    #[default]
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

impl GpuVendor {
    /// Returns the name, as manifests and locks have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }
}

/// How `envbox lock --gpu` pins the driver of its host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverPin {
    /// The whole version: only that holds the compiler in the driver, and with it the bits.
    #[default]
    Exact,
    /// The first number, which NVIDIA calls the branch.
    Branch,
    /// Not at all.
    None,
}

/// What `envbox lock --gpu` makes of the GPU of its host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DevicePin {
    /// It is written down.
    #[default]
    Record,
    /// Steps run on its like only.
    Require,
}

/// `[sandbox]`, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPolicy {
    /// `hostname`.
    pub hostname: String,
    /// `epoch`: the time at which a step begins, and that `SOURCE_DATE_EPOCH` gets.
    pub epoch: Timestamp,
    /// `clock`.
    pub clock: StepClock,
    /// `seed`.
    pub seed: u64,
    /// `cpus`: how many a step sees and uses.
    pub cpus: u32,
    /// `cpu-baseline`: the instructions that libraries may choose their code by.
    pub cpu_baseline: CpuBaseline,
    /// `framework-knobs`.
    pub framework_knobs: FrameworkKnobs,
    /// `cpuid`: what the instruction of that name tells of.
    pub cpuid: StepCpuid,
    /// `file-status`.
    pub file_status: StepFileStatus,
    /// `output-times`.
    pub output_times: OutputTimes,
    /// `network`.
    pub network: StepNetwork,
    /// `outputs`: paths below the project that the step is expected to write.
    pub outputs: Vec<PathBuf>,
    /// `env`: variables and their values.
    pub env: BTreeMap<String, String>,
    /// `pass-env`: names of variables taken from the caller.
    pub pass_env: Vec<String>,
}

/// Which libraries are told to repeat themselves when a step imports them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FrameworkKnobs {
    /// All that are known.
    #[default]
    All,
    /// These.
    Only(Vec<Framework>),
}

/// A library that is told to repeat itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// OpenCV.
    Cv2,
    /// JAX.
    Jax,
    /// The fonts of matplotlib.
    Matplotlib,
    /// The managers of Python's `multiprocessing`.
    Multiprocessing,
    /// Apache Arrow.
    Pyarrow,
    /// TensorFlow.
    Tensorflow,
    /// Python's `timeit`, and PyTorch's benchmarks.
    Timeit,
    /// PyTorch.
    Torch,
    /// Progress bars.
    Tqdm,
}

impl Framework {
    /// Returns the name of its module.
    pub fn module(self) -> &'static str {
        match self {
            Self::Cv2 => "cv2",
            Self::Jax => "jax",
            Self::Matplotlib => "matplotlib",
            Self::Multiprocessing => "multiprocessing",
            Self::Pyarrow => "pyarrow",
            Self::Tensorflow => "tensorflow",
            Self::Timeit => "timeit",
            Self::Torch => "torch",
            Self::Tqdm => "tqdm",
        }
    }
}

/// How the clocks of a step move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepClock {
    /// The wall clock stands, but for what the step sleeps.
    Frozen,
    /// All clocks move by what the step sleeps, and by a microsecond or some for each look.
    #[default]
    Logical,
    /// The wall clock starts at the epoch and moves.
    Ticking,
    /// As the host's.
    Real,
}

/// A level of the x86-64 psABI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CpuBaseline {
    /// SSE4.2.
    #[serde(rename = "x86-64-v2")]
    V2,
    /// AVX2.
    #[default]
    #[serde(rename = "x86-64-v3")]
    V3,
    /// AVX-512.
    #[serde(rename = "x86-64-v4")]
    V4,
}

impl CpuBaseline {
    /// Returns the name that the psABI gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        }
    }

    /// Returns the name that archspec gives it, and conda's `__archspec` with it.
    pub fn archspec(self) -> &'static str {
        match self {
            Self::V2 => "x86_64_v2",
            Self::V3 => "x86_64_v3",
            Self::V4 => "x86_64_v4",
        }
    }
}

/// What the instruction CPUID tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepCpuid {
    /// A processor that stands for the baseline, where the host's can be made to.
    #[default]
    Masked,
    /// The host's processor.
    Host,
}

/// What a step learns of a file beside its content, type, mode and owner.
///
/// `fixed` is not the default: a look at a file then costs 8 to 12 microseconds where the kernel takes
/// one, and the imports of scikit-learn and pandas look 8,800 times. In 14 pairs of trainings in turn
/// the median took 7 % longer (1.41 s for 1.31 s), where 3 % would be borne. And then all that was there
/// before the step is equally old, so that `make` does not see what was changed since its last run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepFileStatus {
    /// Times, inode numbers, devices and free space are the host's.
    Host,
    /// Times are those of the step's clock: what it makes has the time at which it first looks at it, and
    /// what was there before is older by a multiple of sixteen years. The rest is the host's.
    #[default]
    Times,
    /// They are the same on every host.
    Fixed,
}

/// The times that outputs have on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputTimes {
    /// When they were written, or what the step set: so that `make` on the host sees what is new.
    #[default]
    Real,
    /// The epoch: so that archives of outputs are equal.
    Epoch,
}

/// What network a step sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepNetwork {
    /// Nothing outside the sandbox.
    #[default]
    None,
    /// The sandbox's own loopback device.
    Loopback,
    /// The host's network.
    Host,
}
