//! Wheels, good and bad.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use crate::layers::testing::{unpacked, zip};
use crate::layers::{LayerError, PythonTarget, unpack_wheel};
use crate::store::TreeManifest;

const WHEEL: (&str, u32, &[u8]) = (
    "my_pkg-1.0.dist-info/WHEEL",
    0o644,
    b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
);

fn unpack(archive: &[u8], look: impl FnOnce(&Path)) -> Result<TreeManifest, LayerError> {
    let name = "my-pkg".parse().unwrap();
    let python = PythonTarget::of_version("3.11.2").unwrap();
    unpacked(
        archive,
        |file, tree, limits| unpack_wheel(file, &name, python, tree, limits),
        look,
    )
}

/// Encodes as `RECORD` does; slow and obvious, to check the encoder that is neither.
fn base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |at: usize| {
        bytes
            .get(at / 8)
            .is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    };
    let digit = |at: usize| (0..6).fold(0, |value, place| value * 2 + usize::from(bit(at + place)));
    (0..bytes.len() * 8)
        .step_by(6)
        .map(|at| char::from(digits[digit(at)]))
        .collect()
}

fn row(name: &str, content: &[u8]) -> String {
    format!(
        "{name},sha256={},{}\n",
        base64(&sha2::Sha256::digest(content)),
        content.len()
    )
}

/// Makes a wheel with a `RECORD` that lists everything, changed by `edit`.
fn wheel(files: &[(&str, u32, &[u8])], edit: impl FnOnce(String) -> String) -> Vec<u8> {
    let mut members = vec![WHEEL];
    members.extend(files);
    let listed = members.iter().filter(|(name, ..)| !name.ends_with('/'));
    let record = edit(
        listed
            .map(|(name, _, content)| row(name, content))
            .collect(),
    );
    members.push(("my_pkg-1.0.dist-info/RECORD", 0o644, record.as_bytes()));
    zip(&members)
}

fn refused(files: &[(&str, u32, &[u8])], edit: impl FnOnce(String) -> String) -> String {
    unpack(&wheel(files, edit), |_| {}).unwrap_err().to_string()
}

const INSTALLED: [&str; 16] = [
    "../../../bin/hello",
    "../../../bin/native",
    "../../../bin/other",
    "../../../bin/run",
    "../../../bin/runw",
    "../../../bin/win",
    "../../../include/site/python3.11/my-pkg/a.h",
    "../../../share/x.txt",
    "my_pkg-1.0.dist-info/INSTALLER",
    "my_pkg-1.0.dist-info/RECORD",
    "my_pkg-1.0.dist-info/WHEEL",
    "my_pkg-1.0.dist-info/entry_points.txt",
    "my_pkg/__init__.py",
    "my_pkg/tool.so",
    "plat.so",
    "pure.py",
];

