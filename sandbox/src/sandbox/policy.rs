//! What a step may see, and what a step is: plain data.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::Serialize;

use super::started::HeadStart;
use crate::answer::Machine;

/// What a step may see.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What is between the step and the host.
    pub isolation: Isolation,
    /// The host directory that becomes `/`. It must hold the mount points `/proc`, `/dev`, `/tmp`,
    /// `/run`, `/project` (if there is a project) and the home directory.
    pub rootfs: PathBuf,
    /// The project, mounted at `/project`.
    pub project: Option<Project>,
    /// Further host paths to mount.
    pub binds: Vec<Bind>,
    /// Device nodes of the host that the step may open, beside those of every sandbox.
    pub devices: Vec<Device>,
    /// Symbolic links in `/tmp`, `/run`, `/sys` or the home directory.
    pub links: Vec<Link>,
    /// Files in `/tmp`, `/run`, `/sys` or the home directory that exist in the sandbox alone.
    pub files: Vec<NewFile>,
    /// What the step sees in the place of something in `/proc`.
    pub covers: Vec<Cover>,
    /// The host name inside.
    pub hostname: String,
    /// The NIS domain name inside.
    pub domainname: String,
    /// The user id inside. It stands for the caller's effective user id, the only one mapped.
    pub uid: u32,
    /// The group id inside. It stands for the caller's effective group id, the only one mapped.
    pub gid: u32,
    /// The file mode creation mask of the step.
    pub umask: u32,
    /// What of the network the step sees.
    pub network: Network,
    /// Resource limits of the step's processes.
    pub limits: Limits,
    /// The guest path of the home directory, a private and empty tmpfs.
    pub home: PathBuf,
    /// The size in bytes that `/tmp` and the home directory may each grow to.
    pub tmp_size: u64,
    /// The size in bytes that `/dev/shm` may grow to.
    pub shm_size: u64,
    /// How the clocks of the step move.
    pub clock: Clock,
    /// What the wall clock shows at the start, in seconds since 1970, unless it is the host's.
    pub epoch: u64,
    /// The seed of all random bytes; `None` for the kernel's randomness.
    pub seed: Option<u64>,
    /// The machine that the step believes to be on; `None` for the host.
    pub machine: Option<Machine>,
    /// Whether directories are read in the order of their names.
    pub sorted_directories: bool,
    /// Whether what the step draws from sources of nondeterminism is counted ([`crate::Finding`]). It
    /// sees the same as without, and is slower.
    pub audit: bool,
    /// Whether an audit counts reads of the processor's time-stamp counter too. They are made to fault
    /// (`PR_SET_TSC`), so a thread that blocks SIGSEGV dies of one.
    pub counter: bool,
    /// What `stat` tells of files.
    pub file_status: FileStatus,
    /// Whether the rootfs can be written to. For building a rootfs, not for steps.
    pub writable_root: bool,
}

impl Default for Policy {
    fn default() -> Self {
        const GIBIBYTE: u64 = 1 << 30;
        Policy {
            isolation: Isolation::Namespaces,
            rootfs: PathBuf::new(),
            project: None,
            binds: Vec::new(),
            devices: Vec::new(),
            links: Vec::new(),
            files: Vec::new(),
            covers: Vec::new(),
            hostname: "envbox".to_owned(),
            // What the kernel calls a system without one.
            domainname: "(none)".to_owned(),
            uid: 1000,
            gid: 1000,
            umask: 0o022,
            network: Network::None,
            limits: Limits::default(),
            home: PathBuf::from("/home/envbox"),
            tmp_size: 8 * GIBIBYTE,
            shm_size: 8 * GIBIBYTE,
            clock: Clock::Real,
            epoch: 1_577_836_800,
            seed: None,
            machine: None,
            sorted_directories: false,
            audit: false,
            counter: false,
            file_status: FileStatus::Host,
            writable_root: false,
        }
    }
}

/// What is between a step and the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces and mounts of the sandbox's own.
    #[default]
    Namespaces,
    /// What is around this process already, as in a container. The step is told what can be told
    /// without any privilege: clocks, random bytes, the machine, the order of directories; files,
    /// network, host name and users are those around. Fields of the policy that speak of them
    /// (`rootfs`, `project`, `binds`, `devices`, `links`, `files`, `covers`, `uid`, `gid`, `network`, `home`, the sizes, `writable_root`)
    /// have no meaning then, paths are this process's, and the capabilities stay what they are.
    None,
}

/// How the clocks of a step move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// As the host's.
    #[default]
    Real,
    /// The wall clock starts at the epoch and moves as the host's.
    Ticking,
    /// The wall clock stands at the epoch, except that a thread that sleeps sees it moved by as
    /// much; all else is as the host's, from zero.
    Frozen,
    /// Every clock, processor time included, moves by what its thread slept, and by a microsecond
    /// each time that it looks, or by up to 64 if it has looked at the wall for long.
    Logical,
}

/// What a step learns of a file beside its content, type, mode and owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileStatus {
    /// Times, inode numbers, devices, sizes of directories and free space are the host's.
    #[default]
    Host,
    /// Their times are those of the step's clock, and the rest is the host's: a change has the time at
    /// which the step first sees it, and what was there before is so many years older than on the host
    /// that all of it is older than that. Where the clock is the kernel's, times are too.
    Times,
    /// They are the same on every host: see `src/answer/status`.
    Fixed,
}

