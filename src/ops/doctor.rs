//! `envbox doctor`: what this host can do, and what to do where it cannot.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::Context;
use envbox_sandbox::{Check, CheckStatus, HostFacts};
use serde::Serialize;

use crate::ops::inside::InsidePolicy;
use crate::ops::run::Surroundings;
use crate::store::Store;

/// What `doctor` found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// The worst status among the checks.
    pub status: CheckStatus,
    /// The checks, in a fixed order.
    pub checks: Vec<Check>,
}

/// An environment of a few large packages, unpacked, with its downloads.
const WANTED_BYTES: u64 = 5 << 30;

/// Looks at the host and the store.
pub fn doctor(context: &Context) -> DoctorReport {
    let mut checks = HostFacts::detect().checks();
    checks.push(isolation());
    checks.push(store(&context.store));
    checks.push(space(&context.store));
    let status = checks
        .iter()
        .map(|check| check.status)
        .max()
        .unwrap_or(CheckStatus::Ok);
    DoctorReport { status, checks }
}

/// Says which isolation `run --isolation auto` would get here.
fn isolation() -> Check {
    let (status, found, remedy) = match (Surroundings::detect(), InsidePolicy::of_image()) {
        (Surroundings::Namespaces, _) => (CheckStatus::Ok, "namespaces".to_owned(), None),
        (Surroundings::None(_), Ok(Some((policy, _)))) => {
            let lock = policy
                .lock
                .map_or("none".to_owned(), |lock| lock.to_string());
            let found = format!("without namespaces, for the lockfile {lock} of this image alone");
            (CheckStatus::Degraded, found, None)
        }
        (Surroundings::None(reason), _) => {
            let remedy = "allow namespaces, or start the container from an image of `envbox build`";
            (CheckStatus::Missing, reason, Some(remedy.to_owned()))
        }
    };
    Check {
        name: "isolation of `run`",
        status,
        found,
        remedy,
    }
}

fn store(directory: &Path) -> Check {
    let (status, found, remedy) = match Store::open(directory) {
        Ok(_) => (CheckStatus::Ok, directory.display().to_string(), None),
        Err(error) => {
            let remedy = "choose another directory with `ENVBOX_STORE`".to_owned();
            (CheckStatus::Missing, error.to_string(), Some(remedy))
        }
    };
    Check {
        name: "store",
        status,
        found,
        remedy,
    }
}

fn space(directory: &Path) -> Check {
    let name = "disk space";
    let existing: Option<PathBuf> = directory
        .ancestors()
        .find(|path| path.is_dir())
        .map(Path::to_path_buf);
    let free = existing.and_then(|path| rustix::fs::statvfs(&path).ok());
    let Some(free) = free.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)) else {
        let (found, remedy) = ("unknown".to_owned(), None);
        return Check {
            name,
            status: CheckStatus::Degraded,
            found,
            remedy,
        };
    };
    let enough = free >= WANTED_BYTES;
    Check {
        name,
        status: if enough {
            CheckStatus::Ok
        } else {
            CheckStatus::Degraded
        },
        found: format!("{} MiB free for the store", free >> 20),
        remedy: (!enough).then(|| "free some space, or run `envbox store gc`".to_owned()),
    }
}