#[test]
fn every_scheme_goes_to_its_directory() {
    let files: &[(&str, u32, &[u8])] = &[
        ("my_pkg/", 0o755, b""),
        ("my_pkg/__init__.py", 0o664, b"x = 1\n"),
        ("my_pkg/tool.so", 0o775, b"elf"),
        ("my_pkg-1.0.data/purelib/pure.py", 0o644, b""),
        ("my_pkg-1.0.data/platlib/plat.so", 0o644, b""),
        ("my_pkg-1.0.data/headers/a.h", 0o644, b""),
        ("my_pkg-1.0.data/data/share/x.txt", 0o644, b""),
        ("my_pkg-1.0.data/scripts/run", 0o644, b"#!python -u\nprint()\n"),
        ("my_pkg-1.0.data/scripts/runw", 0o644, b"#!pythonw\nprint()\n"),
        ("my_pkg-1.0.data/scripts/native", 0o755, b"\x7fELF"),
        ("my_pkg-1.0.data/scripts/other", 0o755, b"#!python3-config\n"),
        (
            "my_pkg-1.0.dist-info/entry_points.txt",
            0o644,
            b"[console_scripts]\nhello = my_pkg:main\nnative = my_pkg:main\n[gui_scripts]\nwin = my_pkg:a.b\n",
        ),
    ];
    let manifest = unpack(&wheel(files, |record| record), |tree| {
        let read = |path: &str| fs::read_to_string(tree.join("opt/env").join(path)).unwrap();
        assert_eq!(read("bin/run"), "#!/opt/env/bin/python -u\nprint()\n");
        assert_eq!(read("bin/runw"), "#!/opt/env/bin/python\nprint()\n");
        assert_eq!(read("bin/native"), "\x7fELF");
        assert_eq!(read("bin/other"), "#!python3-config\n");
        assert!(read("bin/hello").starts_with("#!/opt/env/bin/python\nimport sys\n"));
        let info = "lib/python3.11/site-packages/my_pkg-1.0.dist-info";
        assert_eq!(read(&format!("{info}/INSTALLER")), "envbox\n");
        let record = read(&format!("{info}/RECORD"));
        let listed: Vec<_> = record
            .lines()
            .filter_map(|line| line.split(',').next())
            .collect();
        assert_eq!(listed, INSTALLED);
        assert!(record.contains(&row("pure.py", b"")));
    });
    let text = manifest.unwrap().to_text();
    for line in [
        "f\t0644\topt/env/lib/python3.11/site-packages/my_pkg/__init__.py\t6",
        "f\t0755\topt/env/lib/python3.11/site-packages/my_pkg/tool.so\t3",
        "f\t0755\topt/env/bin/run\t33",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn records_are_verified() {
    let file: (&str, u32, &[u8]) = ("my_pkg/a.py", 0o644, b"a");
    let weak = |record: String| record.replace("a.py,sha256=", "a.py,md5=");
    for (found, expected) in [
        (
            refused(&[file], |record| {
                record.replace("my_pkg/a.py", "my_pkg/b.py")
            }),
            "`RECORD` does not list `my_pkg/a.py`",
        ),
        (
            refused(&[file], |record| {
                record.replace(&row("my_pkg/a.py", b"a"), &row("my_pkg/a.py", b"b"))
            }),
            "`my_pkg/a.py` is not the file that `RECORD` lists",
        ),
        (
            refused(&[file], weak),
            "`RECORD` has no SHA-256, SHA-384 or SHA-512 for `my_pkg/a.py`",
        ),
        (
            refused(&[file], |record| {
                format!("{record}{}", row("my_pkg/a.py", b"b"))
            }),
            "`my_pkg/a.py` is not the file that `RECORD` lists",
        ),
        (
            unpack(&zip(&[WHEEL]), |_| {}).unwrap_err().to_string(),
            "the archive has no `my_pkg-1.0.dist-info/RECORD`",
        ),
    ] {
        assert_eq!(found, expected);
    }
    let strong = |digest: String| {
        let listed = move |record: String| {
            record.replace(
                &row("my_pkg/a.py", b"a"),
                &format!("my_pkg/a.py,sha512={digest},1\n"),
            )
        };
        unpack(&wheel(&[file], listed), |_| {})
    };
    assert!(strong(base64(&Sha512::digest(b"a"))).is_ok());
    assert!(strong(base64(&Sha512::digest(b"b"))).is_err());
    // A row for a file that is not there harms nobody.
    assert!(
        unpack(
            &wheel(&[file], |record| record + &row("gone.py", b"")),
            |_| {}
        )
        .is_ok()
    );
}

#[test]
fn hostile_wheels_are_refused() {
    let name = "has a name that is refused";
    for (member, message) in [
        ("../x.py", name),
        ("/x.py", name),
        ("a/../../../../../../bin/python", name),
        ("my_pkg-1.0.data/scripts/../../x", name),
        ("my_pkg-1.0.data/other/x", "names no scheme"),
        ("my_pkg-1.0.data/x", "names no scheme"),
        ("a\nb.py", name),
        ("other-1.0.dist-info/x", "more than one `.dist-info`"),
        ("a.py|b.py", "two names"),
        ("my_pkg-1.0.dist-info/INSTALLER/x", "two members"),
    ] {
        // `RECORD` lists the name of the table of contents.
        let (listed, _) = member.split_once('|').unwrap_or((member, ""));
        let found = refused(&[(member, 0o644, b"")], |record| {
            record.replace(&row(member, b""), &row(&format!("\"{listed}\""), b""))
        });
        assert!(found.contains(message), "{member}: {found}");
    }
    let twice: &[(&str, u32, &[u8])] = &[("a.py", 0o644, b""), ("a.py", 0o644, b"")];
    assert_eq!(
        refused(twice, |record| record),
        "the archive has two members `a.py`"
    );
    let inside: &[(&str, u32, &[u8])] = &[("a", 0o644, b""), ("a/b", 0o644, b"")];
    assert!(refused(inside, |record| record).contains("which is not a directory"));
    let entry: (&str, u32, &[u8]) = (
        "my_pkg-1.0.dist-info/entry_points.txt",
        0o644,
        b"[console_scripts]\n../../x = a:b\n",
    );
    assert!(refused(&[entry], |record| record).contains("is not `name = module:attribute`"));
}

#[test]
fn links_in_wheels_become_files() {
    // As every installer does: the format has no links.
    let files: &[(&str, u32, &[u8])] = &[("link.py", 0o120_777, b"/etc/passwd")];
    let manifest = unpack(&wheel(files, |record| record), |_| {}).unwrap();
    assert!(!manifest.to_text().contains("\nl\t"));
}

#[test]
fn wheels_of_others_are_refused() {
    let other = zip(&[("other-1.0.dist-info/WHEEL", 0o644, b"Wheel-Version: 1.0\n")]);
    let newer = zip(&[("my_pkg-1.0.dist-info/WHEEL", 0o644, b"Wheel-Version: 2.0\n")]);
    for (archive, message) in [
        (other, "the archive is of `other`, not of `my-pkg`"),
        (
            newer,
            "the wheel has format version 2.0; envbox knows version 1",
        ),
        (
            zip(&[("a.py", 0o644, b"")]),
            "the archive has no `*.dist-info`",
        ),
        (
            b"PK".to_vec(),
            "the archive is malformed: it is no zip archive",
        ),
    ] {
        assert_eq!(unpack(&archive, |_| {}).unwrap_err().to_string(), message);
    }
    let mut damaged = wheel(&[("a.py", 0o644, b"content")], |record| record);
    let at = damaged
        .windows(7)
        .position(|bytes| bytes == b"content")
        .unwrap();
    damaged[at] = b'k';
    assert_eq!(
        unpack(&damaged, |_| {}).unwrap_err().to_string(),
        "the archive is damaged"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_wheels_are_errors(position in 0usize..2000, byte: u8, cut in 0usize..20) {
        let mut archive = wheel(&[("a.py", 0o644, b"a"), ("b/c.py", 0o644, b"")], |record| record);
        let length = archive.len();
        archive[position % length] = byte;
        archive.truncate(length - cut);
        drop(unpack(&archive, |_| {}));
    }
}
