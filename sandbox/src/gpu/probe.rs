//! Trying the driver inside a sandbox before the step does: what works there works for the step,
//! and what does not is told before hours are spent without the GPU.
//!
//! Comes in: the policy and the environment of the step. Goes out: what the driver tells of the
//! GPUs, or why it does not start. The program is `inside/probe`; it lies in the sandbox's own
//! `/run` and nowhere on the host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::Serialize;

use super::cuda_error::CudaError;
use crate::host::HostFacts;
use crate::sandbox::{Exit, NewFile, Policy, Sandbox, SandboxError, Signals, Step};

/// The probe, as `build.rs` compiled it.
pub(super) static PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envbox-gpu-probe"));

/// Where it lies in a sandbox.
const PLACE: &str = "/run/envbox/gpu/probe";

/// More than it says of a hundred GPUs.
const MOST: u64 = 256 << 10;

/// What the driver tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// The interface that `libcuda` has: `13000` is CUDA 13.0.
    pub cuda_version: Option<u32>,
    /// The driver's version, as NVML tells it.
    pub driver: Option<String>,
    /// The GPUs that the step sees, in the order in which CUDA counts them.
    pub devices: Vec<ProbedDevice>,
    /// What is not told, by its key, and why.
    pub untold: BTreeMap<String, Untold>,
}

/// What the driver tells of a GPU, or of the part that the step has of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProbedDevice {
    /// Its name.
    pub name: String,
    /// Its identity, without the `GPU-` or `MIG-` before it.
    pub uuid: Option<String>,
    /// Where it is on the bus.
    pub address: Option<String>,
    /// Its compute capability, such as 9 and 0.
    pub capability: Option<(u32, u32)>,
    /// How many multiprocessors it has: on what a step computes depends on that.
    pub multiprocessors: Option<u32>,
    /// Its memory in bytes.
    pub memory: Option<u64>,
    /// The version of its video BIOS.
    pub video_bios: Option<String>,
    /// Whether its memory corrects errors.
    pub ecc: Option<bool>,
    /// Whether it is divided.
    pub mig: Option<bool>,
    /// Who may use it at the same time: NVML's number.
    pub compute_mode: Option<u32>,
    /// Whether the driver stays started between its users.
    pub persistence: Option<bool>,
    /// The power that it may draw, in milliwatts.
    pub power_limit: Option<u32>,
    /// Clocks in megahertz, by name.
    pub clocks: BTreeMap<String, u32>,
}

/// Why something is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Untold {
    /// The driver has no such function.
    Missing,
    /// It answered with an error.
    Error {
        /// The number: CUDA's or NVML's, by the key.
        code: i32,
    },
}

/// Why the driver does not work in a sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The environment has no glibc, for which NVIDIA's libraries are made.
    #[error("the driver cannot be tried: the environment has no glibc ({reason})")]
    NoGlibc {
        /// What is missing.
        reason: String,
    },
    /// `libcuda` is not found, or does not load.
    #[error("`libcuda.so.1` does not load in the sandbox: {reason}")]
    NoLibrary {
        /// The loader's words.
        reason: String,
    },
    /// `libcuda` lacks something.
    #[error("`libcuda.so.1` has no function `{name}`")]
    NoFunction {
        /// Its name.
        name: String,
    },
    /// A call failed.
    #[error("`{call}` fails in the sandbox with {error}{}", nvml_words(*nvml))]
    Failed {
        /// The call.
        call: String,
        /// Its error.
        error: CudaError,
        /// The error of NVML, if that does not start either.
        nvml: Option<i32>,
    },
    /// There is no GPU.
    #[error("CUDA starts in the sandbox, but sees no GPU")]
    NoDevice,
    /// The probe ended in a way that nobody thought of.
    #[error("the driver's libraries end the process that tries them ({exit:?}): {output}")]
    Ended {
        /// How.
        exit: Exit,
        /// What it said last.
        output: String,
    },
    /// The sandbox could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// What the probe said could not be read.
    #[error("failed to read what the driver says")]
    Output {
        /// Why.
        source: io::Error,
    },
}

