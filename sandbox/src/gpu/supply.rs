//! What of the host a step gets beside the nodes, as far as it takes looking: the names of
//! libraries, the driver's program, its files in `/proc`, the devices in `/sys`.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::elf;
use super::facts::Nvidia;
use super::fs::HostFs;
use super::nodes::Numbers;
use super::pci::numbers;
use super::version::DriverVersion;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Supply {
    /// The driver's user libraries.
    pub(super) libraries: Vec<SuppliedLibrary>,
    /// `nvidia-smi`, of the driver's version.
    pub(super) smi: Option<PathBuf>,
    /// `nvidia-smi` of another version, in the place where it should be.
    pub(super) other_smi: Option<PathBuf>,
    /// The socket of the daemon that keeps GPUs started.
    pub(super) persistenced: Option<PathBuf>,
    /// The module's parameters.
    pub(super) params: Option<String>,
    /// Where the GPUs are for which the driver has a directory in `/proc`.
    pub(super) addresses: Vec<String>,
    /// Single files of `/sys` that tell of the modules.
    pub(super) module_files: Vec<PathBuf>,
    /// Whether the kernel tells which memory belongs to which processor.
    pub(super) numa: bool,
}

/// A library of the driver's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuppliedLibrary {
    pub(super) file: PathBuf,
    /// What it calls itself.
    pub(super) soname: Option<String>,
}

/// The driver's files in `/proc`.
pub(super) const PARAMS: &str = "/proc/driver/nvidia/params";
pub(super) const GPUS: &str = "/proc/driver/nvidia/gpus";
pub(super) const NUMA: &str = "/sys/devices/system/node";
/// What AMD's user space reads of all that `/dev/kfd` computes on.
pub(super) const KFD_TOPOLOGY: &str = "/sys/devices/virtual/kfd/kfd/topology";
const PCI: &str = "/sys/bus/pci/devices";
const SMI: &str = "nvidia-smi";

/// What programs read to learn of the modules: their version, and that they are started.
const MODULE_FILES: [&str; 4] = [
    "/sys/module/nvidia/version",
    "/sys/module/nvidia/initstate",
    "/sys/module/nvidia_uvm/version",
    "/sys/module/nvidia_uvm/initstate",
];

impl Supply {
    pub(super) fn find(fs: &HostFs, nvidia: &Nvidia, driver: &DriverVersion) -> Supply {
        let directories = directories(nvidia);
        let (smi, other_smi) = smi(fs, &directories, driver);
        let module_files = MODULE_FILES.iter().map(PathBuf::from);
        let sockets = ["/run", "/var/run"].map(|run| format!("{run}/nvidia-persistenced/socket"));
        Supply {
            libraries: libraries(fs, &nvidia.libraries.files),
            smi,
            other_smi,
            persistenced: sockets.iter().map(PathBuf::from).find(|it| fs.exists(it)),
            params: fs.text(PARAMS),
            addresses: fs.list(GPUS).unwrap_or_default(),
            module_files: module_files.filter(|it| fs.exists(it)).collect(),
            numa: fs.exists(NUMA),
        }
    }
}

/// Reads the names that libraries give themselves.
pub(super) fn libraries(fs: &HostFs, files: &[PathBuf]) -> Vec<SuppliedLibrary> {
    let library = |file: &PathBuf| SuppliedLibrary {
        soname: soname(fs, file),
        file: file.clone(),
    };
    files.iter().map(library).collect()
}

/// A GPU's directory in `/sys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SystemDevice {
    pub(super) address: String,
    /// Where it really is.
    pub(super) directory: PathBuf,
    /// What of it is passed on.
    pub(super) attributes: Vec<PathBuf>,
    /// The directories of its nodes in `/dev/dri` and `/dev/accel`, with their numbers.
    pub(super) nodes: Vec<(Numbers, PathBuf)>,
}

