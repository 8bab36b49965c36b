//! Certificates of the authorities that programs trust.

use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;
use crate::store::EntryKind;

/// Where `ca-certificates` keeps them, one file each.
const SOURCES: &str = "usr/share/ca-certificates/";

const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Writes the bundle, and the links under which libraries look for it.
///
/// The bundle has the bytes that update-ca-certificates(8) writes: the files in the order of their
/// paths' bytes, each with a newline at its end.
pub(super) fn write(fixups: &mut Fixups<'_>) -> Result<(), RootfsError> {
    let sources: Vec<String> = fixups
        .merged
        .nodes
        .range(SOURCES.as_bytes().to_vec()..)
        .take_while(|(path, _)| path.starts_with(SOURCES.as_bytes()))
        .filter(|(path, node)| {
            path.ends_with(b".crt") && matches!(node.entry.kind, EntryKind::File { .. })
        })
        .map(|(path, _)| String::from_utf8_lossy(path).into_owned())
        .collect();
    // An image's bundle may have more than the package gives it.
    let has_own = fixups.on_image() && fixups.merged.exists(BUNDLE);
    if sources.is_empty() || has_own {
        return Ok(());
    }
    let mut bundle = Vec::new();
    for source in sources {
        bundle.extend(fixups.read(&source)?.unwrap_or_default());
        if !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    fixups.file(BUNDLE, bundle);
    // OpenSSL of Debian, and of standalone interpreters.
    fixups.link("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt");
    fixups.link("usr/lib/ssl/certs", "/etc/ssl/certs");
    fixups.link("etc/ssl/cert.pem", "certs/ca-certificates.crt");
    Ok(())
}
