//! Licences, as packages state them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::Digest;

use crate::attest::tests::{AMD64, lock};
use crate::attest::{AttestError, Licence, Licences};

const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: glibc

Files: *
Copyright: 1991 Somebody
License: LGPL-2.1+

Files: inet/*
Copyright: 1996 Somebody
License: Inner-Net and LGPL-2.1+

Files: tools/*
License: GPL-1+ or Artistic~perl

Files: debian/* debian/patches/*
License: GPL-3+

License: Inner-Net
 Redistribution is allowed.
 .
 In every form.
";

fn write(tree: &Path, file: &str, text: &str) {
    let file = tree.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// Trees for [`lock`]: each kind of package says its licence in its own way.
pub(super) fn trees(directory: &Path) -> BTreeMap<Digest, PathBuf> {
    let lock = lock();
    let mut trees = BTreeMap::new();
    let mut tree = |digest: Digest, name: &str| {
        let tree = directory.join(name);
        fs::create_dir_all(&tree).unwrap();
        trees.insert(digest, tree.clone());
        tree
    };
    let [libc, libstdcxx] = &lock.debian.packages[..] else {
        panic!("two packages");
    };
    let libc = tree(libc.artifact.digest, "libc6");
    write(&libc, "usr/share/doc/libc6/copyright", COPYRIGHT);
    let libstdcxx = tree(libstdcxx.artifact.digest, "libstdc++6");
    fs::create_dir_all(libstdcxx.join("usr/share/doc")).unwrap();
    symlink("libc6", libstdcxx.join("usr/share/doc/libstdc++6")).unwrap();
    let archives = &lock.interpreter.as_ref().unwrap().archives;
    for archive in archives {
        let python = tree(archive.artifact.digest, archive.platform.machine());
        let text = "A. HISTORY\n\nPYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n";
        write(&python, "opt/python/lib/python3.11/LICENSE.txt", text);
    }
    let metadata = [
        "Metadata-Version: 2.4\nName: app\nLicense-Expression: MIT AND LicenseRef-Own\n\nLicense: no\n",
        "Metadata-Version: 2.1\nName: direct\nLicense: Dual License\n",
        "Metadata-Version: 2.1\nName: library\nLicense: BSD 3-Clause License\n",
    ];
    for (wheel, text) in lock.python.iter().zip(metadata) {
        let tree = tree(wheel.artifact.digest, wheel.name.as_str());
        let place = format!(
            "opt/env/lib/python3.11/site-packages/{}.dist-info/METADATA",
            wheel.name
        );
        write(&tree, &place, text);
    }
    trees
}

fn licence_of(place: usize, change: impl FnOnce(&Path)) -> Result<Licence, AttestError> {
    let directory = tempfile::tempdir().unwrap();
    let trees = trees(directory.path());
    let lock = lock();
    let digests: Vec<Digest> = lock.artifacts().map(|artifact| artifact.digest).collect();
    change(&trees[&digests[place]]);
    Ok(Licences::read(&lock, AMD64, &trees)?.of(&digests[place]))
}

/// Places in [`Lockfile::artifacts`](envbox_lockfiles::lock::Lockfile::artifacts).
const PYTHON: usize = 0;
const APP: usize = 2;
const LIBC: usize = 5;
const LIBSTDCXX: usize = 6;

fn known(place: usize) -> Licence {
    licence_of(place, |_| ()).unwrap()
}

#[test]
fn a_copyright_file_is_read() {
    let libc = known(LIBC);
    assert_eq!(
        libc.expression.as_deref(),
        Some(
            "LGPL-2.1-or-later AND LicenseRef-libc6-Inner-Net AND \
             (GPL-1.0-or-later OR LicenseRef-libc6-Artistic-perl)"
        )
    );
    let texts: Vec<(&str, &str)> = libc
        .references
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            (
                "LicenseRef-libc6-Artistic-perl",
                "The licence that Debian's copyright file calls `Artistic~perl`."
            ),
            (
                "LicenseRef-libc6-Inner-Net",
                "Redistribution is allowed.\n\nIn every form."
            ),
        ]
    );
    // By the link to the other's documentation.
    let libstdcxx = known(LIBSTDCXX).expression.unwrap();
    assert_eq!(
        libstdcxx,
        libc.expression.unwrap().replace("libc6", "libstdc--6")
    );
}

#[test]
fn a_copyright_file_for_people_says_nothing() {
    let file = "usr/share/doc/libc6/copyright";
    for text in [
        "This is free software.\n",
        "",
        "Format: other\n\nLicense: MIT\n",
    ] {
        let licence = licence_of(LIBC, |tree| write(tree, file, text)).unwrap();
        assert_eq!(licence, Licence::default(), "{text}");
    }
    let whole = "Format: copyright-format/1.0\nLicense: Expat\n\nFiles: *\nLicense: GPL-2\n";
    let licence = licence_of(LIBC, |tree| write(tree, file, whole)).unwrap();
    assert_eq!(licence.expression.as_deref(), Some("MIT"));
    let summary = "Format: copyright-format/1.0\nLicense:\n See below.\n\n\
                   Files: *\nLicense: GPL-2\n\nFiles: a\nLicense:\n Do as you like.\n";
    let licence = licence_of(LIBC, |tree| write(tree, file, summary)).unwrap();
    assert_eq!(
        licence.expression.as_deref(),
        Some("GPL-2.0-only AND LicenseRef-libc6-unnamed")
    );
}

#[test]
fn a_wheels_metadata_is_read() {
    let place = "opt/env/lib/python3.11/site-packages/app.dist-info/METADATA";
    for (fields, expression, words) in [
        (
            "License-Expression: Apache-2.0 OR MIT",
            Some("Apache-2.0 OR MIT"),
            None,
        ),
        (
            "License-Expression: nonsense\nLicense: MIT",
            Some("MIT"),
            None,
        ),
        ("License: MIT OR AFL-2.1", Some("MIT OR AFL-2.1"), None),
        ("License: BSD", None, Some("BSD")),
        (
            "License: MIT AND NOASSERTION",
            None,
            Some("MIT AND NOASSERTION"),
        ),
        (
            "License: BSD\nClassifier: License :: OSI Approved :: MIT License",
            Some("MIT"),
            None,
        ),
        ("License: UNKNOWN", None, None),
        ("License: Copyright\n    a whole\n    licence", None, None),
        (
            "Classifier: License :: OSI Approved :: BSD License\nClassifier: License :: OSI Approved :: MIT License",
            None,
            Some("BSD License; MIT License"),
        ),
        (
            "Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\nClassifier: Topic",
            Some("MIT"),
            None,
        ),
        ("", None, None),
    ] {
        let text = format!("Name: app\n{fields}\n\nLicense: GPL-3.0-only\n");
        let licence = licence_of(APP, |tree| write(tree, place, &text)).unwrap();
        assert_eq!(
            (licence.expression.as_deref(), licence.words.as_deref()),
            (expression, words),
            "{fields}"
        );
    }
    let references: Vec<String> = known(APP).references.into_keys().collect();
    assert_eq!(references, ["LicenseRef-Own"]);
}

#[test]
fn an_interpreters_licence_is_read() {
    assert_eq!(known(PYTHON).expression.as_deref(), Some("PSF-2.0"));
    let gone = |tree: &Path| fs::remove_dir_all(tree.join("opt")).unwrap();
    assert_eq!(licence_of(PYTHON, gone).unwrap(), Licence::default());
}

/// A package can put links, pipes and huge files where its licence should be.
#[test]
fn no_link_leads_out_of_a_tree() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "doc/libc6/copyright", COPYRIGHT);
    write(outside.path(), "copyright", COPYRIGHT);
    let changes: [&dyn Fn(&Path); 5] = [
        &|tree| {
            fs::remove_dir_all(tree.join("usr/share/doc")).unwrap();
            symlink(outside.path().join("doc"), tree.join("usr/share/doc")).unwrap();
        },
        &|tree| {
            let file = tree.join("usr/share/doc/libc6/copyright");
            fs::remove_file(&file).unwrap();
            symlink(outside.path().join("copyright"), &file).unwrap();
        },
        &|tree| {
            let file = tree.join("usr/share/doc/libc6/copyright");
            fs::remove_file(&file).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        },
        &|tree| {
            let file = fs::File::create(tree.join("usr/share/doc/libc6/copyright")).unwrap();
            file.set_len(1 << 40).unwrap();
        },
        &|tree| {
            fs::remove_dir_all(tree.join("usr/share/doc/libc6")).unwrap();
            symlink("../../../..", tree.join("usr/share/doc/libc6")).unwrap();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(
            licence_of(LIBC, change).unwrap(),
            Licence::default(),
            "{number}"
        );
    }
}

/// Two packages whose documentation is each other's.
#[test]
fn links_in_a_circle_end() {
    let circle = |tree: &Path| {
        fs::remove_dir_all(tree.join("usr/share/doc/libc6")).unwrap();
        symlink("libstdc++6", tree.join("usr/share/doc/libc6")).unwrap();
    };
    assert_eq!(licence_of(LIBC, circle).unwrap(), Licence::default());
}

#[test]
fn a_package_without_a_tree_is_an_error() {
    let error = Licences::read(&lock(), AMD64, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tree of `libc6` is not there to read its licence from"
    );
}
