//! The wire between the supervisor and init: one definition, compiled into both sides.
//!
//! Init is told twice. The [`Opening`], one message, is what it needs to enter its namespaces, which
//! can be known before anything of the step is. Then comes the plan, everything else: a sealed memory
//! file with a [`Header`], the tables and the C strings it points to. Init maps the file privately and
//! reads it in place; it allocates nothing and formats nothing. Neither outlives one start and both
//! sides come from one build, so the plan carries a magic number against mistakes and no compatibility
//! rule.
//!
//! Every field is a `u64`, so that there is no padding and the encoder needs no `unsafe`. "Offset"
//! is a byte offset from the start of the plan; an offset of zero means "none".

/// The first message to init.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Opening {
    /// A set of `OPENING_*`.
    pub flags: u64,
    /// The `CLONE_NEW*` flags of every namespace but the user namespace.
    pub namespaces: u64,
    /// The text for `/proc/self/uid_map`.
    pub uid_map: ShortText,
    /// The text for `/proc/self/gid_map`.
    pub gid_map: ShortText,
    /// The text for `/proc/self/timens_offsets`; empty without a time namespace.
    pub clock_offsets: ShortText,
}

/// A text in the place where it stands.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ShortText {
    /// How many of the bytes are the text.
    pub size: u64,
    /// The text, and zeros.
    pub bytes: [u8; SHORT_TEXT],
}

/// The longest text: two lines of a name and two numbers of 64 bits.
pub const SHORT_TEXT: usize = 120;

/// Make no namespace and no mount, and keep the capabilities: a container around us has done so.
/// With [`OPENING_PROBE`], report what is refused of the rest, and wait.
pub const OPENING_BARE: u64 = 1;
/// Bring the loopback interface up.
pub const OPENING_LOOPBACK: u64 = 2;
/// Stop after the last operation and report [`REPORT_READY`]: nothing is executed.
pub const OPENING_PROBE: u64 = 4;
/// A plan comes before the plan, whose operations are all [`OPERATION_MOUNT`]: make their filesystems,
/// and keep them as descriptors from [`MADE`] on. What cannot be made is made, or fails, when it is
/// mounted.
pub const OPENING_PREPARES: u64 = 8;

/// The first descriptor of a filesystem that was made beforehand: above those of held paths.
pub const MADE: u64 = 110;

/// The first word of a plan.
pub const MAGIC: u64 = u64::from_le_bytes(*b"envbox\0\x01");

/// A table or a byte string within the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// Where it starts.
    pub offset: u64,
    /// How many elements (bytes, for a byte string) it has.
    pub count: u64,
}

/// What stands at the start of a plan.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Header {
    /// Equals [`MAGIC`].
    pub magic: u64,
    /// The size of the whole plan in bytes.
    pub size: u64,
    /// A set of `FLAG_*`.
    pub flags: u64,
    /// The host name, without a terminator.
    pub hostname: Span,
    /// The NIS domain name, without a terminator.
    pub domainname: Span,
    /// Offset of the host path of the rootfs.
    pub rootfs: u64,
    /// The `MOUNT_ATTR_*` to set on the rootfs.
    pub root_attributes: u64,
    /// The table of [`Operation`]s, done in order before `pivot_root`.
    pub operations: Span,
    /// The table of [`Limit`]s.
    pub limits: Span,
    /// The file mode creation mask of the step.
    pub umask: u64,
    /// The execution domain of the step; [`AS_IT_IS`] for the caller's.
    pub personality: u64,
    /// The processors that the step may run on, as a bit mask; none for the caller's.
    pub processors: Span,
    /// The seccomp filter, one `struct sock_filter` each; none for no filter.
    pub filter: Span,
    /// Offset of the guest path of the working directory.
    pub directory: u64,
    /// Offsets of the paths to try to execute, in order.
    pub candidates: Span,
    /// Offsets of the arguments; a zero follows the last.
    pub arguments: Span,
    /// Offsets of the `NAME=value` strings; a zero follows the last.
    pub environment: Span,
    /// Rows of the terminal, if there is one.
    pub rows: u64,
    /// Columns of the terminal, if there is one.
    pub columns: u64,
}

/// Give the step a terminal of the sandbox's own.
pub const FLAG_TERMINAL: u64 = 1;
/// The filter asks the supervisor: send the descriptor by which it listens.
pub const FLAG_ASK: u64 = 2;
/// `/dev/urandom` is a FIFO: send a descriptor of it.
pub const FLAG_RANDOM: u64 = 4;

/// The execution domain that is not set.
pub const AS_IT_IS: u64 = 0xffff_ffff;

/// One operation on the tree of mounts.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Operation {
    /// One of `OPERATION_*`.
    pub kind: u64,
    /// A set of `OPERATION_FLAG_*`.
    pub flags: u64,
    /// Offset of a string whose meaning depends on the kind.
    pub source: u64,
    /// Offset of a guest path, resolved inside the rootfs.
    pub target: u64,
    /// Offset of the name of an entry to create below `target`; for [`OPERATION_MOUNT`] the descriptor
    /// of the filesystem, if it was made beforehand.
    pub name: u64,
    /// `MOUNT_ATTR_*`, a file mode or a descriptor, depending on the kind.
    pub value: u64,
    /// The table of [`Parameter`]s of a filesystem.
    pub parameters: Span,
}

