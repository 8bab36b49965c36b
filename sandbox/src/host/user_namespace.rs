//! Whether and why the host refuses user namespaces.

use std::fmt;
use std::fs;

use serde::Serialize;

use crate::init::Stage;

/// Whether user namespaces work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum UserNamespace {
    /// Nobody tried.
    Unknown,
    /// One was made, with the id map and the other namespaces in it.
    Available,
    /// Making one failed.
    Refused {
        /// Why.
        reason: UserNamespaceRefusal,
    },
}

/// Why the host refuses user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UserNamespaceRefusal {
    /// `user.max_user_namespaces` is zero or used up.
    LimitReached,
    /// `kernel.unprivileged_userns_clone` is 0 (Debian's and Arch's patch).
    UnprivilegedCloneOff,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu since 23.10).
    AppArmorRestricted,
    /// The caller is in a chroot, where the kernel makes none.
    Chroot,
    /// A seccomp filter of an outer container answers for the kernel.
    OuterFilter,
    /// Something else; the number is the error.
    Other(i32),
}

impl UserNamespaceRefusal {
    /// Returns what to do about it, as one imperative sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            UserNamespaceRefusal::LimitReached => {
                "raise the limit as root: `sysctl -w user.max_user_namespaces=15000`"
            }
            UserNamespaceRefusal::UnprivilegedCloneOff => {
                "allow them as root: `sysctl -w kernel.unprivileged_userns_clone=1`"
            }
            UserNamespaceRefusal::AppArmorRestricted => {
                "install an AppArmor profile that grants envbox `userns`, or as root \
                 `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            }
            UserNamespaceRefusal::Chroot => "run envbox outside of the chroot",
            UserNamespaceRefusal::OuterFilter => {
                "start the outer container with a seccomp profile that allows `unshare` \
                 (docker: `--security-opt seccomp=unconfined`)"
            }
            UserNamespaceRefusal::Other(_) => {
                "ask the administrator whether a security module forbids user namespaces"
            }
        }
    }
}

impl fmt::Display for UserNamespaceRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserNamespaceRefusal::LimitReached => {
                f.write_str("`user.max_user_namespaces` is reached")
            }
            UserNamespaceRefusal::UnprivilegedCloneOff => {
                f.write_str("`kernel.unprivileged_userns_clone` is 0")
            }
            UserNamespaceRefusal::AppArmorRestricted => {
                f.write_str("`kernel.apparmor_restrict_unprivileged_userns` is 1")
            }
            UserNamespaceRefusal::Chroot => f.write_str("the caller is in a chroot"),
            UserNamespaceRefusal::OuterFilter => {
                f.write_str("the seccomp filter of an outer container denies them")
            }
            UserNamespaceRefusal::Other(errno) => {
                write!(f, "{}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

/// Finds out why making a user namespace, or the others in it, failed.
pub fn diagnose_refusal(stage: Stage, errno: i32) -> UserNamespaceRefusal {
    diagnose(stage, errno, |path| fs::read_to_string(path).ok())
}

fn diagnose(
    stage: Stage,
    errno: i32,
    read: impl Fn(&str) -> Option<String>,
) -> UserNamespaceRefusal {
    let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
    if errno == libc::ENOSPC || is("/proc/sys/user/max_user_namespaces", "0") {
        return UserNamespaceRefusal::LimitReached;
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return UserNamespaceRefusal::UnprivilegedCloneOff;
    }
    // AppArmor refuses the namespace itself or makes one without capabilities, depending on the
    // release: then writing the maps or making the others fails.
    if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        return UserNamespaceRefusal::AppArmorRestricted;
    }
    let status = read("/proc/self/status").unwrap_or_default();
    let filtered = status
        .lines()
        .any(|line| line.replace('\t', " ") == "Seccomp: 2");
    match stage {
        Stage::UserNamespace if filtered => UserNamespaceRefusal::OuterFilter,
        // The kernel has one more reason to say EPERM here.
        Stage::UserNamespace if errno == libc::EPERM => UserNamespaceRefusal::Chroot,
        _ => UserNamespaceRefusal::Other(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::{UserNamespaceRefusal as Refusal, diagnose};
    use crate::init::Stage;

    #[test]
    fn each_reason_is_told_apart() {
        let cases = [
            (
                "/proc/sys/user/max_user_namespaces",
                "0\n",
                Refusal::LimitReached,
            ),
            (
                "/proc/sys/kernel/unprivileged_userns_clone",
                "0\n",
                Refusal::UnprivilegedCloneOff,
            ),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1\n",
                Refusal::AppArmorRestricted,
            ),
            (
                "/proc/self/status",
                "Name:\tx\nSeccomp:\t2\n",
                Refusal::OuterFilter,
            ),
            ("/none", "", Refusal::Chroot),
        ];
        for (file, text, reason) in cases {
            let read = |path: &str| (path == file).then(|| text.to_owned());
            assert_eq!(diagnose(Stage::UserNamespace, libc::EPERM, read), reason);
        }
        let reason = diagnose(Stage::UserNamespace, libc::ENOSPC, |_| None);
        assert_eq!(reason, Refusal::LimitReached);
        let reason = diagnose(Stage::IdentityMaps, libc::EPERM, |_| None);
        assert_eq!(reason, Refusal::Other(libc::EPERM));
    }
}
