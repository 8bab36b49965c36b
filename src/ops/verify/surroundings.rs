//! What a process of envbox has around it, where that can be chosen for one process.
//!
//! Applied by the process itself, which then becomes the program that is to see it: there is no
//! code between fork and exec.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use envbox_lockfiles::base::{Explain, Kind};
use envbox_sandbox::own_host_name_and_mounts;
use rustix::fs::{Gid, Mode, Uid};
use rustix::mount::mount_bind_recursive;
use rustix::process::{Signal, nice, set_parent_process_death_signal, umask};
use rustix::system::sethostname;
use rustix::thread::{
    CpuSet, sched_setaffinity, set_thread_gid, set_thread_groups, set_thread_uid,
};

/// What is around a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The permissions that new files do not get.
    pub umask: Option<u32>,
    /// What is added to the nice value; a process can only get nicer.
    pub priority: Option<i32>,
    /// The one processor that it runs on.
    pub processor: Option<usize>,
    /// The host's name. Needs root.
    pub hostname: Option<OsString>,
    /// Directories and files that are also elsewhere: what, and where. Needs root.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// The user and the group. Needs root.
    pub user: Option<u32>,
    /// The current directory, by the path that it has then.
    pub directory: PathBuf,
    /// Variables, as `NAME=VALUE`, for what is started then alone: a library that is preloaded is not
    /// to be in the process that becomes another user.
    pub variables: Vec<OsString>,
}

/// Something cannot be put around this process.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action}")]
pub struct SurroundingsError {
    /// What was being done.
    action: &'static str,
    /// What the kernel said.
    #[source]
    source: io::Error,
}

impl Explain for SurroundingsError {
    fn kind(&self) -> Kind {
        Kind::Host
    }
}

impl Surroundings {
    /// Returns the arguments of `envbox vary` that say this.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let number = |number: Option<String>| number.map(OsString::from);
        let mut all = Vec::new();
        let single = [
            (
                "--umask",
                number(self.umask.map(|mask| format!("{mask:04o}"))),
            ),
            (
                "--priority",
                number(self.priority.map(|nice| nice.to_string())),
            ),
            (
                "--processor",
                number(self.processor.map(|cpu| cpu.to_string())),
            ),
            ("--hostname", self.hostname.clone()),
            ("--user", number(self.user.map(|user| user.to_string()))),
            ("--directory", Some(self.directory.clone().into())),
        ];
        for (name, value) in single {
            if let Some(value) = value {
                all.extend([name.into(), value]);
            }
        }
        for variable in &self.variables {
            all.extend(["--variable".into(), variable.clone()]);
        }
        for (what, place) in &self.binds {
            all.extend(["--bind".into(), what.into(), place.into()]);
        }
        all
    }

    /// Puts it around this process, which must have no other thread, and has it die with its
    /// parent.
    ///
    /// # Errors
    /// Returns [`SurroundingsError`]; what was done before stays.
    pub fn enter(&self) -> Result<(), SurroundingsError> {
        if let Some(mask) = self.umask {
            umask(Mode::from_raw_mode(mask));
        }
        if let Some(priority) = self.priority {
            nice(priority).map_err(failed("set the priority"))?;
        }
        if let Some(processor) = self.processor {
            let mut set = CpuSet::new();
            set.set(processor);
            sched_setaffinity(None, &set).map_err(failed("choose the processor"))?;
        }
        if self.hostname.is_some() || !self.binds.is_empty() {
            own_host_name_and_mounts().map_err(|source| SurroundingsError {
                action: "get a host name and mounts of its own",
                source,
            })?;
        }
        if let Some(name) = &self.hostname {
            sethostname(name.as_encoded_bytes()).map_err(failed("set the host name"))?;
        }
        for (what, place) in &self.binds {
            mount_bind_recursive(what, place).map_err(failed("mount the run's own directories"))?;
        }
        if let Some(user) = self.user {
            become_user(user)?;
        }
        std::env::set_current_dir(&self.directory).map_err(|source| SurroundingsError {
            action: "enter the run's directory",
            source,
        })?;
        // Last: the kernel forgets it when the user changes.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("watch the parent"))
    }
}

/// There is one thread, so what holds for it holds for the process.
fn become_user(user: u32) -> Result<(), SurroundingsError> {
    let (gid, uid) = (Gid::from_raw(user), Uid::from_raw(user));
    // Groups first: afterwards it may not any more.
    set_thread_groups(&[])
        .and_then(|()| set_thread_gid(gid))
        .and_then(|()| set_thread_uid(uid))
        .map_err(failed("become another user"))
}

fn failed(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> SurroundingsError {
    move |error| SurroundingsError {
        action,
        source: error.into(),
    }
}