impl ProbeError {
    /// Returns what to do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            ProbeError::NoGlibc { .. } => {
                "use an environment with glibc, or run without the GPU".into()
            }
            ProbeError::NoLibrary { .. } => {
                "check that the environment's own `LD_LIBRARY_PATH` has no other libraries of the \
                 driver's, and its glibc is 2.17 or newer"
                    .into()
            }
            ProbeError::NoFunction { .. } => {
                "install the driver's libraries again: this one is no `libcuda`".into()
            }
            ProbeError::Failed {
                nvml: Some(MISMATCH),
                ..
            } => CudaError(803).remedy().into(),
            ProbeError::Failed { error, .. } => error.remedy().into(),
            ProbeError::NoDevice => CudaError(100).remedy().into(),
            ProbeError::Ended { .. } => {
                "look for `NVRM` and `Xid` in the kernel's log of this time".into()
            }
            ProbeError::Sandbox(error) => return error.hint().map(str::to_owned),
            ProbeError::Output { .. } => return None,
        })
    }
}

/// `NVML_ERROR_LIB_RM_VERSION_MISMATCH`.
const MISMATCH: i32 = 18;

/// Other errors with which NVML does not start.
/// <https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html>
const NVML_ERRORS: [(i32, &str); 6] = [
    (4, "NO_PERMISSION"),
    (9, "DRIVER_NOT_LOADED"),
    (12, "LIBRARY_NOT_FOUND"),
    (15, "GPU_IS_LOST"),
    (17, "OPERATING_SYSTEM"),
    (999, "UNKNOWN"),
];

fn nvml_words(error: Option<i32>) -> String {
    match error {
        None => String::new(),
        Some(MISMATCH) => {
            "; NVML says that kernel module and libraries are of different versions".to_owned()
        }
        Some(error) => match NVML_ERRORS.iter().find(|(number, _)| *number == error) {
            Some((_, name)) => format!("; NVML fails with {error} (NVML_ERROR_{name})"),
            None => format!("; NVML fails with {error}"),
        },
    }
}

/// Tries the driver in a sandbox like the step's.
///
/// `policy` is the step's, with its edits applied; its project is left out, for what lies there is
/// of no concern, and no second sandbox may start on an overlay. `environment` is the step's whole
/// environment.
///
/// # Errors
/// Returns why the driver does not work, or why that could not be tried.
pub fn try_inside(
    policy: &Policy,
    environment: &[(OsString, OsString)],
    facts: &HostFacts,
) -> Result<Probed, ProbeError> {
    let output = |source| ProbeError::Output { source };
    let mut policy = Policy {
        project: None,
        audit: false,
        ..policy.clone()
    };
    policy.files.push(NewFile {
        path: PathBuf::from(PLACE),
        mode: 0o555,
        content: PROBE.to_vec(),
    });
    // Files in memory: unlike pipes they are never full.
    let [mut said, mut complaints] = [memory().map_err(output)?, memory().map_err(output)?];
    let copy = |file: &File| file.try_clone().map(OwnedFd::from).map_err(output);
    let step = Step {
        argv: vec![PLACE.into()],
        env: environment.to_vec(),
        signals: Signals::Leave,
        stdin: Some(File::open("/dev/null").map_err(output)?.into()),
        stdout: Some(copy(&said)?),
        stderr: Some(copy(&complaints)?),
        ..Step::default()
    };
    let outcome = Sandbox::new(policy, facts)?.spawn(step)?.wait();
    let exit = match outcome {
        Ok(outcome) => outcome.exit,
        // The file is there, so it is its loader that is not.
        Err(SandboxError::CommandNotExecutable { errno, .. }) if errno == libc::ENOENT => {
            let reason = "there is no `/lib64/ld-linux-x86-64.so.2`".to_owned();
            return Err(ProbeError::NoGlibc { reason });
        }
        Err(error) => return Err(error.into()),
    };
    let said = text(&mut said).map_err(output)?;
    let complaints = text(&mut complaints).map_err(output)?;
    judge(exit, &said, &complaints)
}