/// How the project is mounted at `/project`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Project {
    /// The step sees `lower` and may write; what it changes lands in `upper`. What is mounted below
    /// `lower` on the host is not seen.
    Overlay {
        /// The host directory of the project, never written to.
        lower: PathBuf,
        /// The host directory that takes what is written. Its filesystem must not be an overlay.
        upper: PathBuf,
        /// An empty host directory on the same filesystem as `upper`, for the kernel's own use. No
        /// second sandbox starts with it: nothing waits for the disk when a sandbox ends, and the
        /// kernel marks the directory with that.
        work: PathBuf,
    },
    /// The step reads and writes the host directory itself.
    Direct {
        /// The host directory.
        source: PathBuf,
    },
    /// The step reads the host directory.
    ReadOnly {
        /// The host directory.
        source: PathBuf,
    },
}

/// A host path that the step sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// The host path: a directory or a file.
    pub source: PathBuf,
    /// The guest path. Where the rootfs lacks it, it is there for this sandbox alone; the rootfs
    /// is not written to. In the project or in another bind it must exist.
    pub target: PathBuf,
    /// Whether the step may write to it.
    pub writable: bool,
}

/// A device node of the host that the step may open. It is bound, never made: the host's own is
/// not touched, and its owner and mode decide who may open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The host path of a character device.
    pub source: PathBuf,
    /// The guest path, below `/dev`.
    pub target: PathBuf,
}

/// A symbolic link that the step finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The guest path of the link.
    pub path: PathBuf,
    /// Where it leads.
    pub content: PathBuf,
}

/// A file that is made when the sandbox starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// The guest path.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Something in `/proc` that the step does not see as it is. Where there is no such thing, nothing
/// is covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cover {
    /// The guest path below `/proc`.
    pub target: PathBuf,
    /// What is in its place.
    pub content: CoverContent,
}

/// What is in the place of something that a step does not see as it is; none of it can be written
/// to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoverContent {
    /// A file with this text, in the place of a file.
    Text(String),
    /// Nothing, in the place of a directory.
    EmptyDirectory,
}

/// What of the network the step sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// A network of its own without any connection to another. Its loopback interface is up,
    /// because much of the field's software talks to itself over 127.0.0.1 (joblib, Jupyter, torch).
    #[default]
    None,
    /// The same as [`Network::None`], for those who want to say that they rely on the loopback.
    Loopback,
    /// The host's network.
    Host,
}

/// Resource limits, as soft and hard limit. A lower limit of the caller stays in force: nothing is
/// ever raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open descriptors of a process.
    pub open_files: u64,
    /// Processes and threads of the sandbox.
    pub processes: u64,
    /// The stack of a process in bytes. It also decides the layout of its address space.
    pub stack: u64,
    /// Core files in bytes.
    pub core: u64,
    /// Locked memory in bytes.
    pub locked_memory: u64,
    /// Queued signals.
    pub pending_signals: u64,
    /// POSIX message queues in bytes.
    pub message_queues: u64,
    /// The address space of a process in bytes; `None` for no limit.
    pub address_space: Option<u64>,
    /// Processor seconds of a process; `None` for no limit.
    pub cpu_seconds: Option<u64>,
    /// The size of a file in bytes; `None` for no limit.
    pub file_size: Option<u64>,
}

impl Default for Limits {
    /// Values that practically every host can hold, so that they are the same everywhere.
    fn default() -> Self {
        const MEBIBYTE: u64 = 1 << 20;
        Limits {
            open_files: 16_384,
            processes: 16_384,
            stack: 8 * MEBIBYTE,
            core: 0,
            locked_memory: 8 * MEBIBYTE,
            pending_signals: 8_192,
            message_queues: 819_200,
            address_space: None,
            cpu_seconds: None,
            file_size: None,
        }
    }
}

/// One command.
#[derive(Debug)]
pub struct Step {
    /// The command and its arguments. A command without a slash is searched in the `PATH` of
    /// `env`, inside the rootfs.
    pub argv: Vec<OsString>,
    /// What the command sees as its own name, if not `argv[0]`.
    pub argv0: Option<OsString>,
    /// Namespaces that were made beforehand, if there are some.
    pub head_start: Option<HeadStart>,
    /// The whole environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// The guest path of the working directory.
    pub cwd: PathBuf,
    /// Whether the step gets a terminal of its own.
    pub terminal: Terminal,
    /// What becomes of signals to this process while the step runs.
    pub signals: Signals,
    /// A pidfd of the process that the step must not outlive, beside this one.
    pub parent: Option<OwnedFd>,
    /// What becomes of children of this process that it did not start.
    pub orphans: Orphans,
    /// Standard input, if not the caller's.
    pub stdin: Option<OwnedFd>,
    /// Standard output, if not the caller's.
    pub stdout: Option<OwnedFd>,
    /// Standard error, if not the caller's.
    pub stderr: Option<OwnedFd>,
}

impl Default for Step {
    fn default() -> Self {
        Step {
            argv: Vec::new(),
            argv0: None,
            head_start: None,
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            terminal: Terminal::None,
            signals: Signals::Forward,
            parent: None,
            orphans: Orphans::Leave,
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }
}

/// Whether a step gets a terminal of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terminal {
    /// Standard input, output and error are passed through untouched. If they are a terminal, it is
    /// not the step's controlling one.
    #[default]
    None,
    /// All three are a terminal inside the sandbox, which the supervisor connects to its own.
    Pty,
}

/// What becomes of signals to this process while a step runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signals {
    /// HUP, INT, QUIT, TERM, USR1, USR2, ALRM, WINCH, TSTP and CONT go to the step, each once. One
    /// that the terminal sent goes to the step's whole process group. One that this process
    /// ignores stays ignored.
    #[default]
    Forward,
    /// Signals are the caller's own business.
    Leave,
}

/// What becomes of children of this process that it did not start, as pid 1 gets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// They are the caller's own business.
    #[default]
    Leave,
    /// They are reaped when they end. For a process that is pid 1 of its container and does nothing
    /// but run the step; needs [`Signals::Forward`].
    Reap,
}
