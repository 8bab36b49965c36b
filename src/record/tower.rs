//! What a run stood on: six blocks, from what its author wrote down to where chance enters.
//!
//! A block has two parts: what the step could see, whose digest is the block's, and what it could
//! not see and is noted for people. So two runs on two kernels have the same block when the step
//! could not tell them apart.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::EntryType;
use crate::snapshot::LeftOut;

/// How firm a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmness {
    /// Another run of the same record has the same.
    Held,
    /// It is known what it was; another run may have something else.
    Recorded,
    /// A part of it is not known, or could change during the run.
    NotHeld,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block<S, N> {
    /// How firm it is.
    pub state: Firmness,
    /// Why it is not held, one phrase each.
    pub because: Vec<String>,
    /// The digest of `seen`.
    pub digest: Digest,
    /// What the step could see.
    pub seen: S,
    /// What it could not see.
    pub noted: N,
}

impl<S: Serialize, N> Block<S, N> {
    /// Returns a block that is held unless a `state` or a reason says otherwise.
    pub fn new(seen: S, noted: N, state: Firmness, because: Vec<String>) -> Self {
        let text = serde_json::to_vec(&seen).expect("all keys are text");
        Self {
            state,
            because,
            digest: Digest::of(&text),
            seen,
            noted,
        }
    }
}

/// All six, in the order of [`BlockName::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tower {
    /// The project's files.
    pub code: Block<CodeSeen, CodeNoted>,
    /// The command line and what else the caller chose.
    pub parameters: Block<ParametersSeen, ParametersNoted>,
    /// The environment.
    pub libraries: Block<LibrariesSeen, LibrariesNoted>,
    /// The machine.
    pub compute: Block<ComputeSeen, ComputeNoted>,
    /// What is read besides.
    pub data: Block<DataSeen, DataNoted>,
    /// Where chance enters.
    pub entropy: Block<EntropySeen, EntropyNoted>,
}

/// Names a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockName {
    /// [`Tower::code`].
    Code,
    /// [`Tower::parameters`].
    Parameters,
    /// [`Tower::libraries`].
    Libraries,
    /// [`Tower::compute`].
    Compute,
    /// [`Tower::data`].
    Data,
    /// [`Tower::entropy`].
    Entropy,
}

impl BlockName {
    /// All of them, the highest first: each stands on those after it.
    pub const ALL: [Self; 6] = [
        Self::Code,
        Self::Parameters,
        Self::Libraries,
        Self::Compute,
        Self::Data,
        Self::Entropy,
    ];

    /// Returns the name, as in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Parameters => "parameters",
            Self::Libraries => "libraries",
            Self::Compute => "compute",
            Self::Data => "data",
            Self::Entropy => "entropy",
        }
    }
}

/// The project's files as the step saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSeen {
    /// The digest of their list.
    pub tree: Digest,
}

/// What is known of the project's files besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeNoted {
    /// How many files there are.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The commit of Git's that is checked out.
    pub commit: Option<String>,
    /// Whether files differ from that commit.
    pub dirty: Option<bool>,
    /// The blob with the difference from that commit, as `git diff` writes it.
    pub diff: Option<Digest>,
    /// Whether the list and the files are kept in the store, all but those in `left_out`.
    pub kept: bool,
    /// Files whose digest is in the list and whose content is not kept.
    pub left_out: Vec<LeftOut>,
    /// Files that were changed on the host while the step ran.
    pub changed: Vec<String>,
}

/// What the caller chose, and the step could see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParametersSeen {
    /// The command and its arguments. Bytes that are no UTF-8 are replaced.
    pub argv: Vec<String>,
    /// What the command saw as its own name, if not `argv[0]`.
    pub argv0: Option<String>,
    /// The directory it began in.
    pub directory: PathBuf,
    /// The variables that manifest and caller set, with their values.
    pub env: BTreeMap<String, String>,
    /// The variables whose values were the caller's own, with the first digits of their digests:
    /// enough to see that one changed, too few to tell what it was.
    pub passed: BTreeMap<String, String>,
    /// Files that arguments name and that hold parameters, and `params.*` of the project.
    pub files: BTreeMap<String, Digest>,
}

/// How the caller chose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParametersNoted {
    /// The manifest's file in the project: that of the project, or the script whose header is one.
    pub manifest: Option<String>,
    /// Groups of the manifest.
    pub groups: Vec<String>,
    /// `--env NAME=VALUE`.
    pub env: BTreeMap<String, String>,
    /// `--env NAME`.
    pub pass: Vec<String>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--clock`.
    pub clock: Option<String>,
    /// `--cpus`.
    pub cpus: Option<u32>,
    /// `--gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Whether `--driver` allowed another driver than the pinned one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_driver: bool,
    /// `--network`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The blob with the manifest, where that was not in the project (`--manifest`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_blob: Option<Digest>,
}

