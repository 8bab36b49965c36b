//! Facts → checks: what `envbox doctor` shows.

use serde::Serialize;

use super::facts::{Cgroups, HostFacts, OLDEST_KERNEL};
use super::user_namespace::UserNamespace;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub status: CheckStatus,
    /// What was found.
    pub found: String,
    /// What to do about it, if something is to be done.
    pub remedy: Option<String>,
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Some guarantee or feature is missing, steps can run.
    Degraded,
    /// Steps cannot run.
    Missing,
}

impl HostFacts {
    /// Returns one check per fact that matters, in a fixed order.
    pub fn checks(&self) -> Vec<Check> {
        vec![
            self.check_kernel(),
            self.check_namespaces(),
            self.check_user_namespace(),
            self.check_proc(),
            self.check_overlay(),
            self.check_seccomp(),
            self.check_landlock(),
            self.check_cgroups(),
            self.check_security_modules(),
            self.check_cpu(),
            self.check_cpuid(),
            self.check_supervision(),
        ]
    }

    fn check_kernel(&self) -> Check {
        let status = match (self.kernel.major, self.kernel.minor) < OLDEST_KERNEL {
            true => CheckStatus::Missing,
            false => CheckStatus::Ok,
        };
        let remedy = "upgrade to Linux 5.12 or newer";
        check(
            "kernel",
            status,
            format!("Linux {}", self.kernel.release),
            remedy,
        )
    }

    fn check_namespaces(&self) -> Check {
        let remedy = "use a kernel with all CONFIG_*_NS options, CONFIG_TIME_NS included";
        let missing = self.missing_namespaces();
        match &self.namespaces {
            None => check("namespaces", CheckStatus::Degraded, "not looked at", ""),
            Some(present) if missing.is_empty() => {
                check("namespaces", CheckStatus::Ok, present.join(", "), remedy)
            }
            Some(_) => {
                let found = format!("lacks {}", missing.join(", "));
                check("namespaces", CheckStatus::Missing, found, remedy)
            }
        }
    }

    fn check_user_namespace(&self) -> Check {
        let name = "user namespaces";
        match self.user_namespace {
            UserNamespace::Available => check(name, CheckStatus::Ok, "available", ""),
            UserNamespace::Unknown => check(name, CheckStatus::Degraded, "not tried", ""),
            UserNamespace::Refused { reason } => check(
                name,
                CheckStatus::Missing,
                reason.to_string(),
                reason.remedy(),
            ),
        }
    }

    fn check_proc(&self) -> Check {
        let remedy = "start the outer container with an unmasked `/proc`";
        tried(
            "proc in a user namespace",
            self.proc_mount,
            CheckStatus::Missing,
            remedy,
        )
    }

    fn check_overlay(&self) -> Check {
        let remedy = "use Linux 5.11 or newer with overlayfs, or let steps write to the project";
        tried(
            "overlay in a user namespace",
            self.overlay,
            CheckStatus::Degraded,
            remedy,
        )
    }

    fn check_seccomp(&self) -> Check {
        let remedy = "use a kernel with CONFIG_SECCOMP_FILTER";
        let found = if self.seccomp_notify {
            "available"
        } else {
            "not available"
        };
        let status = if self.seccomp_notify {
            CheckStatus::Ok
        } else {
            CheckStatus::Degraded
        };
        check("seccomp user notification", status, found, remedy)
    }

    fn check_landlock(&self) -> Check {
        let found = match self.landlock {
            Some(version) => format!("version {version}"),
            None => "off".to_owned(),
        };
        // Nothing depends on it yet; it is recorded because it bounds what a fallback could hold.
        check("landlock", CheckStatus::Ok, found, "")
    }

    fn check_cgroups(&self) -> Check {
        let remedy = "run envbox in a cgroup that is delegated to you, e.g. with \
                      `systemd-run --user --scope -p Delegate=yes`, to have limits per sandbox";
        let (status, found) = match &self.cgroups {
            Cgroups::V2 { delegated } if delegated.is_empty() => (
                CheckStatus::Degraded,
                "version 2, no controller delegated".to_owned(),
            ),
            Cgroups::V2 { delegated } => (
                CheckStatus::Ok,
                format!("version 2, delegated: {}", delegated.join(", ")),
            ),
            Cgroups::Hybrid => (CheckStatus::Degraded, "versions 1 and 2".to_owned()),
            Cgroups::V1 => (CheckStatus::Degraded, "version 1".to_owned()),
            Cgroups::None => (CheckStatus::Degraded, "none".to_owned()),
        };
        check("cgroups", status, found, remedy)
    }

    fn check_security_modules(&self) -> Check {
        let found = match self.security_modules.as_slice() {
            [] => "not told by the kernel".to_owned(),
            modules => modules.join(", "),
        };
        check("security modules", CheckStatus::Ok, found, "")
    }

    fn check_cpu(&self) -> Check {
        let model = self.cpu_model.as_deref().unwrap_or("unknown");
        let found = match self.cpu_count {
            Some(count) => format!("{count} x {model}"),
            None => model.to_owned(),
        };
        check("processor", CheckStatus::Ok, found, "")
    }

    fn check_cpuid(&self) -> Check {
        // No remedy: a processor has it or not. What libraries take from CPUID is then held by
        // variables alone.
        match self.cpuid_faulting {
            Some(true) => check("cpuid", CheckStatus::Ok, "can be held", ""),
            Some(false) => {
                let found = "cannot be held: the processor cannot fault on it";
                check("cpuid", CheckStatus::Degraded, found, "")
            }
            None => check("cpuid", CheckStatus::Degraded, "not tried", ""),
        }
    }

    /// What `envbox inside` could hold here.
    fn check_supervision(&self) -> Check {
        let name = "without namespaces";
        let Some(powers) = &self.supervision else {
            return check(name, CheckStatus::Degraded, "not tried", "");
        };
        let Some((power, refusal)) = powers.refused.first() else {
            return check(name, CheckStatus::Ok, "all that `envbox inside` holds", "");
        };
        let refused = powers.refused.iter();
        let refused = refused.map(|(power, refusal)| format!("{power}: {refusal}"));
        let refused = refused.collect::<Vec<_>>().join("; ");
        let found = format!("refused to `envbox inside`: {refused}");
        check(name, CheckStatus::Degraded, found, power.remedy(*refusal))
    }
}

fn tried(name: &'static str, answer: Option<bool>, bad: CheckStatus, remedy: &str) -> Check {
    match answer {
        Some(true) => check(name, CheckStatus::Ok, "allowed", remedy),
        Some(false) => check(name, bad, "refused", remedy),
        None => check(name, CheckStatus::Degraded, "not tried", ""),
    }
}

fn check(name: &'static str, status: CheckStatus, found: impl Into<String>, remedy: &str) -> Check {
    let wanted = status != CheckStatus::Ok && !remedy.is_empty();
    Check {
        name,
        status,
        found: found.into(),
        remedy: wanted.then(|| remedy.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckStatus, HostFacts, UserNamespace};
    use crate::host::UserNamespaceRefusal;

    #[test]
    fn a_refusal_comes_with_its_remedy() {
        let reason = UserNamespaceRefusal::LimitReached;
        let user_namespace = UserNamespace::Refused { reason };
        let facts = HostFacts {
            user_namespace,
            ..HostFacts::minimal()
        };
        let checks = facts.checks();
        let check = checks
            .iter()
            .find(|check| check.name == "user namespaces")
            .unwrap();
        assert_eq!(check.status, CheckStatus::Missing);
        assert_eq!(check.remedy.as_deref(), Some(reason.remedy()));
    }
}
