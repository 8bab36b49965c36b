use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain as _, Kind, Platform};
use envbox_lockfiles::lock::{Artifact, LockedCondaPackage, Origin};

use crate::layers::LinkScript;
use crate::rootfs::RootfsError;
use crate::rootfs::conda::in_order;
use crate::rootfs::link_scripts::allowed;
use crate::rootfs::merge::{Merged, Source};
use crate::rootfs::packages::Package;
use crate::rootfs::parts::Contents;
use crate::store::{EntryKind, TreeEntry, TreeManifest};

fn directory(mode: u32) -> TreeEntry {
    let kind = EntryKind::Directory;
    TreeEntry { mode, kind }
}

fn file(content: &str) -> TreeEntry {
    let (size, digest) = (content.len() as u64, Digest::of(content.as_bytes()));
    let kind = EntryKind::File { size, digest };
    TreeEntry { mode: 0o644, kind }
}

fn link(target: &str) -> TreeEntry {
    let target = PathBuf::from(target);
    let kind = EntryKind::Symlink { target };
    TreeEntry { mode: 0, kind }
}

fn package(name: &str, contents: Contents, entries: &[(&str, TreeEntry)]) -> Package {
    let entries = entries
        .iter()
        .map(|(path, entry)| (path.as_bytes().to_vec(), entry.clone()));
    Package {
        name: name.to_owned(),
        contents,
        path: PathBuf::new(),
        manifest: TreeManifest {
            entries: entries.collect(),
        },
    }
}

fn deb(name: &str, entries: &[(&str, TreeEntry)]) -> Package {
    package(name, Contents::Debian(name.parse().unwrap()), entries)
}

fn wheel(name: &str, entries: &[(&str, TreeEntry)]) -> Package {
    let contents = Contents::Wheel {
        name: name.parse().unwrap(),
        requested: false,
    };
    package(name, contents, entries)
}

fn locked(name: &str, required_by: &[&str]) -> LockedCondaPackage {
    LockedCondaPackage {
        name: name.parse().unwrap(),
        version: "1".into(),
        build: "0".into(),
        platforms: vec![Platform::LinuxAmd64],
        artifact: Artifact {
            origin: Origin::Registry("tiny".parse().unwrap()),
            file: format!("linux-64/{name}-1-0.conda"),
            size: 1,
            digest: Digest::of(name.as_bytes()),
        },
        python: Vec::new(),
        required_by: required_by.iter().map(|&by| by.to_owned()).collect(),
    }
}

fn conda(name: &str, entries: &[(&str, TreeEntry)]) -> Package {
    package(name, Contents::Conda(Box::new(locked(name, &[]))), entries)
}

#[test]
fn packages_are_joined() {
    let packages = [
        deb(
            "one",
            &[
                ("usr", directory(0o700)),
                ("usr/a", file("a")),
                ("same", file("x")),
            ],
        ),
        deb(
            "two",
            &[
                ("usr", directory(0o055)),
                ("usr/b", link("a")),
                ("same", file("x")),
            ],
        ),
    ];
    let merged = Merged::of(&packages).unwrap();
    assert_eq!(merged.get("usr").unwrap().entry.mode, 0o755);
    assert_eq!(merged.get("usr/a").unwrap().source, Source::Package(0));
    assert_eq!(merged.resolve(b"usr/b").as_deref(), Some(&b"usr/a"[..]));
    assert_eq!(merged.get("same").unwrap().source, Source::Package(0));
    assert!(merged.warnings(&packages).is_empty());
}

#[test]
fn disagreements_name_both() {
    for (first, second) in [
        (
            deb("one", &[("etc/x", file("1"))]),
            deb("two", &[("etc/x", file("2"))]),
        ),
        (
            deb("one", &[("etc/x", file("1"))]),
            wheel("two", &[("etc/x", file("2"))]),
        ),
        (
            deb("one", &[("etc/x", directory(0o755))]),
            deb("two", &[("etc/x", link("y"))]),
        ),
        (
            wheel("one", &[("etc/x", directory(0o755))]),
            wheel("two", &[("etc/x", file("1"))]),
        ),
    ] {
        let error = Merged::of(&[first, second]).unwrap_err();
        assert!(matches!(error, RootfsError::Conflict { .. }), "{error}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"`one` and `two` have different files at `/etc/x`");
        }
        assert_eq!(error.hints(), ["ask for `one` or `two`, not for both"]);
    }
}

