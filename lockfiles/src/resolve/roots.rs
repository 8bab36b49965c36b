//! The Debian packages that every environment begins with.

/// Enough to run programs and wheels: the C library and what wheels link to without saying so, a
/// shell with the commands that scripts and `subprocess(shell=True)` take for granted, names of
/// users and services, certificate authorities and time zones. About 20 MB unpacked without the
/// interpreter. Nothing that installs packages.
pub const BASE: [&str; 17] = [
    "base-files",
    "base-passwd",
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    // `ldconfig`, without which `ctypes.util.find_library` finds nothing, and the C.UTF-8 locale.
    "libc-bin",
    "libc6",
    // These three are outside of what manylinux wheels bring along (PEP 600), and no wheel
    // declares them: scikit-learn, XGBoost and LightGBM fail to import without.
    "libgcc-s1",
    "libgomp1",
    "libstdc++6",
    "media-types",
    // `/etc/services` and `/etc/protocols`.
    "netbase",
    "sed",
    "tzdata",
];

/// What conda packages need at least: they bring all but the C library.
pub(super) const BARE_BASE: [&str; 1] = ["libc6"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DebianName;

    #[test]
    fn names_are_valid_sorted_and_once() {
        assert!(BASE.is_sorted_by(|a, b| a < b));
        for name in BASE {
            assert!(name.parse::<DebianName>().is_ok(), "{name}");
        }
    }
}
