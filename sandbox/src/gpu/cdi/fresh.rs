//! A specification → edits, if everything in it is still so.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::hooks::{self, Hook};
use super::registry::{Registered, Registry};
use super::wire::{EditsWire, MountWire};
use super::{CdiError, Stale};
use crate::gpu::candidate::LEAST_BRANCH;
use crate::gpu::chosen::Chosen;
use crate::gpu::edits::{EditRemark, Edits, Found, LIBRARIES, Origin, PROGRAMS};
use crate::gpu::fs::HostFs;
use crate::gpu::nodes::{DeviceNodes, Node};
use crate::gpu::supply::{self, Supply};
use crate::gpu::version::DriverVersion;

/// What a specification is held against.
pub struct Wanted<'a> {
    pub fs: &'a HostFs,
    pub nodes: &'a dyn DeviceNodes,
    pub found: Found<'a>,
}

/// Makes edits of what the specifications say of the chosen GPUs.
///
/// # Errors
/// Returns why they are not used.
pub fn edits(wanted: &Wanted<'_>, registry: &Registry) -> Result<Edits, CdiError> {
    let mut read = Reading::default();
    let mut seen = BTreeSet::new();
    for gpu in wanted.found.chosen {
        let (name, device) = named(registry, gpu)?;
        let paths = read.device(wanted, device, seen.insert(device.file.clone()))?;
        for node in own_nodes(gpu) {
            if !paths.contains(&node.path) {
                return Err(stale(
                    device,
                    Stale::OtherGpu {
                        name,
                        node: node.path.clone(),
                    },
                ));
            }
        }
    }
    let files: Vec<PathBuf> = seen.into_iter().collect();
    read.finish(wanted, files)
}

/// Finds a GPU by its identity, and by its index if it is named by that alone. The names that
/// belong together are told apart by their nodes.
fn named<'a>(registry: &'a Registry, gpu: &Chosen) -> Result<(String, &'a Registered), CdiError> {
    let whole = gpu.instance.is_none();
    let names = gpu.uuid.iter().filter(|_| whole).chain([&gpu.name]);
    let found = { names }.find_map(|name| Some((name.clone(), registry.device(name)?)));
    found.ok_or_else(|| CdiError::Unnamed {
        name: gpu.name.clone(),
        available: registry.names(),
    })
}

fn own_nodes(gpu: &Chosen) -> impl Iterator<Item = &Node> {
    let parts = gpu.instance.iter().flat_map(|it| &it.nodes);
    [&gpu.node].into_iter().chain(parts)
}

