//! Errors of CUDA's driver interface that keep it from starting: their names and what to do.
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html>

use std::fmt;

use serde::Serialize;

/// An error number of CUDA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CudaError(pub i32);

/// Number, name, and what to do.
const KNOWN: [(i32, &str, &str); 14] = [
    (
        1,
        "INVALID_VALUE",
        "report this: envbox asked the driver wrongly",
    ),
    (
        2,
        "OUT_OF_MEMORY",
        "end what fills the GPU's memory: `nvidia-smi` lists it",
    ),
    (
        3,
        "NOT_INITIALIZED",
        "look for `NVRM` in the kernel's log: the driver did not start",
    ),
    (
        34,
        "STUB_LIBRARY",
        "remove the stub `libcuda.so.1` of a CUDA toolkit from `LD_LIBRARY_PATH` of the environment",
    ),
    (
        46,
        "DEVICE_UNAVAILABLE",
        "wait for the process that has the GPU for itself alone, or switch its compute mode with \
         `nvidia-smi -c 0` as root",
    ),
    (
        100,
        "NO_DEVICE",
        "check that `nvidia-smi` lists the GPU on the host, and that `CUDA_VISIBLE_DEVICES` names it",
    ),
    (
        101,
        "INVALID_DEVICE",
        "check that `CUDA_VISIBLE_DEVICES` names a GPU that was chosen",
    ),
    (
        304,
        "OPERATING_SYSTEM",
        "check that the nodes of the driver open: `envbox gpu` lists them",
    ),
    (
        800,
        "NOT_PERMITTED",
        "grant this user access to the GPU: for a MIG instance, to its nodes in `/dev/nvidia-caps`",
    ),
    (
        801,
        "NOT_SUPPORTED",
        "use a GPU and a driver that have what is asked for",
    ),
    (
        802,
        "SYSTEM_NOT_READY",
        "start the fabric manager of the driver's own version on the host: \
         `systemctl start nvidia-fabricmanager`",
    ),
    (
        803,
        "SYSTEM_DRIVER_MISMATCH",
        "reboot, or load the kernel module of the version of the libraries; if the environment \
         brings a `libcuda` of its own (`cuda-compat`), remove it",
    ),
    (
        804,
        "COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "remove `cuda-compat` from the environment: this GPU works with the driver's own `libcuda` \
         alone",
    ),
    (
        999,
        "UNKNOWN",
        "load the module `nvidia_uvm` anew (`rmmod nvidia_uvm`, `nvidia-modprobe -u -c 0`), as after \
         the host slept; look for `NVRM` and `Xid` in the kernel's log",
    ),
];

impl CudaError {
    fn known(self) -> Option<(&'static str, &'static str)> {
        let mut known = KNOWN.iter();
        let (_, name, remedy) = known.find(|(number, ..)| *number == self.0)?;
        Some((name, remedy))
    }

    /// Returns its name without `CUDA_ERROR_`, if it is one that is known to keep CUDA from
    /// starting.
    pub fn name(self) -> Option<&'static str> {
        self.known().map(|(name, _)| name)
    }

    /// Returns what to do about it.
    pub fn remedy(self) -> &'static str {
        let unknown = "look for `NVRM` in the kernel's log, and the number up in CUDA's manual";
        self.known().map_or(unknown, |(_, remedy)| remedy)
    }
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} (CUDA_ERROR_{name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
