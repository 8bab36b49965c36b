use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain as _};

use crate::rootfs::RootfsError;
use crate::rootfs::bytecode::{bytecode_of, module_of};
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
fn bytecode_lies_where_the_import_system_looks() {
    let python = crate::layers::PythonTarget {
        major: 3,
        minor: 11,
    };
    for (module, bytecode) in [
        ("a/b.py", "a/__pycache__/b.cpython-311.pyc"),
        ("a/b.c.py", "a/__pycache__/b.c.cpython-311.pyc"),
        ("b.py", "__pycache__/b.cpython-311.pyc"),
    ] {
        assert_eq!(bytecode_of(module.as_bytes(), python), bytecode.as_bytes());
        if module.contains('/') {
            assert_eq!(
                module_of(bytecode.as_bytes()).as_deref(),
                Some(module.as_bytes())
            );
        }
    }
    for other in [
        "a/__pycache__",
        "a/b.py",
        "a/b.cpython-311.pyc",
        "__pycache__/b.pyc",
    ] {
        assert_eq!(module_of(other.as_bytes()), None, "{other}");
    }
}
