//! Where host paths may and may not be bound.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn source_and_target_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("with:colon"), "").unwrap();
    let read = |text: &str| {
        let bind = HostBind::parse(OsStr::new(text), false, root.path());
        bind.map(|bind| {
            let source = bind.source.strip_prefix(root.path()).map(PathBuf::from);
            let source = source.unwrap_or(bind.source);
            let target = bind.target.unwrap_or_default();
            format!("{} {}", source.display(), target.display())
        })
        .unwrap_or_else(|error| error.to_string())
    };
    for (text, expected) in [
        ("/data", "/data "),
        ("data", "data "),
        ("./a/../b", "b "),
        ("/data:/x", "/data /x"),
        ("/a:b:/a:b", "/a:b /a:b"),
        ("/a:/b:/c", "/a:/b /c"),
        ("with:colon", "with:colon "),
        (
            "/data:x",
            "the target `x` of a bind is not an absolute path",
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn what_is_the_sandboxs_own_stays() {
    let root = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(root.path()).unwrap();
    let (rootfs, project) = (root.join("rootfs"), root.join("project"));
    for made in [
        "rootfs/usr/bin",
        "rootfs/mnt",
        "project/data",
        "store",
        "source/sub",
    ] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    for made in ["rootfs/usr/file", "project/file", "file"] {
        fs::write(root.join(made), "").unwrap();
    }
    symlink("/usr", rootfs.join("absolute")).unwrap();
    let inputs = [Input {
        path: PathBuf::from("declared/x"),
        digest: envbox_lockfiles::base::Digest::of(b""),
        source: root.join("file"),
    }];
    let around = Around {
        rootfs: &rootfs,
        project: &project,
        store: &root.join("store"),
        access: Access::Overlay,
        inputs: &inputs,
    };
    let bind = |source: &str, target: &str| HostBind {
        source: root.join(source),
        target: Some(PathBuf::from(target)),
        writable: true,
    };
    let check = |binds: &[HostBind]| match around.check(binds) {
        Ok(all) => all
            .iter()
            .map(|one| {
                format!(
                    "{}{} ",
                    one.target.display(),
                    if one.covers { "!" } else { "" }
                )
            })
            .collect(),
        Err(error) => error.to_string().replace(root.to_str().unwrap(), "[ROOT]"),
    };
    let mut all = String::new();
    for target in [
        "/",
        "/proc",
        "/proc/x",
        "/dev",
        "/dev/null",
        "/dev/shm",
        "/dev/shm/x",
        "/sys/x",
        "/project",
        "/project/new/x",
        "/project/data",
        "/project/file",
        "/project/file/x",
        "/project/declared",
        "/etc",
        "/etc/passwd",
        "/etc/ssl",
        "/run",
        "/run/x",
        "/run/envbox/held",
        "/opt",
        "/opt/env",
        "/opt/env/lib/x",
        "/home",
        "/home/envbox",
        "/home/user",
        "/tmp",
        "/tmp/x",
        "/usr",
        "/usr/bin",
        "/mnt",
        "/usr/file",
        "/usr/file/x",
        "/absolute/x",
        "/data/../mnt",
        "relative",
    ] {
        all += &format!("{target}: {}\n", check(&[bind("source", target)]));
    }
    insta::assert_snapshot!(all, @r#"
    /: a bind on `/` would hide `/dev`, which is the sandbox's own
    /proc: a bind on `/proc` would hide `/proc`, which is the sandbox's own
    /proc/x: a bind on `/proc/x` would hide `/proc`, which is the sandbox's own
    /dev: a bind on `/dev` would hide `/dev`, which is the sandbox's own
    /dev/null: a bind on `/dev/null` would hide `/dev`, which is the sandbox's own
    /dev/shm: /dev/shm 
    /dev/shm/x: /dev/shm/x 
    /sys/x: a bind on `/sys/x` would hide `/sys`, which is the sandbox's own
    /project: a bind on `/project` would hide `/project`, which is the sandbox's own
    /project/new/x: /project/new/x 
    /project/data: /project/data 
    /project/file: `[ROOT]/source` cannot be bound on `/project/file`: one is a directory, and the other is not
    /project/file/x: `/project/file`, on the way to the target `/project/file/x` of a bind, is no directory
    /project/declared: a bind on `/project/declared` would hide `declared/x`, which `[data]` declares
    /etc: a bind on `/etc` would hide `/etc/envbox`, which is the sandbox's own
    /etc/passwd: a bind on `/etc/passwd` would hide `/etc/passwd`, which is the sandbox's own
    /etc/ssl: /etc/ssl 
    /run: a bind on `/run` would hide `/run/envbox`, which is the sandbox's own
    /run/x: /run/x 
    /run/envbox/held: a bind on `/run/envbox/held` would hide `/run/envbox`, which is the sandbox's own
    /opt: a bind on `/opt` would hide `/opt/env`, which is the sandbox's own
    /opt/env: a bind on `/opt/env` would hide `/opt/env`, which is the sandbox's own
    /opt/env/lib/x: /opt/env/lib/x 
    /home: a bind on `/home` would hide `/home/envbox`, which is the sandbox's own
    /home/envbox: /home/envbox 
    /home/user: /home/user 
    /tmp: /tmp 
    /tmp/x: /tmp/x 
    /usr: /usr! 
    /usr/bin: /usr/bin 
    /mnt: /mnt 
    /usr/file: `[ROOT]/source` cannot be bound on `/usr/file`: one is a directory, and the other is not
    /usr/file/x: `/usr/file`, on the way to the target `/usr/file/x` of a bind, is no directory
    /absolute/x: /absolute/x 
    /data/../mnt: /mnt 
    relative: the target `relative` of a bind is not an absolute path
    "#);
    for (binds, expected) in [
        (vec![bind("none", "/x")], "failed to bind `[ROOT]/none`"),
        (
            vec![bind("file", "/x"), bind("source", "/x/")],
            "two binds have the target `/x`",
        ),
        (
            vec![bind("source/sub", "/x/sub"), bind("source", "/x")],
            "/x /x/sub ",
        ),
        (
            vec![bind("source", "/x"), bind("file", "/x/none")],
            "there is nothing at `/x/none` to bind on, and `/x` is not envbox's to make it in",
        ),
        (
            vec![bind("file", "/mnt")],
            "`[ROOT]/file` cannot be bound on `/mnt`: one is a directory, and the other is not",
        ),
        (
            vec![bind(".", "/x")],
            "the store `[ROOT]/store` is in `[ROOT]/.`, and a step must not write to it",
        ),
    ] {
        assert_eq!(check(&binds), expected);
    }
}
