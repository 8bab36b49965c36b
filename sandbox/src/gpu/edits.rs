//! Facts, a driver and chosen GPUs → what is put into the sandbox of a step. Pure.
//!
//! Everything of the driver's lies below [`PRIVATE`], so that it covers nothing of the
//! environment's and is found last: its directory comes at the end of `LD_LIBRARY_PATH`. Of the
//! host's libraries only those of the driver's own version are taken. What other packages of the
//! host have beside them (GLVND, libdrm, libstdc++) is made for the host's libc, and breaks an
//! environment with an older one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chosen::Chosen;
use super::facts::Nvidia;
use super::nodes::Node;
use super::pci::{OtherGpu, OtherVendor};
use super::supply::{GPUS, NUMA, PARAMS, SuppliedLibrary, Supply, SystemDevice};
use super::version::DriverVersion;
use crate::sandbox::{Bind, Cover, CoverContent, Device, Link, Policy};

/// Where everything of the driver's lies in a sandbox.
pub const PRIVATE: &str = "/run/envbox/gpu";
/// Where its libraries lie.
pub const LIBRARIES: &str = "/run/envbox/gpu/lib";
/// Where its programs lie.
pub const PROGRAMS: &str = "/run/envbox/gpu/bin";

/// Names that libraries of the driver's version must not have: GLVND, which very old drivers
/// brought along, and what no driver brings.
const NEVER: [&str; 9] = [
    "libEGL.so",
    "libGL.so",
    "libGLESv1_CM.so",
    "libGLESv2.so",
    "libGLX.so",
    "libGLdispatch.so",
    "libOpenGL.so",
    "libdrm.so",
    "libstdc++.so",
];

/// Links that programs open whatever a library calls itself.
const ALWAYS: [(&str, &str); 3] = [
    ("libcuda.so", "libcuda.so.1"),
    ("libcuda.so", "libcuda.so"),
    ("libnvidia-ml.so", "libnvidia-ml.so.1"),
];

/// Where what is compiled on the way is kept: in the step's own `/tmp`, so that no run finds what
/// another left. Each is one name, for not every program makes more than one directory.
const CACHES: [(&str, &str); 3] = [
    ("CUDA_CACHE_PATH", "/tmp/cuda-cache"),
    ("TORCHINDUCTOR_CACHE_DIR", "/tmp/inductor-cache"),
    ("TRITON_CACHE_DIR", "/tmp/triton-cache"),
];

/// What is put into a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Edits {
    /// Where they come from.
    pub origin: Origin,
    /// The GPUs, by the names that choose them: indices, or those of a CDI specification.
    pub chosen: Vec<String>,
    /// Nodes. Sources are host paths here and in `files`.
    pub devices: Vec<Device>,
    /// Files and directories; all but sockets are read-only.
    pub files: Vec<Bind>,
    /// Links.
    pub links: Vec<Link>,
    /// What is covered in `/proc`.
    pub covers: Vec<Cover>,
    /// Variables for the step's environment, but `LD_LIBRARY_PATH`.
    pub environment: BTreeMap<String, String>,
    /// Directories for the end of `LD_LIBRARY_PATH`.
    pub library_path: Vec<PathBuf>,
    /// What the user may want to know.
    pub remarks: Vec<EditRemark>,
}

/// Where edits come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Origin {
    /// What was found on the host.
    #[default]
    Host,
    /// A CDI specification.
    Cdi {
        /// The files that name the devices.
        files: Vec<PathBuf>,
    },
}