#[test]
fn of_two_wheels_the_later_one_is_taken_and_told() {
    let packages = [
        wheel("one", &[("opt/x.py", file("1")), ("opt/y.py", file("1"))]),
        wheel("two", &[("opt/x.py", file("2")), ("opt/y.py", file("2"))]),
    ];
    let merged = Merged::of(&packages).unwrap();
    assert_eq!(merged.get("opt/x.py").unwrap().source, Source::Package(1));
    let warnings = merged.warnings(&packages);
    insta::assert_snapshot!(warnings.join("\n"), @"`one` and `two` have different files at `/opt/x.py`, and maybe elsewhere; those of `two` are used");
}

#[test]
fn links_may_lead_in_circles() {
    let packages = [deb(
        "one",
        &[("a", link("b")), ("b", link("a")), ("up", link("../../a"))],
    )];
    let merged = Merged::of(&packages).unwrap();
    assert_eq!(merged.resolve(b"a"), None);
    assert_eq!(merged.resolve(b"up"), None);
}

#[test]
fn of_two_conda_packages_the_later_one_is_taken_and_told() {
    let executable = TreeEntry {
        mode: 0o755,
        ..file("same")
    };
    let packages = [
        conda(
            "one",
            &[("opt/env/x", file("1")), ("opt/env/same", file("same"))],
        ),
        conda(
            "two",
            &[("opt/env/x", file("2")), ("opt/env/same", executable)],
        ),
    ];
    let merged = Merged::of(&packages).unwrap();
    assert_eq!(merged.get("opt/env/x").unwrap().source, Source::Package(1));
    let warnings = merged.warnings(&packages);
    insta::assert_snapshot!(warnings.join("\n"), @"`one` and `two` have different files at `/opt/env/x`, and maybe elsewhere; those of `two` are used");
    let packages = [
        conda("one", &[("opt/env/x", file("1"))]),
        conda("two", &[("opt/env/x", directory(0o755))]),
    ];
    let error = Merged::of(&packages).unwrap_err();
    insta::assert_snapshot!(error, @"`one` and `two` have different files at `/opt/env/x`");
}

#[test]
fn no_wheel_replaces_a_file_of_conda() {
    let packages = [
        conda("one", &[("opt/env/x", file("1"))]),
        wheel("two", &[("opt/env/x", file("2"))]),
    ];
    let merged = Merged::of(&packages).unwrap();
    assert_eq!(merged.get("opt/env/x").unwrap().source, Source::Package(0));
    let warnings = merged.warnings(&packages);
    insta::assert_snapshot!(warnings.join("\n"), @"`one` and `two` have different files at `/opt/env/x`, and maybe elsewhere; those of `one` are used");
}

#[test]
fn packages_follow_those_that_they_need() {
    let order = |packages: &[(&str, &[&str])]| {
        let packages: Vec<_> = packages.iter().map(|(name, by)| locked(name, by)).collect();
        let order = in_order(&packages, Platform::LinuxAmd64);
        let names: Vec<&str> = order.iter().map(|package| package.name.as_str()).collect();
        names.join(" ")
    };
    // `a` needs `z`, and `z` needs `m`.
    let packages: [(&str, &[&str]); 4] = [
        ("a", &["manifest"]),
        ("b", &["manifest"]),
        ("m", &["z"]),
        ("z", &["a"]),
    ];
    assert_eq!(order(&packages), "b m z a");
    // `b` and `c` need each other, and `d` needs `c`.
    let packages: [(&str, &[&str]); 3] = [("b", &["c"]), ("c", &["b", "d"]), ("d", &["manifest"])];
    assert_eq!(order(&packages), "b c d");
    assert!(in_order(&[locked("a", &[])], Platform::LinuxArm64).is_empty());
}

#[test]
fn scripts_are_refused_unless_they_are_allowed() {
    let with = |name: &str, script: LinkScript| conda(name, &[(&script.path(name), file("x"))]);
    let packages = [
        with("one", LinkScript::Post),
        conda("plain", &[]),
        with("two", LinkScript::Post),
    ];
    let error = allowed(&packages, &[]).unwrap_err();
    insta::assert_snapshot!(error, @"these packages run a script when they are installed, which the manifest does not allow: one, two");
    assert_eq!(error.kind(), Kind::User);
    insta::assert_snapshot!(error.hints().join("\n"), @r#"read them, then allow them with `link-scripts = ["one", "two"]` in `[conda]`"#);
    let names = ["one", "two", "other"].map(|name| name.parse().unwrap());
    let runs = allowed(&packages, &names).unwrap();
    let runs: Vec<&str> = runs.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(runs, ["one", "two"]);
    let error = allowed(&[with("old", LinkScript::Pre)], &["old".parse().unwrap()]).unwrap_err();
    insta::assert_snapshot!(error, @"`old` has a `pre-link` script, and envbox installs packages without such a step");
}
