//! `/etc/passwd` and `/etc/group`.

use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;

/// The user and group that every step runs as.
const ID: u32 = 1000;

/// What a system without `base-passwd` has.
const PASSWD: &str = "root:*:0:0:root:/root:/bin/sh\n\
                      nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:*:0:\nnogroup:*:65534:\n";

/// Writes both, from the image's own or from the lists that Debian has for every system, with the step's user.
pub(super) fn write(fixups: &mut Fixups<'_>) -> Result<(), RootfsError> {
    let shell = ["/bin/bash", "/bin/sh"]
        .into_iter()
        .find(|shell| fixups.merged.exists(shell))
        .unwrap_or("/bin/sh");
    let user = format!("envbox:x:{ID}:{ID}:envbox:/home/envbox:{shell}\n");
    let group = format!("envbox:x:{ID}:\n");
    for (path, master, default, line) in [
        (
            "etc/passwd",
            "usr/share/base-passwd/passwd.master",
            PASSWD,
            user,
        ),
        (
            "etc/group",
            "usr/share/base-passwd/group.master",
            GROUP,
            group,
        ),
    ] {
        let source = if fixups.on_image() { path } else { master };
        let list = fixups.read(source)?.unwrap_or_else(|| default.into());
        let mut list = without_user(&list);
        list.extend_from_slice(line.as_bytes());
        fixups.file(path, list);
    }
    Ok(())
}

/// Leaves out whoever has the step's name or number: the first line of a number names it.
fn without_user(list: &[u8]) -> Vec<u8> {
    let number = ID.to_string();
    let mut kept = Vec::new();
    for line in list.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b':');
        let (name, id) = (fields.next(), fields.nth(1));
        let taken = name == Some(b"envbox") || id == Some(number.as_bytes());
        if !line.is_empty() && !taken {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
    }
    kept
}