/// Something about edits that prevents nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "remark")]
#[non_exhaustive]
pub enum EditRemark {
    /// A specification was not used.
    CdiNotUsed {
        /// Why, in words.
        reason: String,
    },
    /// `nvidia-smi` of another version is not passed on.
    OtherSmi {
        /// Where it is.
        path: PathBuf,
    },
    /// A library has a name that no driver's should have.
    LeftOut {
        /// The file.
        file: PathBuf,
    },
    /// No version of the driver was held against anything.
    Ungated {
        /// Whose driver.
        vendor: &'static str,
        /// The versions of its modules, as far as they have any.
        versions: BTreeMap<String, String>,
    },
    /// What a specification mounts has no place in a sandbox.
    NoPlace {
        /// Its place in a container.
        path: PathBuf,
    },
    /// A variable of a specification is the environment's to set.
    VariableIgnored {
        /// Its name.
        name: String,
    },
}

/// What edits for NVIDIA's GPUs are made of.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) nvidia: &'a Nvidia,
    pub(super) driver: &'a DriverVersion,
    pub(super) chosen: &'a [Chosen],
    pub(super) supply: &'a Supply,
}

/// Says what a step gets of NVIDIA's.
pub(super) fn nvidia(found: Found<'_>) -> Edits {
    let supply = found.supply;
    let mut edits = Edits::of_nvidia(found, nodes(found.nvidia, found.chosen));
    if let Some(smi) = &supply.smi {
        edits.add_file(smi, &Path::new(PROGRAMS).join("nvidia-smi"), false);
    }
    if let Some(path) = supply.other_smi.clone() {
        edits.remarks.push(EditRemark::OtherSmi { path });
    }
    if let Some(socket) = &supply.persistenced {
        edits.add_file(socket, Path::new("/run/nvidia-persistenced/socket"), true);
    }
    edits
}

/// Lists the nodes: the driver's, those of the GPUs and of their instances, each once.
fn nodes<'a>(nvidia: &'a Nvidia, chosen: &'a [Chosen]) -> Vec<&'a Node> {
    let shared = [&nvidia.control, &nvidia.uvm, &nvidia.uvm_tools];
    let shared = shared.into_iter().filter(|node| node.is_present());
    let own = chosen.iter().flat_map(|it| {
        let instance = it.instance.iter().flat_map(|it| &it.nodes);
        [&it.node].into_iter().chain(instance)
    });
    let mut seen = BTreeSet::new();
    let all = shared.chain(own);
    all.filter(|node| seen.insert(&node.path)).collect()
}

