//! What holds for every kind of archive.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use envbox_lockfiles::base::{Explain as _, Kind, Platform};
use proptest::prelude::*;

use crate::layers::testing::{TarMember, deb, directory, file, link, tar, unpacked};
use crate::layers::{LayerError, MODIFIED, unpack_deb, unpack_standalone};
use crate::store::TreeManifest;

fn unpack(archive: &[u8], look: impl FnOnce(&Path)) -> Result<TreeManifest, LayerError> {
    let name = "example".parse().unwrap();
    let platform = Platform::LinuxAmd64;
    unpacked(
        archive,
        |file, tree, limits| unpack_deb(file, &name, platform, tree, limits),
        look,
    )
}

fn refused(members: &[TarMember<'_>]) -> String {
    unpack(&deb(&[], members), |_| {}).unwrap_err().to_string()
}

fn special(kind: u8) -> TarMember<'static> {
    TarMember {
        kind,
        ..file("./dev/x", b"")
    }
}

fn named(name: &[u8]) -> TarMember<'_> {
    TarMember {
        name,
        ..file("", b"")
    }
}

#[test]
fn hostile_archives_are_refused() {
    let up = "../../../../../../../../etc/passwd";
    let name = "has a name that is refused";
    let cases: &[(&[TarMember<'_>], &str)] = &[
        (&[named(b"/etc/passwd")], name),
        (&[named(b"../x")], name),
        (&[named(b"./a/../../x")], name),
        (&[named(b"./a\nb")], name),
        (&[named(b"./a\x7fb")], name),
        (&[link(b'2', "./a", up)], "leads out of the tree"),
        (&[link(b'2', "./a/b", "../../x")], "leads out of the tree"),
        (&[link(b'2', "./a", "")], "leads out of the tree"),
        (
            &[link(b'1', "./a", "./b"), file("./b", b"")],
            "no earlier file",
        ),
        (&[link(b'1', "./a", "/etc/passwd")], name),
        (&[link(b'1', "./a", up)], name),
        (
            &[directory("./b", 0o755), link(b'1', "./a", "./b")],
            "no earlier file",
        ),
        (
            &[link(b'2', "./b", "/x"), link(b'1', "./a", "./b")],
            "no earlier file",
        ),
        (
            &[link(b'2', "./a", "/tmp"), file("./a/x", b"")],
            "which is not a directory",
        ),
        (
            &[link(b'2', "./a", "b"), directory("./a", 0o755)],
            "two members",
        ),
        (
            &[link(b'2', "./a", "b"), directory("./a/c", 0o755)],
            "which is not a directory",
        ),
        (
            &[file("./a", b""), file("./a/x", b"")],
            "which is not a directory",
        ),
        (&[file("./a", b""), file("./a", b"")], "two members"),
        (&[file("./a", b""), file("a", b"")], "two members"),
        (&[file("./a/b", b""), file("./a", b"")], "two members"),
        (
            &[file("./bin/a", b""), file("./usr/bin/a", b"")],
            "two members",
        ),
        (&[special(b'3')], "type `3`"),
        (&[special(b'4')], "type `4`"),
        (&[special(b'6')], "type `6`"),
        (&[special(b'S')], "the archive is damaged"),
    ];
    for (members, message) in cases {
        let found = refused(members);
        assert!(
            found.contains(message),
            "expected `{message}`, found `{found}`"
        );
    }
    let many: Vec<String> = (0..1001).map(|number| format!("./{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| directory(name, 0o755)).collect();
    assert_eq!(refused(&many), "the archive has more than 1000 entries");
}

#[test]
fn compressed_bombs_are_refused() {
    let zeros = vec![0; 900_000];
    let data = tar(&[file("./zeros", &zeros)]);
    let packed = zstd::encode_all(data.as_slice(), 3).unwrap();
    let control = tar(&[file("./control", b"Package: example\n")]);
    let archive = crate::layers::testing::ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control),
        ("data.tar.zst", &packed),
    ]);
    let error = unpack(&archive, |_| {}).unwrap_err();
    assert!(matches!(error, LayerError::Exceeded(_)), "{error}");
    assert_eq!(error.kind(), Kind::Integrity);
}

/// A package with everything that an honest one may have.
fn honest() -> Vec<TarMember<'static>> {
    vec![
        directory("./", 0o755),
        directory("./etc/private/", 0o750),
        file("./etc/private/config", b"secret"),
        TarMember {
            mode: 0o4755,
            ..file("./bin/su", b"program")
        },
        link(b'1', "./usr/bin/other", "./bin/su"),
        link(b'2', "./lib64/ld.so", "/lib/ld.so"),
        link(b'2', "./lib/ld.so", "/usr/lib/ld.so"),
        file("./usr/lib/ld.so", b"linker"),
        TarMember {
            name: b"./usr/share/caf\xe9",
            ..file("", b"latin")
        },
        directory("./tmp/", 0o1777),
        directory("./var/mail/", 0o2775),
    ]
}

