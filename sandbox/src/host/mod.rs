//! Facts about this machine, as data, and what to do where it lacks something.
//!
//! Comes in: nothing but the machine. Goes out: [`HostFacts`] and its [`Check`]s. Nothing here
//! decides: `Sandbox::new` does.

mod facts;
mod probe;
mod report;
mod supervision;
mod user_namespace;

pub use facts::{Cgroups, HostFacts, Kernel, OLDEST_KERNEL, cpu_model};
pub use report::{Check, CheckStatus};
pub use supervision::{Power, PowerRefusal, Supervision};
pub use user_namespace::{UserNamespace, UserNamespaceRefusal, diagnose_refusal};
