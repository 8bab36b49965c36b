//! Directories and small files that every system has.

use envbox_lockfiles::base::Platform;

use crate::layers::merged_directories;
use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;

/// Directories that packages of the base make when they are installed, and those that the sandbox
/// mounts over: it cannot make them in a tree that it may not write.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc/opt", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/local/etc", 0o755),
    ("usr/local/games", 0o755),
    ("usr/local/include", 0o755),
    ("usr/local/lib", 0o755),
    ("usr/local/sbin", 0o755),
    ("usr/local/share/man", 0o755),
    ("usr/local/src", 0o755),
    ("usr/sbin", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/mail", 0o755),
    ("var/opt", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

/// Directories of envbox's own, which the sandbox mounts over.
const MOUNT_POINTS: [&str; 2] = ["home/envbox", "project"];

/// `machine-id`: half of the SHA-256 of `envbox`, because it must look like any other.
const MACHINE_ID: &str = "e55a80ee8aa06eba423fa744c60d93f4\n";

const HOSTS: &str = "127.0.0.1\tlocalhost envbox\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// What a system without `libc-bin` looks names up with.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n\
                        protocols: files\nnetworks: files\nethers: files\nrpc: files\n";

/// Files that packages keep a template of, for their scripts to copy.
const TEMPLATES: &[(&str, &str)] = &[
    ("usr/share/base-files/profile", "etc/profile"),
    ("usr/share/debianutils/shells", "etc/shells"),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
    ("usr/share/readline/inputrc", "etc/inputrc"),
];

/// Makes directories, and the links that merge `/usr`.
pub(super) fn directories(fixups: &mut Fixups<'_>, platform: Platform) {
    for name in merged_directories(platform) {
        let needed = ["bin", "lib", "sbin"].contains(name);
        if needed || fixups.merged.get(&format!("usr/{name}")).is_some() {
            fixups.link(name, &format!("usr/{name}"));
        }
    }
    for (path, mode) in DIRECTORIES {
        fixups.directory(path, *mode);
    }
    for path in MOUNT_POINTS {
        fixups.mount_point(path);
    }
    fixups.link("usr/local/man", "share/man");
    fixups.link("var/lock", "/run/lock");
    fixups.link("var/run", "/run");
    fixups.link("var/spool/mail", "../mail");
}

/// Writes the files that say what this system is.
pub(super) fn files(fixups: &mut Fixups<'_>) -> Result<(), RootfsError> {
    for (template, path) in TEMPLATES {
        fixups.copy(template, path)?;
    }
    fixups.file("etc/hostname", "envbox\n");
    fixups.file("etc/hosts", HOSTS);
    fixups.file("etc/machine-id", MACHINE_ID);
    fixups.file("etc/timezone", "Etc/UTC\n");
    // Empty: without a network there is nobody to ask. With one, the host's is mounted over it.
    fixups.file("etc/resolv.conf", "");
    fixups.default_file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n");
    fixups.default_file("etc/nsswitch.conf", NSSWITCH);
    fixups.link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC");
    fixups.link("etc/mtab", "/proc/self/mounts");
    fixups.link("var/lib/dbus/machine-id", "/etc/machine-id");
    Ok(())
}