fn stale(device: &Registered, reason: Stale) -> CdiError {
    CdiError::Stale {
        file: device.file.clone(),
        reason,
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    nodes: Vec<Node>,
    libraries: Vec<PathBuf>,
    /// Other files, with their place and whether they can be written to.
    files: Vec<(PathBuf, PathBuf, bool)>,
    links: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    remarks: Vec<EditRemark>,
}

impl Reading {
    /// Reads a device, and what its file has for all devices if that is new. Returns the host
    /// paths of the device's nodes.
    fn device(
        &mut self,
        wanted: &Wanted<'_>,
        device: &Registered,
        is_new: bool,
    ) -> Result<BTreeSet<PathBuf>, CdiError> {
        if is_new {
            self.edits(wanted, device, &device.shared)?;
        }
        self.edits(wanted, device, &device.own)
    }

    fn edits(
        &mut self,
        wanted: &Wanted<'_>,
        device: &Registered,
        edits: &EditsWire,
    ) -> Result<BTreeSet<PathBuf>, CdiError> {
        if edits.net_devices.is_some() {
            return Err(CdiError::Unsupported {
                file: device.file.clone(),
                field: "netDevices",
            });
        }
        let mut paths = BTreeSet::new();
        for node in edits.device_nodes.iter().flatten() {
            let path = match node.host_path.as_deref() {
                Some(path) if !path.is_empty() => path,
                _ => &node.path,
            };
            let node = known_node(wanted, Path::new(path));
            if !node.is_present() {
                let found = node.to_string();
                return Err(stale(device, Stale::Node { found }));
            }
            paths.insert(node.path.clone());
            if !self.nodes.iter().any(|it| it.path == node.path) {
                self.nodes.push(node);
            }
        }
        for mount in edits.mounts.iter().flatten() {
            self.mount(wanted, device, mount)?;
        }
        for hook in edits.hooks.iter().flatten() {
            match hooks::read(hook) {
                Hook::Links(links) => self.links.extend(links),
                // The module's parameters are covered in any case.
                Hook::NoNewNodes | Hook::Nothing => {}
                Hook::Unknown => {
                    let arguments = hook.args.clone().unwrap_or_default();
                    return Err(CdiError::Hook {
                        file: device.file.clone(),
                        arguments: [vec![hook.path.clone()], arguments].concat(),
                    });
                }
            }
        }
        for variable in edits.env.iter().flatten() {
            self.variable(variable);
        }
        Ok(paths)
    }

    fn mount(
        &mut self,
        wanted: &Wanted<'_>,
        device: &Registered,
        mount: &MountWire,
    ) -> Result<(), CdiError> {
        let path = PathBuf::from(&mount.host_path);
        if wanted.fs.resolve(&path).is_err() {
            return Err(stale(device, Stale::Missing { path }));
        }
        if version_in(&path).is_some_and(|version| !version.is_exactly(wanted.found.driver)) {
            let driver = wanted.found.driver.to_string();
            return Err(stale(device, Stale::OtherDriver { path, driver }));
        }
        match place(Path::new(&mount.container_path)) {
            Place::Library if !self.libraries.contains(&path) => self.libraries.push(path),
            Place::Library => {}
            Place::At(target) => {
                let read_only = mount.options.iter().flatten().any(|it| it == "ro");
                let socket = target.starts_with("/run") && !target.starts_with(PROGRAMS);
                let file = (path, target, socket && !read_only);
                if !self.files.contains(&file) {
                    self.files.push(file);
                }
            }
            Place::Nowhere => self.remarks.push(EditRemark::NoPlace {
                path: PathBuf::from(&mount.container_path),
            }),
        }
        Ok(())
    }

    /// Takes a variable, unless it decides what is loaded or found in the environment.
    fn variable(&mut self, text: &str) {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match name.starts_with("LD_") || name == "PATH" || name.is_empty() {
            true => self.remarks.push(EditRemark::VariableIgnored {
                name: name.to_owned(),
            }),
            false => self.environment.push((name.to_owned(), value.to_owned())),
        }
    }

    fn finish(self, wanted: &Wanted<'_>, files: Vec<PathBuf>) -> Result<Edits, CdiError> {
        let supply = Supply {
            libraries: supply::libraries(wanted.fs, &self.libraries),
            smi: None,
            other_smi: None,
            persistenced: None,
            ..wanted.found.supply.clone()
        };
        let found = Found {
            supply: &supply,
            ..wanted.found
        };
        let mut edits = Edits::of_nvidia(found, self.nodes.iter());
        let has = |name: &str| {
            let path = Path::new(LIBRARIES).join(format!("{name}.{}", wanted.found.driver));
            edits.files.iter().any(|it| it.target == path)
        };
        let mut needed = ["libcuda.so", "libnvidia-ml.so"].into_iter();
        if let Some(library) = needed.find(|name| !has(name)) {
            return Err(CdiError::Stale {
                file: files.into_iter().next().unwrap_or_default(),
                reason: Stale::Incomplete {
                    library: format!("{library}.{}", wanted.found.driver),
                },
            });
        }
        for (source, target, writable) in &self.files {
            edits.add_file(source, target, *writable);
        }
        for (target, link) in &self.links {
            let name = |path: &str| Some(Path::new(path).file_name()?.to_str()?.to_owned());
            if let Some((target, link)) = name(target).zip(name(link)) {
                edits.add_missing_link(&link, &target);
            }
        }
        edits.environment.extend(self.environment);
        edits.remarks.extend(self.remarks);
        edits.origin = Origin::Cdi { files };
        Ok(edits)
    }
}

/// Looks at a node; the numbers of those that discovery knows are the kernel's, and what a
/// specification has for them is not looked at.
fn known_node(wanted: &Wanted<'_>, path: &Path) -> Node {
    let nvidia = wanted.found.nvidia;
    let shared = [
        &nvidia.control,
        &nvidia.uvm,
        &nvidia.uvm_tools,
        &nvidia.modeset,
    ];
    let cards = nvidia.cards.iter();
    let instances = cards.clone().flat_map(|card| card.mig.iter().flatten());
    let own = cards.filter_map(|card| card.node.as_ref());
    let known = shared
        .into_iter()
        .chain(own)
        .chain(instances.filter_map(|it| it.node.as_ref()));
    let expected = { known }.find(|it| it.path == path);
    Node::look(wanted.nodes, path, expected.and_then(|it| it.expected))
}

/// Returns the driver's version in the name of a library.
fn version_in(path: &Path) -> Option<DriverVersion> {
    let name = path.file_name()?.to_str()?;
    let (_, version) = name.split_once(".so.")?;
    let version: DriverVersion = version.parse().ok()?;
    (version.branch() >= LEAST_BRANCH).then_some(version)
}

enum Place {
    /// Below the private directory, with the other libraries.
    Library,
    /// There.
    At(PathBuf),
    /// The root of a sandbox is an environment's and has no place for it.
    Nowhere,
}

fn place(target: &Path) -> Place {
    let climbs = target.components().any(|it| it == Component::ParentDir);
    let (Some(name), Some(parent)) = (target.file_name(), target.parent()) else {
        return Place::Nowhere;
    };
    let text = name.to_string_lossy();
    let directory = parent.file_name().unwrap_or_default();
    if climbs || !target.is_absolute() {
        Place::Nowhere
    } else if text.starts_with("lib") && (text.contains(".so.") || text.ends_with(".so")) {
        Place::Library
    } else if directory == "bin" || directory == "sbin" {
        Place::At(Path::new(PROGRAMS).join(name))
    } else if let Ok(below) = target.strip_prefix("/var/run") {
        Place::At(Path::new("/run").join(below))
    } else if target.starts_with("/run") || target.starts_with("/tmp") {
        Place::At(target.to_owned())
    } else {
        Place::Nowhere
    }
}