/// The tree of [`honest`]. It changes with [`RULES`](crate::layers::RULES) alone.
const HONEST: &str = "\
d\t0755\t
d\t0755\tetc
d\t0750\tetc/private
f\t0644\tetc/private/config\t6\tsha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
d\t1777\ttmp
d\t0755\tusr
d\t0755\tusr/bin
f\t0755\tusr/bin/other\t7\tsha256:1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8
f\t0755\tusr/bin/su\t7\tsha256:1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8
d\t0755\tusr/lib
f\t0644\tusr/lib/ld.so\t6\tsha256:dee25048ef11633f847abb7a3bcfdfe43d247d45911f33c4a9bb2b945676c9b3
d\t0755\tusr/lib64
l\tusr/lib64/ld.so\t/lib/ld.so
d\t0755\tusr/share
f\t0644\tusr/share/caf\\351\t5\tsha256:84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509
d\t0755\tvar
d\t0755\tvar/lib
d\t0755\tvar/lib/dpkg
d\t0755\tvar/lib/dpkg/status.d
f\t0644\tvar/lib/dpkg/status.d/example\t48\tsha256:299edc9f98ed9e3dd978466a1e6e658f9efeebd2dc27ce97542bc8c602045c96
d\t0775\tvar/mail
";

#[test]
fn a_package_has_its_golden_tree() {
    let manifest = unpack(&deb(&[], &honest()), |tree| {
        let metadata = |path: &str| fs::symlink_metadata(tree.join(path)).unwrap();
        let (one, other) = (metadata("usr/bin/su"), metadata("usr/bin/other"));
        assert_eq!(one.ino(), other.ino());
        for path in ["", "etc/private", "usr/bin/su", "usr/lib64/ld.so"] {
            assert_eq!(metadata(path).mtime(), MODIFIED, "{path}");
        }
    });
    assert_eq!(manifest.unwrap().to_text(), HONEST);
}

#[test]
fn trees_are_equal_everywhere() {
    let manifest = |members: &[TarMember<'_>]| unpack(&deb(&[], members), |_| {}).unwrap();
    let mut members = honest();
    let first = manifest(&members);
    // Hard links apart, the order of the members does not matter.
    members[5..].reverse();
    members.swap(0, 3);
    assert_eq!(manifest(&members), first);
    // The golden tree again, in a process with another umask, locale, time zone and directory.
    let directory = tempfile::tempdir().unwrap();
    let again = Command::new("sh")
        .args(["-c", "umask 0077; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("layers::tests::a_package_has_its_golden_tree")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("TZ", "Asia/Kathmandu")
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(
        again.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
fn standalone_interpreters_go_to_opt() {
    let pack = |members: &[TarMember<'_>]| {
        unpacked(
            &tar(members),
            |file, tree, limits| unpack_standalone(file, "20260101/x.tar", tree, limits),
            |_| {},
        )
    };
    let program = TarMember {
        mode: 0o700,
        ..file("python/bin/python3.12", b"elf")
    };
    let manifest = pack(&[program, link(b'2', "python/bin/python3", "python3.12")]).unwrap();
    let text = manifest.to_text();
    assert!(
        text.contains("f\t0755\topt/python/bin/python3.12\t3\t"),
        "{text}"
    );
    assert!(
        text.contains("l\topt/python/bin/python3\tpython3.12\n"),
        "{text}"
    );
    let outside = pack(&[file("other/x", b"")]).unwrap_err();
    assert!(
        outside.to_string().contains("outside of `python/`"),
        "{outside}"
    );
    let empty = pack(&[]).unwrap_err();
    assert_eq!(empty.to_string(), "the archive has no `python/`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_packages_are_errors(position in 0usize..5000, byte: u8, cut in 0usize..5000) {
        let mut archive = deb(&[], &honest());
        let length = archive.len();
        archive[position % length] = byte;
        archive.truncate(length - cut % length);
        // Whatever comes out: no panic, and nothing beside the tree.
        drop(unpack(&archive, |_| {}));
    }
}
