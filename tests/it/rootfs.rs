//! What is made of the packages: the same tree on every machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use envbox::base::{Digest, Platform};
use envbox::lock::{Artifact, LockedArchive, LockedInterpreter, Origin};
use envbox::manifest::InterpreterSource;

use crate::debs;
use crate::support::{User, World};

const MANIFEST: &str =
    "[environment]\nname = \"tools\"\npython = \"3.11\"\n[debian]\nsuite = \"bookworm\"\n";

/// Plays the interpreter: says of each module how long its bytecode is, and gives it. The
/// package's directory is its last argument. A module named `bad`, and envbox's own, are none.
pub const INTERPRETER: &str = r#"#!/bin/sh
for directory; do :; done
tr '\000' '\n' | while read module; do
    case $module in
    *bad*|*_envbox*) printf '\000\000\000\000' ;;
    *) read line < "$directory/$module"; printf '\005\000\000\000%s' "$line" ;;
    esac
done
"#;

/// A project whose environment has an interpreter and a few modules.
fn world(user: User) -> (World, String) {
    let world = World::new(user);
    let interpreter = LockedInterpreter {
        from: InterpreterSource::Debian,
        version: "3.11.2".to_owned(),
        path: "/usr/bin/python3.11".to_owned(),
        archives: Vec::new(),
    };
    let library = [
        ("usr/lib/python3.11/bad.py", 0o644, "lines"),
        ("usr/lib/python3.11/good.py", 0o644, "1line\n"),
        ("usr/lib/python3.11/package/__init__.py", 0o644, "2line\n"),
        ("usr/share/elsewhere.py", 0o644, "3line\n"),
        ("usr/bin/python3.11", 0o755, INTERPRETER),
    ];
    let debs = [
        (
            "python3.11-minimal",
            debs::deb_of("python3.11-minimal", &library),
        ),
        ("tools", debs::deb()),
    ];
    let registry = debs::install_packages(&world, MANIFEST, Some(interpreter), &debs);
    (world, registry)
}

/// Builds the environment under these conditions and returns its directory.
fn built(world: &World, registry: &str, conditions: &str) -> PathBuf {
    let run = world.command(&["run", "--frozen", "--registry", registry, "--", "true"]);
    let script = format!("{conditions}; exec \"$@\"");
    let mut shell = world.shell(&script);
    shell.arg("sh").arg(run.get_program()).args(run.get_args());
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let store = world.path().join("home/.cache/envbox/rootfs");
    let entries = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let trees: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(trees.len(), 1);
    trees.into_iter().next().unwrap()
}

/// Returns everything that a step could tell of a tree: type, mode, size, time and content.
fn facts(tree: &Path) -> BTreeMap<PathBuf, String> {
    let mut facts = BTreeMap::new();
    let mut open = vec![tree.to_path_buf()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if metadata.is_file() {
            Digest::of(&fs::read(&path).unwrap()).to_string()
        } else {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            String::new()
        };
        let (mode, time) = (metadata.permissions().mode(), metadata.mtime());
        let name = path.strip_prefix(tree).unwrap().to_path_buf();
        facts.insert(
            name,
            format!("{mode:o} {time}.{} {content}", metadata.mtime_nsec()),
        );
    }
    facts
}

#[test]
fn a_rootfs_is_equal_everywhere() {
    let mut all = Vec::new();
    for (user, conditions) in [
        (User::Current, "umask 022"),
        (
            User::Current,
            "umask 077; export TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8",
        ),
        (
            User::Unprivileged,
            "umask 000; export SOURCE_DATE_EPOCH=1 PYTHONHASHSEED=7",
        ),
    ] {
        let (world, registry) = world(user);
        all.push(facts(&built(&world, &registry, conditions)));
    }
    assert!(all[0].len() > 50, "{:?}", all[0]);
    for other in &all[1..] {
        for (path, fact) in &all[0] {
            assert_eq!(other.get(path), Some(fact), "{}", path.display());
        }
        assert_eq!(all[0].len(), other.len());
    }
}

