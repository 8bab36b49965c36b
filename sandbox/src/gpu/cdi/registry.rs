//! The specifications of a host: which device is named by which file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::version;
use super::wire::{DeviceWire, EditsWire, HeadWire, SpecWire};
use super::{CdiError, DIRECTORIES, KINDS};
use crate::gpu::fs::HostFs;

/// The devices of a kind.
#[derive(Debug, Default)]
pub struct Registry {
    devices: BTreeMap<String, Registered>,
}

/// A device, with what its file has for all of its devices.
#[derive(Clone, Debug)]
pub struct Registered {
    pub file: PathBuf,
    pub shared: EditsWire,
    pub own: EditsWire,
}

impl Registry {
    /// Reads both directories.
    ///
    /// # Errors
    /// Returns the first thing that is wrong with a file of one of the kinds.
    pub fn read(fs: &HostFs, kind: &'static str) -> Result<Registry, CdiError> {
        let mut devices = BTreeMap::new();
        for directory in DIRECTORIES {
            // What is named twice in one directory has no order; a later directory comes last.
            devices.extend(read_directory(fs, Path::new(directory), kind)?);
        }
        match devices.is_empty() {
            true => Err(CdiError::Absent { kind }),
            false => Ok(Registry { devices }),
        }
    }

    /// Finds a device.
    pub fn device(&self, name: &str) -> Option<&Registered> {
        self.devices.get(name)
    }

    /// Lists the names.
    pub fn names(&self) -> Vec<String> {
        self.devices.keys().cloned().collect()
    }
}

fn read_directory(
    fs: &HostFs,
    directory: &Path,
    kind: &str,
) -> Result<BTreeMap<String, Registered>, CdiError> {
    let unreadable = |path: &Path, source| CdiError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let names = match fs.list(directory) {
        Ok(names) => names,
        Err(error) if is_absent(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(directory, error)),
    };
    let mut found: BTreeMap<String, Registered> = BTreeMap::new();
    for name in names {
        let file = directory.join(name);
        if !matches!(extension(&file), Some("json" | "yaml")) {
            continue;
        }
        let bytes = fs.read(&file).map_err(|error| unreadable(&file, error))?;
        let Some(spec) = parse(&file, &bytes)?.filter(|spec| spec.kind == kind) else {
            continue;
        };
        for device in spec.devices.into_iter().flatten() {
            let registered = Registered {
                file: file.clone(),
                shared: spec.container_edits.clone().unwrap_or_default(),
                own: device.container_edits.unwrap_or_default(),
            };
            if let Some(other) = found.get(&device.name) {
                return Err(CdiError::Conflict {
                    device: format!("{kind}={}", device.name),
                    files: [other.file.clone(), file],
                });
            }
            found.insert(device.name, registered);
        }
    }
    Ok(found)
}

/// Parses a file; none if it is of a kind that is none of ours.
///
/// # Errors
/// Returns what is wrong with it.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Option<SpecWire>, CdiError> {
    let malformed = |reason: String| CdiError::Malformed {
        file: file.to_owned(),
        reason,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let head: HeadWire = read_as(file, text).map_err(malformed)?;
    if !head.kind.is_some_and(|kind| KINDS.contains(&kind.as_str())) {
        return Ok(None);
    }
    let version = head.cdi_version.unwrap_or_default();
    if !version::is_known(&version) {
        return Err(CdiError::Version {
            file: file.to_owned(),
            version,
        });
    }
    let spec: SpecWire = read_as(file, text).map_err(malformed)?;
    if let Some((feature, since)) = version::too_new(&spec) {
        return Err(CdiError::Feature {
            file: file.to_owned(),
            version,
            feature,
            since,
        });
    }
    let names = spec.devices.iter().flatten().map(|it| &it.name);
    if let Some(name) = { names }.find(|name| !is_name(name)) {
        return Err(malformed(format!("`{name}` is no name of a device")));
    }
    if spec.devices.iter().flatten().next().is_none() {
        return Err(malformed("it names no device".to_owned()));
    }
    Ok(Some(spec)).and_then(|spec| twice(file, spec))
}

/// Refuses a file that names a device twice.
fn twice(file: &Path, spec: Option<SpecWire>) -> Result<Option<SpecWire>, CdiError> {
    let devices = |spec: &SpecWire| spec.devices.clone().unwrap_or_default();
    let all: Vec<DeviceWire> = spec.as_ref().map(devices).unwrap_or_default();
    for (index, device) in all.iter().enumerate() {
        if all[..index].iter().any(|it| it.name == device.name) {
            return Err(CdiError::Conflict {
                device: device.name.clone(),
                files: [file.to_owned(), file.to_owned()],
            });
        }
    }
    Ok(spec)
}

fn read_as<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, String> {
    match extension(file) {
        Some("json") => serde_json::from_str(text).map_err(|error| error.to_string()),
        _ => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
    }
}

fn extension(file: &Path) -> Option<&str> {
    file.extension()?.to_str()
}

/// Letters and digits at both ends, and between them a few more.
fn is_name(name: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric();
    let between = |it: char| plain(it) || matches!(it, '_' | '-' | '.' | ':');
    name.starts_with(plain) && name.ends_with(plain) && name.chars().all(between)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}