/// Bind the host path `source` on `target`.
pub const OPERATION_BIND: u64 = 1;
/// Bind the guest path `source` on `target`.
pub const OPERATION_REBIND: u64 = 2;
/// Mount a new filesystem of type `source` on `target`.
pub const OPERATION_MOUNT: u64 = 3;
/// Open the host path `source` (the guest path, with [`OPERATION_FLAG_GUEST`]) as descriptor
/// `value`, which later operations name as `/proc/self/fd/N`.
pub const OPERATION_HOLD: u64 = 4;
/// Create the directory `name` in `target`.
pub const OPERATION_DIRECTORY: u64 = 5;
/// Create the file `name` in `target`, with the bytes of `parameters` in it.
pub const OPERATION_FILE: u64 = 6;
/// Create the symbolic link `name` in `target`, pointing to `source`.
pub const OPERATION_LINK: u64 = 7;
/// Create the FIFO `name` in `target`.
pub const OPERATION_FIFO: u64 = 9;
/// Set attributes on the mount at `target`.
pub const OPERATION_ATTRIBUTES: u64 = 8;
/// Mount a new filesystem of type `source` over the root. It is the root from then on.
pub const OPERATION_ROOT: u64 = 10;
/// Set the times of `target` to `value` seconds since 1970.
pub const OPERATION_TIMES: u64 = 11;

/// It is no error that the target does not exist.
pub const OPERATION_FLAG_OPTIONAL: u64 = 1;
/// `source` is a guest path.
pub const OPERATION_FLAG_GUEST: u64 = 2;

/// One parameter of a filesystem.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Parameter {
    /// Offset of the name.
    pub key: u64,
    /// Offset of the value; zero for a flag.
    pub value: u64,
}

/// One resource limit. It only ever lowers what the caller has.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Limit {
    /// The `RLIMIT_*` number.
    pub resource: u64,
    /// The wanted soft limit.
    pub soft: u64,
    /// The wanted hard limit.
    pub hard: u64,
}

/// A message from init.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Report {
    /// One of `REPORT_*`.
    pub kind: u32,
    /// The [`Stage`] that failed.
    pub stage: u32,
    /// The error number, or the status of the step.
    pub value: i32,
    /// The index of the operation that failed, or the `CLD_*` code of the step.
    pub detail: u32,
    /// With [`REPORT_EXITED`], what the sandbox used.
    pub used: Used,
}

/// What the step, its descendants and init used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Used {
    /// Processor time in user mode, in microseconds.
    pub user: u64,
    /// Processor time in the kernel, in microseconds.
    pub system: u64,
    /// The largest resident set of a single process, in kibibytes.
    pub max_rss: u64,
}

/// A stage failed with error `value`; for [`Stage::Mounts`], `detail` is the operation.
pub const REPORT_FAILED: u32 = 1;
/// Pid 1 exists; its pidfd comes with the message.
pub const REPORT_CHILD: u32 = 2;
/// The step's terminal exists; its master side comes with the message.
pub const REPORT_TERMINAL: u32 = 3;
/// The step could not be executed: error `value`, and `detail` is 1 if the file exists.
pub const REPORT_EXEC_FAILED: u32 = 4;
/// The step ended, and nothing of it is left: `detail` is the `CLD_*` code and `value` the status.
pub const REPORT_EXITED: u32 = 5;
/// A probe came through.
pub const REPORT_READY: u32 = 6;

/// The seccomp filter is in force; the descriptor to listen by comes with the message.
pub const REPORT_LISTENER: u32 = 7;

/// The random device is ready; the FIFO to write to comes with the message.
pub const REPORT_RANDOM: u32 = 8;

/// A message to init: a signal for the step.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Order {
    /// The signal number.
    pub signal: u32,
    /// 1 if the whole process group of the step shall get it, as from a terminal.
    pub group: u32,
}

/// The step's process id. Pid 1 is init and pid 2 its shim: the pid namespace is fresh and the
/// kernel numbers in order.
pub const STEP: i32 = 3;

/// Where in its work init failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Receiving what to do.
    Receive = 1,
    /// Making the user namespace.
    UserNamespace,
    /// Writing the id maps of the user namespace.
    IdentityMaps,
    /// Making the other namespaces.
    Namespaces,
    /// Setting the clock offsets of the time namespace.
    ClockOffsets,
    /// Starting a process.
    Process,
    /// Setting the host and domain name.
    Hostname,
    /// Bringing the loopback interface up.
    Loopback,
    /// Binding the rootfs.
    Rootfs,
    /// Building the tree of mounts.
    Mounts,
    /// Making the rootfs the root directory.
    PivotRoot,
    /// Making the terminal.
    Terminal,
    /// Entering the working directory.
    Directory,
    /// Setting resource limits.
    Limits,
    /// Choosing processors.
    Processors,
    /// Fixing the execution domain.
    Personality,
    /// Dropping capabilities.
    Capabilities,
    /// Setting `no_new_privs`.
    NoNewPrivileges,
    /// Installing the seccomp filter.
    Seccomp,
}

impl Stage {
    /// Every stage, in the order of their numbers.
    pub const ALL: [Stage; 19] = [
        Stage::Receive,
        Stage::UserNamespace,
        Stage::IdentityMaps,
        Stage::Namespaces,
        Stage::ClockOffsets,
        Stage::Process,
        Stage::Hostname,
        Stage::Loopback,
        Stage::Rootfs,
        Stage::Mounts,
        Stage::PivotRoot,
        Stage::Terminal,
        Stage::Directory,
        Stage::Limits,
        Stage::Processors,
        Stage::Personality,
        Stage::Capabilities,
        Stage::NoNewPrivileges,
        Stage::Seccomp,
    ];
}
