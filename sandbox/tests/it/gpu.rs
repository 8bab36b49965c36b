//! What a policy puts into a sandbox for a GPU: nodes, links, covers, and nothing that is not asked
//! for.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use crate::harness::{Caller, as_everyone};

/// The nodes below the host's `/dev`, with what could be changed of them.
fn nodes() -> Vec<(String, u32, u32, i64)> {
    let entries = fs::read_dir("/dev").unwrap().map(Result::unwrap);
    let mut nodes: Vec<_> = entries
        .filter_map(|entry| {
            let found = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_node = found.file_type().is_char_device();
            is_node.then_some((name, found.mode(), found.uid(), found.ctime()))
        })
        .collect();
    nodes.sort();
    nodes
}

#[test]
fn a_device_opens_and_cannot_be_changed() {
    as_everyone(|world| {
        let before = nodes();
        let options = [
            ["--device", "/dev/full", "/dev/nvidiactl"],
            ["--device", "/dev/zero", "/dev/nvidia-caps/nvidia-cap3"],
        ]
        .concat();
        let look = |guest: &[&str]| world.look(&options, guest);
        assert_eq!(
            look(&[
                "open-both",
                "/dev/nvidiactl",
                "/dev/nvidia-caps/nvidia-cap3"
            ]),
            "/dev/nvidiactl: ok\n/dev/nvidia-caps/nvidia-cap3: ok\n"
        );
        assert_eq!(
            look(&["list", "/dev/nvidia-caps"]),
            "nvidia-cap3 device 1:5\n"
        );
        // Root's sandbox has the owner of the node in it.
        for node in ["/dev/nvidiactl", "/dev/null"] {
            assert_eq!(look(&["chmod", node, "600"]), "ReadOnlyFilesystem\n");
        }
        assert_eq!(look(&["mknod", "/dev/nvidia7"]), "ReadOnlyFilesystem\n");
        assert_eq!(look(&["mknod", "/tmp/nvidia7"]), "PermissionDenied\n");
        let mounts = look(&["mounts"]);
        assert!(
            mounts.contains("/dev/nvidiactl - ro,nosuid,noexec\n"),
            "{mounts}"
        );
        assert_eq!(nodes(), before);
    });
}

#[test]
fn a_device_has_to_be_one_and_to_lie_below_dev() {
    as_everyone(|world| {
        let file = world.file("file", "");
        let file = file.to_str().unwrap();
        for (source, target, error) in [
            (
                file,
                "/dev/gpu",
                format!("error: `{file}` is no character device\n"),
            ),
            (
                "/dev/null",
                "/tmp/gpu",
                "error: `/tmp/gpu` does not lie below `/dev`\n".to_owned(),
            ),
            (
                "/dev/null",
                "/dev",
                "error: `/dev` does not lie below `/dev`\n".to_owned(),
            ),
        ] {
            let output = world.output(&["--device", source, target], &["/bin/guest", "facts"]);
            assert_eq!(String::from_utf8(output.stderr).unwrap(), error);
            assert_eq!(output.status.code(), Some(125));
        }
    });
}

/// Root's own groups are dropped, and it is the owner in most cases; others cannot drop theirs, and
/// have to keep them, for that is how a host lets its users at a GPU.
#[test]
fn a_group_of_the_caller_opens_what_it_opens_outside() {
    const VIDEO: u32 = 44;
    as_everyone(|world| {
        // Only root can give a file to a group that it is not in.
        if world.caller == Caller::Current {
            return;
        }
        let node = world.file("node", "x");
        fs::set_permissions(&node, fs::Permissions::from_mode(0o660)).unwrap();
        std::os::unix::fs::chown(&node, Some(0), Some(VIDEO)).unwrap();
        let options = ["--bind", node.to_str().unwrap(), "/run/node"];
        let opens = |groups: &[&str]| {
            let mut command = std::process::Command::new("setpriv");
            command
                .args(["--reuid", "54321", "--regid", "54321"])
                .args(groups);
            command.arg(world.path("supervisor")).args(options);
            command
                .arg(world.path("rootfs"))
                .args(["/bin/guest", "open-both", "/run/node"]);
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        assert_eq!(opens(&["--groups", "44"]), "/run/node: ok\n");
        assert_eq!(opens(&["--clear-groups"]), "/run/node: PermissionDenied\n");
    });
}

#[test]
fn links_and_covers_are_seen() {
    as_everyone(|world| {
        let link = ["--link", "/run/envbox/gpu/lib/libcuda.so", "libcuda.so.1"];
        assert_eq!(
            world.look(&link, &["list", "/run/envbox/gpu/lib"]),
            "libcuda.so -> libcuda.so.1\n"
        );
        // Any file and directory that every kernel has.
        let cover = [
            ["--cover", "/proc/filesystems", "ours"],
            ["--cover", "/proc/not/there", "ours"],
        ]
        .concat();
        assert_eq!(world.look(&cover, &["cat", "/proc/filesystems"]), "ours");
        let cannot = world.look(&cover, &["open-for-writing", "/proc/filesystems"]);
        assert!(!cannot.contains(": ok"), "{cannot}");
        assert_eq!(
            world.look(&["--empty", "/proc/tty"], &["list", "/proc/tty"]),
            "\n"
        );
        assert_eq!(world.look(&["--empty", "/proc/none"], &["exit", "0"]), "");
    });
}

#[test]
fn what_is_put_into_sys_is_all_there_is() {
    as_everyone(|world| {
        let host = "/sys/devices/system/cpu/vulnerabilities";
        let there = std::path::Path::new(host).is_dir();
        let source = if there {
            host
        } else {
            "/sys/devices/system/cpu"
        };
        let target = "/sys/devices/pci0000:00/0000:04:00.0";
        let link = "/sys/bus/pci/devices/0000:04:00.0";
        let options = [
            ["--bind-read-only", source, target],
            ["--link", link, "../../../devices/pci0000:00/0000:04:00.0"],
        ]
        .concat();
        for machine in [&[][..], &["--machine"]] {
            let options = [&options[..], machine].concat();
            let through = world.look(&options, &["list", link]);
            assert_eq!(through, world.look(&options, &["list", target]));
            assert!(!through.is_empty());
            assert_eq!(
                world.look(&options, &["write", "/sys/new", "x"]),
                "ReadOnlyFilesystem\n"
            );
            let devices = world.look(&options, &["list", "/sys/bus/pci/devices"]);
            assert_eq!(devices.lines().count(), 1);
        }
        assert_eq!(
            world.look(&[], &["list", "/sys"]),
            "\n",
            "nothing without the option"
        );
    });
}
