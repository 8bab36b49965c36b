//! An OCI runtime bundle (runtime-spec 1.0): a directory that `runc` and `crun` run as it is.
//!
//! ```text
//! DIR/config.json   what runs, and in what
//! DIR/rootfs/       the environment, a copy: who runs the bundle may change its owner
//! DIR/project/      what the step sees as /project
//! ```
//!
//! Made by root, the step is user 1000 as in `envbox run`. Made by another user, who can map one
//! user id alone, the bundle is for that user, and the step is root of a user namespace: runtimes
//! need that id for themselves.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use envbox_lockfiles::base::FsError;
use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use rustix::fs::{AtFlags, CWD};
use serde_json::{Value, json};

use crate::image::plan::STEP;
use crate::image::{BundleGpus, ImageError, ImageSettings};
use crate::layers::modified;
use crate::rootfs::Rootfs;
use crate::store::EntryKind;

/// What a bundle is for.
#[derive(Debug, Clone)]
pub struct BundleSettings {
    /// The command and its arguments, the variables and the working directory.
    pub image: ImageSettings,
    /// The host name inside.
    pub hostname: String,
    /// The home directory.
    pub home: String,
    /// The user who will run the bundle and that user's group: root, or the only one it is for.
    pub user: (u32, u32),
    /// Whether the step sees the host's network.
    pub host_network: bool,
    /// The GPUs that the step gets, if any.
    pub gpus: Option<BundleGpus>,
}

/// Writes a bundle of `rootfs` into the empty or absent `directory`.
///
/// # Errors
/// Returns [`ImageError::Occupied`] when something is there, and what writing returns.
pub fn write_bundle(
    directory: &Path,
    rootfs: &Rootfs,
    settings: &BundleSettings,
) -> Result<(), ImageError> {
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(ImageError::Occupied {
            path: directory.to_path_buf(),
        });
    }
    let project = directory.join("project");
    create_dir_all(&project)?;
    let is_root = settings.user.0 == 0;
    if is_root {
        let owned = std::os::unix::fs::chown(&project, Some(STEP), Some(STEP));
        owned.map_err(FsError::at("change the owner of", &project))?;
    }
    copy(rootfs, &directory.join("rootfs"))?;
    let mut config = config(settings);
    if let Some(gpus) = &settings.gpus {
        gpus.add_to(&mut config)?;
    }
    let mut bytes = serde_json::to_vec_pretty(&config).expect("maps have text for keys");
    bytes.push(b'\n');
    // The last file: a bundle without it does not run.
    Ok(write_atomic(&directory.join("config.json"), &bytes)?)
}

/// Copies the tree, with its modes and times.
fn copy(rootfs: &Rootfs, to: &Path) -> Result<(), ImageError> {
    let manifest = rootfs.manifest()?;
    let root = rootfs.path();
    let place = |base: &Path, path: &[u8]| base.join(OsStr::from_bytes(path));
    for (path, entry) in &manifest.entries {
        let target = place(to, path);
        let written = match &entry.kind {
            EntryKind::Directory => fs::create_dir_all(&target),
            EntryKind::Symlink { target: leads_to } => symlink(leads_to, &target),
            // Its mode is that of the source.
            EntryKind::File { .. } => fs::copy(place(&root, path), &target).map(drop),
            EntryKind::Special => return Err(ImageError::Special { path: target }),
        };
        written.map_err(FsError::at("write", &target))?;
    }
    // What is in a directory comes first: writing it changes the directory's time, and needs a
    // mode that allows it.
    for (path, entry) in manifest.entries.iter().rev() {
        let target = place(to, path);
        let finish = || {
            if entry.kind == EntryKind::Directory {
                fs::set_permissions(&target, fs::Permissions::from_mode(entry.mode))?;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            Ok(rustix::fs::utimensat(CWD, &target, &modified(), flags)?)
        };
        finish().map_err(FsError::at("write", &target))?;
    }
    Ok(())
}

fn config(settings: &BundleSettings) -> Value {
    let image = &settings.image;
    let arguments: Vec<&String> = image.entrypoint.iter().chain(&image.command).collect();
    let environment = image.environment.iter();
    let environment: Vec<String> = environment
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let user = step_user(settings);
    let nothing: [&str; 0] = [];
    json!({
        "ociVersion": "1.0.2",
        "hostname": settings.hostname,
        "root": { "path": "rootfs", "readonly": true },
        "process": {
            "terminal": false,
            "user": { "uid": user, "gid": user, "umask": 0o022 },
            "args": arguments,
            "env": environment,
            "cwd": image.working_directory,
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": nothing, "effective": nothing, "inheritable": nothing,
                "permitted": nothing, "ambient": nothing,
            },
        },
        "mounts": mounts(settings),
        "linux": linux(settings),
    })
}

/// Returns the step's user and group inside.
fn step_user(settings: &BundleSettings) -> u32 {
    if settings.user.0 == 0 { STEP } else { 0 }
}

fn mounts(settings: &BundleSettings) -> Vec<Value> {
    let hidden = ["nosuid", "nodev"];
    let tmpfs = |target: &str, options: &[&str]| {
        let options: Vec<&str> = hidden.iter().chain(options).copied().collect();
        json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": options })
    };
    // Not by the mode: `runc` gives the mount that of the directory below.
    let step = step_user(settings);
    let (user, group) = (format!("uid={step}"), format!("gid={step}"));
    let home = [user.as_str(), &group, "mode=755"];
    vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc",
                "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=64k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] }),
        tmpfs("/dev/shm", &["noexec", "mode=1777"]),
        tmpfs("/tmp", &["mode=1777"]),
        tmpfs("/run", &["mode=755"]),
        tmpfs(&settings.home, &home),
        json!({ "destination": "/project", "type": "bind", "source": "project",
                "options": ["bind", "rw", "nosuid", "nodev"] }),
    ]
}

fn linux(settings: &BundleSettings) -> Value {
    let (user, group) = settings.user;
    let mut namespaces = vec!["ipc", "mount", "pid", "uts"];
    if !settings.host_network {
        namespaces.push("network");
    }
    if user != 0 {
        namespaces.push("user");
    }
    let namespaces: Vec<Value> = namespaces
        .into_iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    let mut linux = json!({
        "namespaces": namespaces,
        "maskedPaths": [
            "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
            "/proc/scsi", "/proc/sched_debug", "/proc/timer_list", "/proc/timer_stats",
        ],
        "readonlyPaths": [
            "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
        ],
    });
    if user != 0 {
        let map = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
        linux["uidMappings"] = map(user);
        linux["gidMappings"] = map(group);
    }
    linux
}