fn environment() -> BTreeMap<String, String> {
    let fixed = [
        // The order of the bus is the same every time, that by speed is the driver's guess.
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        // Says to NVIDIA's container tools, should the step run one, that nothing is theirs to do.
        ("NVIDIA_VISIBLE_DEVICES", "void"),
        // Else it runs `/sbin/ldconfig`, which need not be there and does not know of the library.
        ("TRITON_LIBCUDA_PATH", LIBRARIES),
    ];
    let all = fixed.into_iter().chain(CACHES);
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Says what a step gets of AMD's or Intel's: nodes alone, for user space is the environment's.
pub(super) fn other(vendor: &'static str, found: &OtherVendor, chosen: &[&OtherGpu]) -> Edits {
    let own = chosen.iter().flat_map(|gpu| &gpu.nodes);
    let nodes = found.shared.iter().chain(own).filter(|it| it.is_present());
    let mut edits = Edits {
        chosen: chosen.iter().map(|gpu| gpu.address.clone()).collect(),
        remarks: vec![EditRemark::Ungated {
            vendor,
            versions: found.driver_versions.clone(),
        }],
        environment: { CACHES.into_iter() }
            .filter(|(name, _)| !name.starts_with("CUDA"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Edits::default()
    };
    edits.add_nodes(nodes);
    edits
}

impl Edits {
    /// Puts them into a policy. The environment is not part of one: see [`Edits::environment`] and
    /// [`Edits::library_path_after`].
    pub fn apply(&self, policy: &mut Policy) {
        policy.devices.extend(self.devices.iter().cloned());
        // Where a machine is told, its memory is told too, and not the host's.
        let told = policy.machine.is_some();
        let files = self.files.iter();
        let files = files.filter(|it| !(told && it.target == Path::new(NUMA)));
        policy.binds.extend(files.cloned());
        policy.links.extend(self.links.iter().cloned());
        policy.covers.extend(self.covers.iter().cloned());
    }

    /// Returns the value of `LD_LIBRARY_PATH` for a step that has one already, or none: what the
    /// environment brings is found first.
    pub fn library_path_after(&self, before: Option<&OsStr>) -> OsString {
        let before = before.filter(|it| !it.is_empty()).map(OsStr::to_owned);
        let own = self.library_path.iter().map(|it| it.as_os_str().to_owned());
        let all: Vec<OsString> = before.into_iter().chain(own).collect();
        all.join(OsStr::new(":"))
    }

    /// Makes what is the same whoever says which nodes and libraries there are.
    pub(super) fn of_nvidia<'a>(
        found: Found<'_>,
        nodes: impl IntoIterator<Item = &'a Node>,
    ) -> Edits {
        let mut edits = Edits {
            chosen: found.chosen.iter().map(|it| it.name.clone()).collect(),
            environment: environment(),
            library_path: vec![PathBuf::from(LIBRARIES)],
            ..Edits::default()
        };
        edits.add_nodes(nodes);
        edits.add_libraries(found.supply, found.driver);
        edits.add_proc(found.supply, found.chosen);
        for file in &found.supply.module_files {
            edits.add_file(file, file, false);
        }
        edits
    }

    fn add_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Node>) {
        let device = |node: &Node| Device {
            source: node.path.clone(),
            target: node.path.clone(),
        };
        self.devices.extend(nodes.into_iter().map(device));
    }

    pub(super) fn add_file(&mut self, source: &Path, target: &Path, writable: bool) {
        self.files.push(Bind {
            source: source.to_owned(),
            target: target.to_owned(),
            writable,
        });
    }

    fn add_libraries(&mut self, supply: &Supply, driver: &DriverVersion) {
        for library in &supply.libraries {
            let name = library.file.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            match links_of(library, driver) {
                Some(links) => {
                    self.add_file(&library.file, &Path::new(LIBRARIES).join(&name), false);
                    links.iter().for_each(|link| self.add_link(link, &name));
                }
                None => self.remarks.push(EditRemark::LeftOut {
                    file: library.file.clone(),
                }),
            }
        }
    }

    /// Links a name to a library, if there is such a library or link and the name is free.
    pub(super) fn add_missing_link(&mut self, name: &str, library: &str) {
        let path = Path::new(LIBRARIES).join(library);
        let is_file = self.files.iter().any(|it| it.target == path);
        if is_file || self.links.iter().any(|it| it.path == path) {
            self.add_link(name, library);
        }
    }

    fn add_link(&mut self, name: &str, library: &str) {
        let path = Path::new(LIBRARIES).join(name);
        let is_file = self.files.iter().any(|it| it.target == path);
        if is_file || self.links.iter().any(|it| it.path == path) {
            return;
        }
        let content = PathBuf::from(library);
        self.links.push(Link { path, content });
    }

    /// Covers what the new `/proc` of a sandbox would else tell of the driver.
    fn add_proc(&mut self, supply: &Supply, chosen: &[Chosen]) {
        self.covers
            .extend(supply.params.as_deref().map(covered_params));
        let ours = |address: &String| {
            let mut chosen = chosen.iter().filter_map(|it| it.address.as_ref());
            chosen.any(|it| it == address)
        };
        let others = supply.addresses.iter().filter(|it| !ours(it));
        self.covers.extend(others.map(|address| Cover {
            target: Path::new(GPUS).join(address),
            content: CoverContent::EmptyDirectory,
        }));
    }

    /// Adds what the devices' part of `/sys` has for GPUs.
    ///
    /// NVML and `libcuda` look a GPU up in `/sys/bus/pci/devices` for its place and its memory, and
    /// frameworks ask which processors are near it. What tells of the GPU and the link to it are all
    /// of that; other devices of the host are not seen.
    pub(super) fn add_system(&mut self, devices: &[SystemDevice], numa: bool) {
        for device in devices {
            for attribute in &device.attributes {
                self.add_file(attribute, attribute, false);
            }
            let path = Path::new("/sys/bus/pci/devices").join(&device.address);
            self.add_system_link(path, "../../..", &device.directory);
        }
        if numa {
            self.add_file(Path::new(NUMA), Path::new(NUMA), false);
        }
    }

    /// Adds what libdrm reads of the nodes in `/dev/dri`, which AMD's and Intel's user space go by:
    /// from a node's numbers to its device. Accelerators are found in the same way.
    pub(super) fn add_drm(&mut self, devices: &[SystemDevice]) {
        for device in devices {
            for (numbers, node) in &device.nodes {
                self.add_file(node, node, false);
                let path = Path::new("/sys/dev/char").join(numbers.to_string());
                self.add_system_link(path, "../..", node);
            }
            if !device.nodes.is_empty() {
                self.links.push(Link {
                    path: device.directory.join("subsystem"),
                    content: PathBuf::from("/sys/bus/pci"),
                });
            }
        }
    }

    fn add_system_link(&mut self, path: PathBuf, up: &str, target: &Path) {
        let below = target.strip_prefix("/sys").unwrap_or(target);
        let content = Path::new(up).join(below);
        self.links.push(Link { path, content });
    }
}

/// Lists the further names of a library; none if it is no library of the driver's.
pub(super) fn links_of(library: &SuppliedLibrary, driver: &DriverVersion) -> Option<Vec<String>> {
    let name = library.file.file_name()?.to_str()?;
    let plain = name.strip_suffix(&format!(".{driver}"))?;
    if !plain.ends_with(".so") || NEVER.contains(&plain) {
        return None;
    }
    let always = ALWAYS.iter().filter(|(library, _)| *library == plain);
    let mut links: Vec<String> = always.map(|(_, link)| (*link).to_owned()).collect();
    let soname = library.soname.iter();
    let own: Vec<String> = soname
        .filter(|it| *it != name && !links.contains(it))
        .cloned()
        .collect();
    links.extend(own);
    Some(links)
}

/// Returns the parameters of the module as the step sees them: the driver's libraries make no
/// nodes where these say so. They would fail, but not before they asked root's helper.
pub(super) fn covered_params(text: &str) -> Cover {
    const NAME: &str = "ModifyDeviceFiles";
    let is_it = |line: &&str| line.split(':').next() == Some(NAME);
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_it(line)).collect();
    let own = format!("{NAME}: 0");
    lines.push(&own);
    Cover {
        target: PathBuf::from(PARAMS),
        content: CoverContent::Text(lines.join("\n") + "\n"),
    }
}

impl fmt::Display for EditRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditRemark::CdiNotUsed { reason } => {
                write!(f, "no CDI specification is used: {reason}")
            }
            EditRemark::OtherSmi { path } => write!(
                f,
                "`{}` is not of the driver's version and is left out",
                path.display()
            ),
            EditRemark::LeftOut { file } => {
                write!(
                    f,
                    "`{}` is no library of the driver's and is left out",
                    file.display()
                )
            }
            EditRemark::Ungated { vendor, versions } => {
                write!(
                    f,
                    "the driver of {vendor}'s GPUs is not held to any version"
                )?;
                for (module, version) in versions {
                    write!(f, "; `{module}` is {version}")?;
                }
                Ok(())
            }
            EditRemark::NoPlace { path } => write!(
                f,
                "`{}` of the CDI specification has no place in a sandbox and is left out",
                path.display()
            ),
            EditRemark::VariableIgnored { name } => {
                write!(
                    f,
                    "the variable `{name}` of the CDI specification is left out"
                )
            }
        }
    }
}
