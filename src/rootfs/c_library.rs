//! Which C library an image has.

use std::fs::File;
use std::io::Read as _;

use envbox_lockfiles::base::{FsError, Platform};

use crate::rootfs::RootfsError;
use crate::rootfs::merge::Merged;
use crate::rootfs::packages::Package;

/// What the library says of itself when it is run; all of them have it.
const BANNER: &[u8] = b"GNU C Library (";
const VERSION: &[u8] = b" release version ";

/// Far more than any has.
const SIZE_LIMIT: u64 = 64 << 20;

/// Returns the version of the GNU C library of `image`, read from the library's own file, whoever
/// packaged it.
pub(super) fn version(
    image: Package,
    platform: Platform,
) -> Result<Option<(u16, u16)>, RootfsError> {
    let packages = [image];
    let merged = Merged::of(&packages)?;
    let multiarch = platform.multiarch();
    for directory in [
        &format!("lib/{multiarch}"),
        &format!("usr/lib/{multiarch}"),
        "lib64",
        "usr/lib64",
        "lib",
        "usr/lib",
    ] {
        let path = format!("{directory}/libc.so.6");
        let Some(path) = merged.resolve(path.as_bytes()) else {
            continue;
        };
        let Some(host) = merged.host_path(&packages, &path) else {
            continue;
        };
        let file = File::open(&host).map_err(FsError::at("read", &host))?;
        let mut bytes = Vec::new();
        let read = file.take(SIZE_LIMIT).read_to_end(&mut bytes);
        read.map_err(FsError::at("read", &host))?;
        if let Some(version) = in_banner(&bytes) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

fn in_banner(bytes: &[u8]) -> Option<(u16, u16)> {
    let find = |bytes: &[u8], word: &[u8]| {
        let at = bytes
            .windows(word.len())
            .position(|window| window == word)?;
        Some(at + word.len())
    };
    let banner = &bytes[find(bytes, BANNER)?..];
    let banner = &banner[..banner.len().min(200)];
    let version = &banner[find(banner, VERSION)?..];
    let mut numbers = version.split(|byte| !byte.is_ascii_digit());
    let mut number = || std::str::from_utf8(numbers.next()?).ok()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_is_read() {
        for (text, version) in [
            (
                "\0GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n",
                Some((2, 36)),
            ),
            (
                "GNU C Library (GNU libc) development release version 2.39.9000.",
                Some((2, 39)),
            ),
            ("GNU C Library (", None),
            ("musl libc (x86_64)", None),
            ("", None),
        ] {
            assert_eq!(in_banner(text.as_bytes()), version, "{text}");
        }
    }
}
