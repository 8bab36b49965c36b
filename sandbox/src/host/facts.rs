//! Detecting facts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;

use super::probe;
use super::supervision::Supervision;
use super::user_namespace::UserNamespace;
use crate::sys;

/// What this machine is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HostFacts {
    /// The kernel.
    pub kernel: Kernel,
    /// The namespaces that the kernel has, by their names in `/proc/self/ns`; `None` if nobody
    /// looked.
    pub namespaces: Option<Vec<String>>,
    /// Whether user namespaces work.
    pub user_namespace: UserNamespace,
    /// Whether a fresh `/proc` can be mounted in one; `None` if nobody tried.
    pub proc_mount: Option<bool>,
    /// Whether an overlay can be mounted in one; `None` if nobody tried.
    pub overlay: Option<bool>,
    /// Whether seccomp filters can ask a supervisor.
    pub seccomp_notify: bool,
    /// The version of the Landlock interface, if it is on.
    pub landlock: Option<u32>,
    /// The control groups.
    pub cgroups: Cgroups,
    /// The active security modules; empty if the kernel does not tell.
    pub security_modules: Vec<String>,
    /// The model name of the first processor.
    pub cpu_model: Option<String>,
    /// The number of processors that this process may use; `None` if nobody asked.
    pub cpu_count: Option<usize>,
    /// Whether CPUID can be answered for a step; `None` if nobody tried.
    pub cpuid_faulting: Option<bool>,
    /// What a supervisor without namespaces is refused; `None` if nobody tried.
    pub supervision: Option<Supervision>,
}

/// The kernel's release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// The release as the kernel gives it.
    pub release: String,
    /// Its first number.
    pub major: u32,
    /// Its second number.
    pub minor: u32,
}

/// How control groups are mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "version")]
pub enum Cgroups {
    /// Not at all.
    None,
    /// Version 1 only.
    V1,
    /// Version 1 with a version 2 tree beside it.
    Hybrid,
    /// Version 2 only.
    V2 {
        /// The controllers that this process may hand to groups of its own making.
        delegated: Vec<String>,
    },
}

/// The first release with `mount_setattr`, the youngest interface that the sandbox needs: see
/// <https://git.kernel.org/linus/2a1867219c7b>.
pub const OLDEST_KERNEL: (u32, u32) = (5, 12);

/// The namespaces that every sandbox has.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

impl HostFacts {
    /// Detects everything. Starts a sandbox to see what is allowed, which takes milliseconds.
    pub fn detect() -> HostFacts {
        let mut facts = HostFacts::minimal();
        facts.namespaces = Some(present_namespaces());
        facts.cpu_count = std::thread::available_parallelism().map(usize::from).ok();
        let found = probe::probe();
        facts.user_namespace = found.user_namespace;
        (facts.proc_mount, facts.overlay) = (found.proc_mount, found.overlay);
        facts.seccomp_notify =
            sys::seccomp_action_available(libc::SECCOMP_RET_USER_NOTIF).unwrap_or(false);
        facts.landlock = sys::landlock_version().ok();
        facts.cgroups = cgroups();
        facts.security_modules = security_modules();
        facts.cpu_model = cpu_model();
        facts.cpuid_faulting = Some(sys::processor::require_cpuid_faulting().is_ok());
        facts.supervision = Supervision::detect().ok();
        facts
    }

    /// As [`HostFacts::minimal`], and what [`Isolation::None`](crate::Isolation::None) needs.
    ///
    /// # Errors
    /// Fails if no process can be started to try it out.
    pub fn bare() -> std::io::Result<HostFacts> {
        Ok(HostFacts {
            supervision: Some(Supervision::detect()?),
            ..HostFacts::minimal()
        })
    }

    /// Detects only what costs next to nothing and decides whether a start makes sense at all; the
    /// rest is as if absent or untried. A start that fails then is explained by its error.
    pub fn minimal() -> HostFacts {
        HostFacts {
            kernel: Kernel::running(),
            namespaces: None,
            user_namespace: UserNamespace::Unknown,
            proc_mount: None,
            overlay: None,
            seccomp_notify: false,
            landlock: None,
            cgroups: Cgroups::None,
            security_modules: Vec::new(),
            cpu_model: None,
            cpu_count: None,
            cpuid_faulting: None,
            supervision: None,
        }
    }

    /// Returns the namespaces that the kernel is known to lack.
    pub(crate) fn missing_namespaces(&self) -> Vec<&'static str> {
        let Some(present) = &self.namespaces else {
            return Vec::new();
        };
        let lacks = |name: &&str| !present.iter().any(|present| present == name);
        NAMESPACES.into_iter().filter(lacks).collect()
    }
}

fn present_namespaces() -> Vec<String> {
    let exists = |name: &&str| Path::new("/proc/self/ns").join(name).exists();
    NAMESPACES
        .into_iter()
        .filter(exists)
        .map(str::to_owned)
        .collect()
}

impl Kernel {
    fn running() -> Kernel {
        Kernel::parse(&rustix::system::uname().release().to_string_lossy())
    }

    /// Parses a release; what is no number counts as zero.
    pub(crate) fn parse(release: &str) -> Kernel {
        let mut numbers = release
            .split(|character: char| !character.is_ascii_digit())
            .map(|text| text.parse().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Kernel {
            release: release.to_owned(),
            major,
            minor,
        }
    }
}

fn cgroups() -> Cgroups {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return Cgroups::V2 {
            delegated: delegated(root).unwrap_or_default(),
        };
    }
    if root.join("unified/cgroup.procs").exists() {
        return Cgroups::Hybrid;
    }
    match fs::read_dir(root)
        .ok()
        .and_then(|mut entries| entries.next())
    {
        Some(_) => Cgroups::V1,
        None => Cgroups::None,
    }
}

/// Lists the controllers of our own group, if we may make groups below it.
fn delegated(root: &Path) -> Option<Vec<String>> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own: PathBuf = root.join(own);
    rustix::fs::access(&own, rustix::fs::Access::WRITE_OK).ok()?;
    let controllers = fs::read_to_string(own.join("cgroup.controllers")).ok()?;
    Some(controllers.split_whitespace().map(str::to_owned).collect())
}

fn security_modules() -> Vec<String> {
    let text = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    text.trim()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns the model name of the first processor, if the kernel tells. It is asked once: on a host with
/// many processors the file is long.
pub fn cpu_model() -> Option<String> {
    static MODEL: OnceLock<Option<String>> = OnceLock::new();
    MODEL.get_or_init(read_cpu_model).clone()
}

fn read_cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':')
        .map(|(_, model)| model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Kernel;

    #[test]
    fn releases_are_parsed() {
        let numbers = |release| {
            let Kernel { major, minor, .. } = Kernel::parse(release);
            (major, minor)
        };
        assert_eq!(numbers("6.18.44-fc-v595"), (6, 18));
        assert_eq!(numbers("5.4"), (5, 4));
        assert_eq!(numbers("odd"), (0, 0));
    }
}