/// What tells of a device. Not `resource0` and the like: who is root on the host could map the
/// memory of the device through these, of other users of it too.
const ATTRIBUTES: [&str; 18] = [
    "class",
    "config",
    "current_link_speed",
    "current_link_width",
    "device",
    "irq",
    "local_cpulist",
    "local_cpus",
    "max_link_speed",
    "max_link_width",
    "modalias",
    "numa_node",
    "resource",
    "revision",
    "subsystem_device",
    "subsystem_vendor",
    "uevent",
    "vendor",
];

impl SystemDevice {
    /// Finds the device at an address.
    pub(super) fn find(fs: &HostFs, address: &str) -> Option<SystemDevice> {
        let directory = fs.resolve(&Path::new(PCI).join(address)).ok()?;
        if !directory.starts_with("/sys/devices") {
            return None;
        }
        let attributes = ATTRIBUTES.iter().map(|name| directory.join(name));
        let folders = ["drm", "accel"].map(|name| directory.join(name));
        let nodes = folders.iter().flat_map(|folder| {
            let names = fs.list(folder).unwrap_or_default();
            names.into_iter().map(|name| folder.join(name))
        });
        let nodes = nodes
            .filter_map(|node| Some((numbers(&fs.text(node.join("dev"))?)?, node)))
            .collect();
        Some(SystemDevice {
            address: address.to_owned(),
            attributes: attributes.filter(|it| fs.exists(it)).collect(),
            nodes,
            directory,
        })
    }
}

fn soname(fs: &HostFs, file: &Path) -> Option<String> {
    // A FIFO in the place of a file would make a plain open wait.
    let file = fs.open(file, OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    elf::soname(&|at, buffer| file.read_at(buffer, at))
}

/// Lists the directories that the libraries lie in.
fn directories(nvidia: &Nvidia) -> Vec<PathBuf> {
    let files = nvidia.libraries.files.iter();
    let mut directories: Vec<_> = files
        .filter_map(|it| Some(it.parent()?.to_owned()))
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

/// Finds `nvidia-smi` in the layouts that have such directories of libraries. It refuses to run
/// with an NVML of another version, so its own has to stand in it.
fn smi(
    fs: &HostFs,
    libraries: &[PathBuf],
    driver: &DriverVersion,
) -> (Option<PathBuf>, Option<PathBuf>) {
    let mut other = None;
    for path in libraries.iter().flat_map(|it| programs_beside(it)) {
        let path = path.join(SMI);
        let Ok(program) = fs.resolve(&path) else {
            continue;
        };
        match fs.read(&program) {
            Ok(bytes) if has_version(&bytes, driver.as_str()) => return (Some(program), None),
            Ok(_) => other = other.or(Some(path)),
            Err(_) => {}
        }
    }
    (None, other)
}

/// Lists the directories of programs that go with one of libraries.
fn programs_beside(libraries: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // Debian's alternatives: programs lie in `/usr/lib/nvidia/current`.
    let text = libraries.to_string_lossy();
    if let Some((lib, rest)) = text.split_once("/x86_64-linux-gnu/nvidia/") {
        found.push(PathBuf::from(format!("{lib}/nvidia/{rest}")));
    }
    if libraries.starts_with("/run/opengl-driver") || libraries.starts_with("/nix") {
        found.push(PathBuf::from("/run/current-system/sw/bin"));
    }
    let is_library = |path: &&Path| {
        let name = path.file_name().unwrap_or_default();
        name == "lib" || name == "lib64"
    };
    let tops = libraries.ancestors().filter(is_library);
    for top in tops.filter_map(Path::parent) {
        found.extend(["bin", "sbin"].map(|name| top.join(name)));
        if top == Path::new("/") {
            found.push(PathBuf::from("/usr/bin"));
        }
    }
    found
}

/// Returns whether a version stands somewhere, not as a part of a longer one.
pub(super) fn has_version(bytes: &[u8], version: &str) -> bool {
    let version = version.as_bytes();
    if version.is_empty() {
        return false;
    }
    let is_part = |byte: Option<&u8>| byte.is_some_and(|it| it.is_ascii_digit() || *it == b'.');
    let found = bytes.windows(version.len()).enumerate();
    { found }
        .filter(|(_, window)| *window == version)
        .any(|(at, _)| {
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            !is_part(before) && !is_part(bytes.get(at + version.len()))
        })
}
