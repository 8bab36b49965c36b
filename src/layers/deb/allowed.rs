//! Packages whose maintainer scripts may do more than the statements that are known.

use envbox_lockfiles::base::DebianName;

/// One package, or several of a pattern, whose scripts a tree does without.
struct Allowed {
    /// The name; one `*` stands for any text.
    package: &'static str,
    /// What the scripts do, and why that is not needed.
    #[expect(dead_code, reason = "an entry without a reason must not be written")]
    reason: &'static str,
}

const fn allow(package: &'static str, reason: &'static str) -> Allowed {
    Allowed { package, reason }
}

/// Sorted by name. Read the scripts before you add a package; what they do must be done in
/// `rootfs::fixups`, or a step must be able to do without.
const ALLOWED: &[Allowed] = &[
    allow(
        "adduser",
        "writes adduser.conf, which only administrators need",
    ),
    allow(
        "base-files",
        "directories, profile and motd are made by envbox",
    ),
    allow("base-passwd", "passwd and group are made by envbox"),
    allow("bash", "would link /bin/sh to bash on hosts without any"),
    allow("ca-certificates", "the bundle is made by envbox"),
    allow(
        "coreutils",
        "links touch on hosts that have /bin apart from /usr",
    ),
    allow("dash", "diverts /bin/sh, which the package ships as a file"),
    allow(
        "dbus",
        "sets the group of a set-uid program; set-id bits are dropped",
    ),
    allow("debconf", "its database is only for configuration"),
    allow(
        "debianutils",
        "writes /etc/shells and offers which, both done by envbox",
    ),
    allow("dpkg", "its database and logs are for installing"),
    allow("emacsen-common", "registers Emacs packages"),
    allow("fontconfig", "a cache that programs do without"),
    allow(
        "fontconfig-config",
        "links the default configuration, done by envbox",
    ),
    allow("gawk", "removes links that old releases left"),
    allow("gcc", "removes links that old releases left"),
    allow("hicolor-icon-theme", "a cache that programs do without"),
    allow("init-system-helpers", "there is no init"),
    allow("install-info", "the directory of info pages"),
    allow("java-common", "places for preferences of the system"),
    allow("less", "offers pager in all releases"),
    allow(
        "libc-bin",
        "nsswitch.conf and ld.so.cache are made by envbox",
    ),
    allow(
        "libc6",
        "restarts services after upgrades, checks the kernel",
    ),
    allow(
        "libgdk-pixbuf*",
        "a cache of loaders; the common formats are built in",
    ),
    allow(
        "libglib2.0-0*",
        "caches of settings and modules that programs do without",
    ),
    allow(
        "libgtk-3-0*",
        "a cache of input methods that programs do without",
    ),
    allow("libpam-modules", "nobody logs in"),
    allow("libpam-runtime", "nobody logs in"),
    allow("libpam0g", "nobody logs in"),
    allow("libpaper1", "the paper size; programs have a default"),
    allow(
        "libpython3.*-minimal",
        "a message about a file that may be missing",
    ),
    allow("libpython3.*-testsuite", "compiles modules, done by envbox"),
    allow("libreadline8*", "removes diversions that upgrades left"),
    allow(
        "libselinux1",
        "removes caches of a policy that is not there",
    ),
    allow("locales", "compiles locales; C.UTF-8 is part of libc-bin"),
    allow("login", "nobody logs in"),
    allow("login.defs", "nobody logs in"),
    allow("man-db", "an index that man does without"),
    allow("netbase", "hosts is made by envbox"),
    allow(
        "openssh-client",
        "sets the group of a set-gid program; set-id bits are dropped",
    ),
    allow("openssl", "links /usr/lib/ssl where it is missing"),
    allow("passwd", "nobody logs in"),
    allow("perl", "cares for upgrades"),
    allow(
        "procps",
        "kernel settings, and names that programs had long ago",
    ),
    allow("python3", "compiles modules, done by envbox"),
    allow("python3-*", "compile modules, done by envbox"),
    allow("python3.*", "compile modules, done by envbox"),
    allow("readline-common", "inputrc is made by envbox"),
    allow("shared-mime-info", "a database that libraries do without"),
    allow("tzdata", "localtime and timezone are made by envbox"),
    allow("ucf", "its database is for configuration"),
    allow("usr-is-merged", "checks that /usr is merged, which it is"),
    allow("util-linux", "names that programs had long ago"),
    allow("xz-utils", "offers lzma names for xz"),
    allow(
        "zsh",
        "links /usr/bin/zsh on hosts that have /bin apart from /usr",
    ),
];

/// Says whether the scripts of a package are known although their statements are not.
pub(super) fn is_allowed(package: &DebianName) -> bool {
    ALLOWED
        .iter()
        .any(|allowed| matches(allowed.package, package.as_str()))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_families() {
        for (name, allowed) in [
            ("base-files", true),
            ("python3.11-minimal", true),
            ("libpython3.13-minimal", true),
            ("libpython3.11-testsuite", true),
            ("libpython3.13", false),
            ("libglib2.0-0t64", true),
            ("postgresql-15", false),
        ] {
            assert_eq!(is_allowed(&name.parse().unwrap()), allowed, "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        let names: Vec<&str> = ALLOWED.iter().map(|allowed| allowed.package).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(names, sorted);
    }
}