/// The environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibrariesSeen {
    /// The digest of the lockfile, with what was chosen of it.
    pub lock: Digest,
    /// The digest of all that the root file system is made from.
    pub rootfs: String,
}

/// What is known of the environment besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibrariesNoted {
    /// The blob with the lockfile.
    pub lockfile: Option<Digest>,
    /// What was set in libraries and read back, as `library name = found`, by how it ended.
    pub pins: BTreeMap<String, Vec<String>>,
}

/// What of the machine the step could see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeSeen {
    /// How many processors.
    pub cpus: u32,
    /// The instructions that libraries could choose their code by.
    pub baseline: String,
    /// The processor's model, where the instruction CPUID told of it.
    pub cpu: Option<String>,
    /// The GPUs, if it was given any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSeen>,
}

/// What of GPUs the step could see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuSeen {
    /// Whose they are: `nvidia`, `amd` or `intel`.
    pub vendor: String,
    /// The version of the driver, if it has one that is held.
    pub driver: Option<String>,
    /// The GPUs, in the order in which they were chosen.
    pub cards: Vec<GpuCard>,
}

impl fmt::Display for GpuSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.cards.iter().map(|card| match &card.name {
            Some(name) => name.clone(),
            None => format!("a GPU of {}'s", self.vendor),
        });
        let names: Vec<String> = names.collect();
        f.write_str(&names.join(", "))?;
        match &self.driver {
            Some(driver) => write!(f, ", driver {driver}"),
            None => f.write_str(", any driver"),
        }
    }
}

/// A GPU, or an instance of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuCard {
    /// Its name, as the driver tells it.
    pub name: Option<String>,
    /// Its compute capability, like `9.0`.
    pub compute_capability: Option<String>,
    /// How many multiprocessors it has: random numbers and sums depend on it.
    pub multiprocessors: Option<u32>,
    /// Its memory in bytes.
    pub memory: Option<u64>,
    /// Whether it is an instance of a divided GPU.
    pub mig: bool,
}

/// What of the machine is known besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeNoted {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's model.
    pub cpu: Option<String>,
    /// The namespaces, by the kernel's names.
    pub namespaces: Vec<String>,
    /// What is known of the GPUs, if the step was given any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuNoted>,
}

/// What is known of GPUs besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuNoted {
    /// Who told the driver's version.
    pub source: Option<String>,
    /// What the driver told, by what it told it of.
    pub told: BTreeMap<String, String>,
    /// The files of the driver's that the step got, by the path inside.
    pub files: BTreeMap<String, Digest>,
    /// The libraries for GPUs that the step's processes had loaded, with their versions.
    pub loaded: BTreeMap<String, String>,
    /// What is remarkable about it.
    pub remarks: Vec<String>,
}

/// What is read besides the project's files and the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSeen {
    /// What the manifest declares, by the path in the project.
    pub inputs: BTreeMap<String, Digest>,
    /// What of the host was bound, by the guest path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binds: BTreeMap<String, BindSeen>,
}

/// A path of the host that a step saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindSeen {
    /// What it is.
    pub r#type: EntryType,
    /// Whether the step could write to it.
    pub writable: bool,
    /// The digest, when it is data that the manifest declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// What is known of reads besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataNoted {
    /// Files outside of the project and the environment that an audited step opened.
    pub opened: Option<Vec<String>>,
    /// The list of files in the project that earlier steps made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Digest>,
    /// Where on the host what was bound is, by the guest path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binds: BTreeMap<String, String>,
}

/// What chance depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntropySeen {
    /// The seed.
    pub seed: u64,
    /// How the clocks moved.
    pub clock: String,
    /// The time at which they started.
    pub epoch: Timestamp,
    /// The host name.
    pub hostname: String,
    /// What of the network the step saw.
    pub network: String,
    /// What the step learned of files.
    pub file_status: String,
    /// How the step saw the project.
    pub project: String,
}

/// What was drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntropyNoted {
    /// What an audited step drew, source by source.
    pub consumed: Option<Vec<Consumed>>,
}

/// A source that a step drew from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// The source.
    pub source: String,
    /// Whether every run draws the same: `held`, `recorded` or `not-held`.
    pub held: String,
    /// How often it was drawn from.
    pub count: u64,
    /// By what: program, call and, for Python, the line.
    pub by: Vec<String>,
}
