//! The project and further binds.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;

use crate::harness::{World, as_everyone};

#[test]
fn an_overlay_takes_what_is_written() {
    as_everyone(|world| {
        world.file("lower/input", "from the host");
        world.file("lower/gone", "");
        assert_eq!(
            world.look_overlay(&["cat", "/project/input"]),
            "from the host"
        );
        assert_eq!(
            world.look_overlay(&["write", "/project/output", "made"]),
            "ok\n"
        );
        assert_eq!(
            world.look_overlay(&["write", "/project/input", "changed"]),
            "ok\n"
        );
        assert_eq!(world.look_overlay(&["remove", "/project/gone"]), "ok\n");
        assert_eq!(
            fs::read_to_string(world.path("upper/output")).unwrap(),
            "made"
        );
        assert_eq!(
            fs::read_to_string(world.path("upper/input")).unwrap(),
            "changed"
        );
        assert_eq!(
            fs::read_to_string(world.path("lower/input")).unwrap(),
            "from the host"
        );
        // A deletion is a whiteout: a character device 0:0, which needs no privilege to make.
        let whiteout = fs::symlink_metadata(world.path("upper/gone")).unwrap();
        assert!(whiteout.file_type().is_char_device());
        assert!(world.path("lower/gone").exists());
    });
}

#[test]
fn a_direct_project_is_written_to_and_a_read_only_one_is_not() {
    as_everyone(|world| {
        let lower = world.path("lower");
        let lower = lower.to_str().unwrap();
        let write = ["write", "/project/new", "x"];
        assert_eq!(
            world.look(&["--project-read-only", lower], &write),
            "ReadOnlyFilesystem\n"
        );
        assert!(!world.path("lower/new").exists());
        assert_eq!(world.look(&["--project", lower], &write), "ok\n");
        assert_eq!(fs::read_to_string(world.path("lower/new")).unwrap(), "x");
    });
}

#[test]
fn no_character_of_a_path_is_special() {
    let names: [&[u8]; 6] = [
        b"a b",
        b"a\nb",
        b"a,b",
        b"a:b",
        b"a\\b=c\"",
        b"caf\xe9 \xff",
    ];
    as_everyone(|world| {
        for name in names {
            let name = OsStr::from_bytes(name);
            let made = |kind: &str| {
                world.directory(OsStr::from_bytes(
                    &[kind.as_bytes(), name.as_bytes()].concat(),
                ))
            };
            let [lower, upper] = ["l", "u"].map(made);
            fs::write(lower.join("input"), "x").unwrap();
            let bind = world.directory(name);
            for (work, target) in [("v", "/project/out"), ("w", "/mnt/out")] {
                let work = made(work);
                let options = [
                    OsStr::new("--project-overlay"),
                    lower.as_os_str(),
                    upper.as_os_str(),
                    work.as_os_str(),
                    OsStr::new("--bind"),
                    bind.as_os_str(),
                    OsStr::new("/mnt"),
                ];
                let output = world.output(&options, &["/bin/guest", "write", target, "y"]);
                assert_eq!(
                    output.stdout,
                    b"ok\n",
                    "{name:?} {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            assert_eq!(fs::read_to_string(upper.join("out")).unwrap(), "y");
            assert_eq!(fs::read_to_string(bind.join("out")).unwrap(), "y");
        }
    });
}

#[test]
fn binds_get_their_mount_points_in_private_directories() {
    as_everyone(|world| {
        let file = world.file("data.csv", "1,2");
        let file = file.to_str().unwrap();
        for target in ["/tmp/deep/er/data.csv", "/home/envbox/.cache/data.csv"] {
            let options = ["--bind-read-only", file, target];
            assert_eq!(world.look(&options, &["cat", target]), "1,2");
            assert_eq!(
                world.look(&options, &["write", target, "x"]),
                "ReadOnlyFilesystem\n"
            );
        }
    });
}

/// Anywhere in the rootfs, of which nothing is touched, and which looks as without.
#[test]
fn binds_get_their_mount_points_where_the_rootfs_has_none() {
    as_everyone(|world| {
        let file = world.file("data.csv", "1,2");
        let file = file.to_str().unwrap();
        let directory = world.directory("out");
        let directory = directory.to_str().unwrap();
        fs::create_dir_all(world.path("rootfs/usr/share")).unwrap();
        fs::write(world.path("rootfs/usr/share/there"), "there").unwrap();
        let list = |world: &World| {
            let find = std::process::Command::new("find")
                .arg(world.path("rootfs"))
                .output();
            find.unwrap().stdout
        };
        let before = list(world);
        let options = [
            "--bind-read-only",
            file,
            "/data/deep/er.csv",
            "--bind-read-only",
            file,
            "/usr/share/data.csv",
            "--bind",
            directory,
            "/usr/out",
        ];
        let look = |guest: &[&str]| world.look(&options, guest);
        for target in ["/data/deep/er.csv", "/usr/share/data.csv"] {
            assert_eq!(look(&["cat", target]), "1,2");
            assert_eq!(look(&["write", target, "x"]), "ReadOnlyFilesystem\n");
        }
        assert_eq!(look(&["cat", "/usr/share/there"]), "there");
        assert_eq!(look(&["write", "/usr/out/x", "y"]), "ok\n");
        assert_eq!(look(&["write", "/data/x", "y"]), "ReadOnlyFilesystem\n");
        assert_eq!(look(&["write", "/usr/x", "y"]), "ReadOnlyFilesystem\n");
        assert_eq!(fs::read_to_string(world.path("out/x")).unwrap(), "y");
        assert_eq!(list(world), before);
    });
}

#[test]
fn a_missing_mount_point_is_named() {
    as_everyone(|world| {
        fs::remove_dir(world.path("rootfs/run")).unwrap();
        let output = world.output::<&str, _>(&[], &["/bin/guest", "facts"]);
        assert_eq!(output.status.code(), Some(125));
        insta::allow_duplicates! {
            let rootfs = world.path("rootfs").to_str().unwrap().to_owned();
            let text = String::from_utf8(output.stderr).unwrap().replace(&rootfs, "[ROOTFS]");
            insta::assert_snapshot!(text.trim_end(), @"error: the rootfs `[ROOTFS]` has no mount point `/run`");
        }
    });
}

#[test]
fn a_link_in_the_rootfs_does_not_lead_to_the_host() {
    as_everyone(|world| {
        let target = world.directory("target");
        fs::remove_dir(world.path("rootfs/tmp")).unwrap();
        std::os::unix::fs::symlink(&target, world.path("rootfs/tmp")).unwrap();
        let file = world.file("data", "x");
        let options = ["--bind", file.to_str().unwrap(), "/tmp/made"];
        let output = world.output(&options, &["/bin/guest", "facts"]);
        assert_eq!(output.status.code(), Some(125));
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    });
}