fn memory() -> io::Result<File> {
    Ok(memfd_create("envbox-gpu-probe", MemfdFlags::CLOEXEC)?.into())
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads how the probe ended and what it said.
pub(super) fn judge(exit: Exit, said: &str, complaints: &str) -> Result<Probed, ProbeError> {
    /// What glibc's loader ends with when a library of the program itself is missing.
    const LOADER: u8 = 127;
    let failed = said.lines().find_map(|line| line.strip_prefix("failed "));
    let (call, rest) = failed.and_then(|it| it.split_once(' ')).unwrap_or_default();
    let error = rest.parse().ok().map(CudaError);
    match (exit, error) {
        (Exit::Code(0), _) => Ok(parse(said)),
        (Exit::Code(10), _) if call == "dlopen" => Err(ProbeError::NoLibrary {
            reason: rest.to_owned(),
        }),
        (Exit::Code(11), Some(_)) => Err(ProbeError::NoFunction {
            name: call.to_owned(),
        }),
        (Exit::Code(14), Some(_)) => Err(ProbeError::NoDevice),
        (Exit::Code(12 | 13 | 15), Some(error)) => Err(ProbeError::Failed {
            call: call.to_owned(),
            error,
            nvml: match parse(said).untold.get("nvml.init") {
                Some(Untold::Error { code }) => Some(*code),
                _ => None,
            },
        }),
        (Exit::Code(LOADER), None) => Err(ProbeError::NoGlibc {
            reason: last_line(complaints),
        }),
        _ => Err(ProbeError::Ended {
            exit,
            output: last_line(&format!("{said}\n{complaints}")),
        }),
    }
}

fn last_line(text: &str) -> String {
    let mut lines = text.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty());
    line.unwrap_or("it said nothing").to_owned()
}

/// Reads the lines. Those that are not known are passed over: the libraries print too.
pub(super) fn parse(said: &str) -> Probed {
    let mut probed = Probed::default();
    for line in said.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "missing" => {
                probed.untold.insert(value.to_owned(), Untold::Missing);
            }
            "error" => {
                let (key, code) = value.split_once(' ').unwrap_or_default();
                if let Ok(code) = code.parse() {
                    probed.untold.insert(key.to_owned(), Untold::Error { code });
                }
            }
            "cuda.version" => probed.cuda_version = value.parse().ok(),
            "nvml.driver" => probed.driver = Some(value.to_owned()),
            _ => {
                let mut parts = key.splitn(3, '.');
                let group = parts.next().unwrap_or_default();
                let index = parts.next().and_then(|it| it.parse::<usize>().ok());
                let known = ["cuda", "nvml"].contains(&group);
                // CUDA counts in order, so a device follows the one before.
                if let (true, Some(index), Some(name)) = (known, index, parts.next())
                    && index <= probed.devices.len()
                {
                    if index == probed.devices.len() {
                        probed.devices.push(ProbedDevice::default());
                    }
                    probed.devices[index].set(name, value);
                }
            }
        }
    }
    probed
}

impl ProbedDevice {
    fn set(&mut self, name: &str, value: &str) {
        let number = || value.parse::<u32>().ok();
        let flag = || number().map(|it| it != 0);
        let capability = self.capability.unwrap_or_default();
        match name {
            "name" => self.name = value.to_owned(),
            "uuid" => self.uuid = Some(value.to_owned()),
            "address" => self.address = Some(value.to_owned()),
            "capability-major" => self.capability = number().map(|it| (it, capability.1)),
            "capability-minor" => self.capability = number().map(|it| (capability.0, it)),
            "multiprocessors" => self.multiprocessors = number(),
            "memory" => self.memory = value.parse().ok(),
            "vbios" => self.video_bios = Some(value.to_owned()),
            "ecc" => self.ecc = flag(),
            "mig" => self.mig = flag(),
            "compute-mode" => self.compute_mode = number(),
            "persistence" => self.persistence = flag(),
            "power-limit" => self.power_limit = number(),
            _ => {
                let clock = name.strip_prefix("clock-").zip(number());
                self.clocks
                    .extend(clock.map(|(name, clock)| (name.to_owned(), clock)));
            }
        }
    }
}
