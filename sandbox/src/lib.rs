//! The namespace sandbox of envbox.
//!
//! One line of types: a [`Policy`] checked against [`HostFacts`] is a [`Sandbox`], a started one is
//! [`Running`], an ended one an [`Outcome`].
//!
//! ```no_run
//! use envbox_sandbox::{HostFacts, Policy, Sandbox, Step};
//!
//! let policy = Policy { rootfs: "/srv/rootfs".into(), ..Policy::default() };
//! let step = Step { argv: vec!["true".into()], ..Step::default() };
//! let outcome = Sandbox::new(policy, &HostFacts::minimal())?.spawn(step)?.wait()?;
//! # Ok::<(), envbox_sandbox::SandboxError>(())
//! ```
//!
//! Modules, imports only to the left: `sys` (the only `unsafe`), `init` (the plan for the program
//! that runs inside, and its start), `answer` (what a step is told), `host` (facts), `sandbox`, `gpu` (the driver). The program itself is in
//! `inside/`; `README.md` has the process diagram, the order of operations and the threat model.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("envbox-sandbox supports x86_64 Linux only: init and the filter are written for it");

mod answer;
pub mod gpu;
mod host;
mod init;
mod sandbox;
mod sys;

pub use answer::{
    Baseline, Cpuid, CpuidRefusal, Finding, Machine, Note, Origin, Place, Source,
    is_told_without_mounts,
};
pub use host::{
    Cgroups, Check, CheckStatus, HostFacts, Kernel, Power, PowerRefusal, Supervision,
    UserNamespace, UserNamespaceRefusal, cpu_model,
};
pub use sandbox::{
    Bind, Clock, Cover, CoverContent, Device, Ended, Exit, FileStatus, HeadStart, Isolation,
    Limits, Link, Network, NewFile, Orphans, Outcome, Policy, Project, Running, Sandbox,
    SandboxError, Signals, Stage, Step, Terminal, Usage,
};
pub use sys::{Caught, SignalRelay, inherited_descriptor, mirror_signal, own_host_name_and_mounts};