#[test]
fn modules_are_compiled_by_the_environments_interpreter() {
    let (world, registry) = world(User::Unprivileged);
    let tree = built(&world, &registry, "true");
    let of = |path: &str| fs::read_to_string(tree.join(path)).ok();
    let cached = |name: &str| format!("usr/lib/python3.11/{name}.cpython-311.pyc");
    assert_eq!(of(&cached("__pycache__/good")).as_deref(), Some("1line"));
    let inner = cached("package/__pycache__/__init__");
    assert_eq!(of(&inner).as_deref(), Some("2line"));
    assert_eq!(of(&cached("__pycache__/bad")), None);
    assert!(!tree.join("usr/share/__pycache__").exists());
}

/// The lock of a standalone interpreter in this archive, which is the registry's `python.tar.gz`.
pub fn standalone(archive: &[u8]) -> LockedInterpreter {
    LockedInterpreter {
        from: InterpreterSource::Standalone,
        version: "3.12.1".to_owned(),
        path: "/opt/python/bin/python3.12".to_owned(),
        archives: vec![LockedArchive {
            platform: Platform::LinuxAmd64,
            artifact: Artifact {
                origin: Origin::Registry("python-build-standalone".parse().unwrap()),
                file: "python.tar.gz".to_owned(),
                size: archive.len() as u64,
                digest: Digest::of(archive),
            },
        }],
    }
}

#[test]
fn a_standalone_interpreter_comes_from_its_own_registry() {
    let world = World::new(User::Unprivileged);
    let archive = debs::tar_gz(&[
        ("python/bin/python3.12", 0o755, INTERPRETER),
        ("python/lib/python3.12/good.py", 0o644, "1line\n"),
    ]);
    let mirror = world.path().join("mirror");
    fs::create_dir(&mirror).unwrap();
    fs::write(mirror.join("python.tar.gz"), &archive).unwrap();
    let interpreter = standalone(&archive);
    let manifest = MANIFEST.replace("\"3.11\"", "{ version = \"3.12\", from = \"standalone\" }");
    let tools = [("tools", debs::deb())];
    let debian = debs::install_packages(&world, &manifest, Some(interpreter), &tools);
    let mirror = format!("python-build-standalone={}", mirror.display());
    let run = world.run(&[
        "run",
        "--frozen",
        "--registry",
        &debian,
        "--registry",
        &mirror,
        "--",
        "sh",
        "-c",
        "readlink -f /opt/env/bin/python; cat /opt/python/lib/python3.12/__pycache__/*",
    ]);
    assert_eq!(
        run.stdout(),
        "/opt/python/bin/python3.12\n1line",
        "{}",
        run.stderr()
    );
}

#[test]
fn an_interpreter_that_does_not_work_is_told() {
    let (world, registry) = world(User::Current);
    let interpreter = LockedInterpreter {
        from: InterpreterSource::Debian,
        version: "3.11.2".to_owned(),
        path: "/usr/bin/python3.11".to_owned(),
        archives: Vec::new(),
    };
    let broken = [
        (
            "usr/bin/python3.11",
            0o755,
            "#!/bin/sh\necho no such library >&2; exit 1\n",
        ),
        ("usr/lib/python3.11/good.py", 0o644, "1line\n"),
    ];
    let debs = [
        (
            "python3.11-minimal",
            debs::deb_of("python3.11-minimal", &broken),
        ),
        ("tools", debs::deb()),
    ];
    debs::install_packages(&world, MANIFEST, Some(interpreter), &debs);
    let run = world.run(&["run", "--frozen", "--registry", &registry, "--", "true"]);
    insta::assert_snapshot!(run.whole(), @r"
    exit: 125
    -- stdout
    -- stderr
    error: `/usr/bin/python3.11` failed to compile the modules of `python3.11-minimal`: no such library

    hint: report this, with the lockfile and the lines above
    ");
}

#[test]
fn the_linker_finds_libraries_as_its_own_tools_read_the_cache() {
    let (world, registry) = world(User::Current);
    let cache = built(&world, &registry, "true").join("etc/ld.so.cache");
    let ldconfig = Command::new("/sbin/ldconfig")
        .arg("-p")
        .arg("-C")
        .arg(cache)
        .output()
        .unwrap();
    let text = String::from_utf8(ldconfig.stdout).unwrap();
    assert!(text.contains("libc.so.6 (libc6,x86-64"), "{text}");
}
