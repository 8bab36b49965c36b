//! GPUs in a bundle: the nodes and files that a step of `envbox run --gpu` gets, for a runtime.
//!
//! A runtime makes no links, so a library is mounted under each of its names, which is the same to a
//! program. Nor may it mount a file into `/proc`: what a step is not to see of other GPUs is masked,
//! and the module's parameters show as they are.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use envbox_lockfiles::base::FsError;
use envbox_sandbox::gpu::Edits;
use envbox_sandbox::{Bind, CoverContent, Device, Link};
use rustix::fs::{major, minor};
use serde_json::{Value, json};

use crate::image::ImageError;

/// The kind of devices that the annotation names.
/// <https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>
const KIND: &str = "nvidia.com/gpu";

/// What a bundle has of GPUs.
#[derive(Debug, Clone)]
pub struct BundleGpus {
    /// What a step gets.
    pub edits: Edits,
    /// The step's whole environment with them, as of a run.
    pub environment: Vec<(OsString, OsString)>,
}

impl BundleGpus {
    /// Adds them to a bundle's configuration.
    pub(super) fn add_to(&self, config: &mut Value) -> Result<(), ImageError> {
        let edits = &self.edits;
        let devices: Result<Vec<_>, _> = edits.devices.iter().map(device).collect();
        let devices = devices?;
        let allowed = devices.iter().map(|device| {
            json!({ "allow": true, "type": "c", "major": device["major"],
                    "minor": device["minor"], "access": "rw" })
        });
        let denied = json!({ "allow": false, "access": "rwm" });
        let rules: Vec<Value> = [denied].into_iter().chain(allowed).collect();
        config["linux"]["resources"] = json!({ "devices": rules });
        config["linux"]["devices"] = Value::from(devices);
        let masked = edits.covers.iter().filter_map(|cover| {
            let empty = cover.content == CoverContent::EmptyDirectory;
            empty.then(|| json!(cover.target.to_string_lossy()))
        });
        append(&mut config["linux"]["maskedPaths"], masked);
        let files = edits.files.iter().map(|file| mount(file, &file.target));
        let links = edits.links.iter().filter_map(|link| named(edits, link));
        append(&mut config["mounts"], files.chain(links));
        let environment = self.environment.iter().map(|(name, value)| {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            json!(format!("{name}={value}"))
        });
        config["process"]["env"] = environment.collect();
        let names = edits.chosen.iter().map(|name| format!("{KIND}={name}"));
        let names: Vec<String> = names.collect();
        config["annotations"]["cdi.k8s.io/envbox"] = json!(names.join(","));
        Ok(())
    }
}

fn append(list: &mut Value, more: impl Iterator<Item = Value>) {
    if let Some(list) = list.as_array_mut() {
        list.extend(more);
    }
}

/// Describes a node by the numbers that it has on this host.
fn device(device: &Device) -> Result<Value, ImageError> {
    let status = fs::metadata(&device.source).map_err(FsError::at("read", &device.source))?;
    Ok(json!({
        "path": device.target.to_string_lossy(),
        "type": "c",
        "major": major(status.rdev()),
        "minor": minor(status.rdev()),
        "fileMode": status.mode() & 0o777,
        "uid": status.uid(),
        "gid": status.gid(),
    }))
}

fn mount(file: &Bind, target: &Path) -> Value {
    let access = if file.writable { "rw" } else { "ro" };
    json!({
        "destination": target.to_string_lossy(),
        "type": "bind",
        "source": file.source.to_string_lossy(),
        "options": ["bind", access, "nosuid", "nodev"],
    })
}

/// Mounts the file that a link leads to in its place.
fn named(edits: &Edits, link: &Link) -> Option<Value> {
    let leads_to = link.path.parent()?.join(&link.content);
    let file = edits.files.iter().find(|file| file.target == leads_to)?;
    Some(mount(file, &link.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_gets_what_a_step_gets() {
        let edits = Edits {
            chosen: vec!["0".to_owned()],
            devices: vec![Device {
                source: "/dev/null".into(),
                target: "/dev/nvidia0".into(),
            }],
            files: vec![Bind {
                source: "/host/libcuda.so.580.1".into(),
                target: "/run/envbox/gpu/lib/libcuda.so.580.1".into(),
                writable: false,
            }],
            links: vec![Link {
                path: "/run/envbox/gpu/lib/libcuda.so.1".into(),
                content: "libcuda.so.580.1".into(),
            }],
            ..Edits::default()
        };
        let gpus = BundleGpus {
            edits,
            environment: vec![("ENVBOX_GPU".into(), "nvidia".into())],
        };
        let mut config = json!({ "mounts": [], "process": {}, "linux": { "maskedPaths": [] } });
        gpus.add_to(&mut config).unwrap();
        let device = &config["linux"]["devices"][0];
        assert_eq!(
            (&device["path"], &device["major"], &device["minor"]),
            (&json!("/dev/nvidia0"), &json!(1), &json!(3))
        );
        let rules = config["linux"]["resources"]["devices"].as_array().unwrap();
        let allowed: Vec<_> = rules.iter().map(|rule| &rule["allow"]).collect();
        assert_eq!(allowed, [&json!(false), &json!(true)]);
        let mounts = config["mounts"].as_array().unwrap();
        let places: Vec<_> = mounts.iter().map(|mount| &mount["destination"]).collect();
        let library = "/run/envbox/gpu/lib/libcuda.so";
        assert_eq!(
            places,
            [
                &json!(format!("{library}.580.1")),
                &json!(format!("{library}.1"))
            ]
        );
        assert_eq!(mounts[1]["source"], "/host/libcuda.so.580.1");
        assert_eq!(config["process"]["env"], json!(["ENVBOX_GPU=nvidia"]));
        assert_eq!(
            config["annotations"]["cdi.k8s.io/envbox"],
            "nvidia.com/gpu=0"
        );
    }
}
