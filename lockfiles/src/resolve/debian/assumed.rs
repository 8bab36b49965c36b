//! Dependencies that count as met although nothing meets them.
//!
//! Packages name what their maintainer scripts call together with what their programs need. No script
//! runs in an environment, so the former would only be weight: without this table the base has half as
//! many packages again, among them `dpkg`, `debconf` and `tar`.
//!
//! A dependency is in the table only when what depends on it works without. A library that a shipped
//! program links to is not a case for it; neither are packages that merely are small or dull (the
//! `gcc-12-base` of this world hold the copyright texts of others). Who wants one of these packages
//! names it in the manifest; it is then a dependency like any other.

/// Whose dependency it is.
enum Of {
    /// Every package's.
    All,
    /// Every package's but that of those named, whose programs call it.
    AllBut(&'static [&'static str]),
    /// That of those named.
    Only(&'static [&'static str]),
}

/// One row: the dependency, whose it is, and why it can be left out.
struct Row(&'static str, Of, &'static str);

/// Sorted by name.
const TABLE: [Row; 20] = [
    Row(
        "adduser",
        Of::All,
        "scripts create users for services with it",
    ),
    Row(
        "awk",
        Of::Only(&["base-files"]),
        "its script writes the first /etc files with it",
    ),
    Row("cdebconf", Of::All, "as `debconf`"),
    Row(
        "debconf",
        Of::All,
        "asks questions while packages are configured",
    ),
    Row("debconf-2.0", Of::All, "as `debconf`"),
    Row(
        "debianutils",
        Of::Only(&["bash", "dash"]),
        "their scripts register them in /etc/shells with it",
    ),
    Row(
        "dpkg",
        Of::AllBut(&["apt", "debhelper", "dpkg-dev", "libdpkg-perl"]),
        "nothing is installed inside; scripts call its helpers",
    ),
    Row(
        "emacsen-common",
        Of::All,
        "scripts compile for editors with it",
    ),
    Row(
        "init-system-helpers",
        Of::All,
        "scripts start and stop services with it",
    ),
    Row(
        "install-info",
        Of::All,
        "rebuilds a directory of manuals when packages change",
    ),
    Row(
        "libdebconfclient0",
        Of::Only(&["base-passwd"]),
        "only `update-passwd` links to it, which the script calls",
    ),
    Row(
        "libnsl2",
        Of::Only(&["libpython3.9-stdlib", "libpython3.11-stdlib"]),
        "only the module `nis` links to it, which asks a directory service on the network",
    ),
    Row(
        "libselinux1",
        Of::Only(&["base-passwd"]),
        "only `update-passwd` links to it, which the script calls",
    ),
    Row(
        "libtirpc3",
        Of::Only(&["libpython3.9-stdlib", "libpython3.11-stdlib"]),
        "as `libnsl2`; it would bring Kerberos",
    ),
    Row(
        "lsb-base",
        Of::All,
        "functions for scripts that start services",
    ),
    Row(
        "openssl",
        Of::Only(&["ca-certificates"]),
        "its script makes links by hash with it",
    ),
    Row("systemd-sysusers", Of::All, "as `adduser`"),
    Row(
        "systemd-tmpfiles",
        Of::All,
        "creates directories of services when the system starts",
    ),
    Row("sysvinit-utils", Of::All, "as `lsb-base`"),
    Row(
        "ucf",
        Of::All,
        "scripts ask with it what to do with changed configuration",
    ),
];

/// Returns why the dependency of `package` on `name` counts as met, if it does.
pub(super) fn assumed(package: &str, name: &str) -> Option<&'static str> {
    let at = TABLE.binary_search_by(|row| row.0.cmp(name)).ok()?;
    let Row(_, of, why) = &TABLE[at];
    let applies = match of {
        Of::All => true,
        Of::AllBut(others) => !others.contains(&package),
        Of::Only(those) => those.contains(&package),
    };
    applies.then_some(*why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_gives_reasons() {
        assert!(TABLE.is_sorted_by(|one, next| one.0 < next.0));
        assert!(TABLE.iter().all(|row| !row.2.is_empty()));
    }

    #[test]
    fn rows_apply_to_whom_they_name() {
        for (package, name, expected) in [
            ("tzdata", "debconf", true),
            ("base-files", "awk", true),
            ("podget", "awk", false),
            ("coreutils", "libselinux1", false),
            ("python3-minimal", "dpkg", true),
            ("libdpkg-perl", "dpkg", false),
            ("bash", "libc6", false),
        ] {
            assert_eq!(
                assumed(package, name).is_some(),
                expected,
                "{package} {name}"
            );
        }
    }
}
