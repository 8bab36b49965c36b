//! Packages that are odd in the ways of packages.

use envbox_lockfiles::base::{Explain as _, Kind, Platform};

use crate::layers::LayerError;
use crate::layers::deb::alternatives::{self, Link};
use crate::layers::deb::scripts::judge;
use crate::layers::deb::unpack_deb;
use crate::layers::testing::{ar, deb, file, tar, unpacked};
use crate::store::TreeManifest;

fn unpack(archive: &[u8]) -> Result<TreeManifest, LayerError> {
    let name = "example".parse().unwrap();
    let platform = Platform::LinuxAmd64;
    unpacked(
        archive,
        |file, tree, limits| unpack_deb(file, &name, platform, tree, limits),
        |_| {},
    )
}

#[test]
fn malformed_packages_are_named() {
    let control = tar(&[file("./control", b"Package: example\n")]);
    let other = tar(&[file("./control", b"Package: other\n")]);
    let data = tar(&[]);
    let version = ("debian-binary", b"2.0\n".as_slice());
    let (control, other) = (("control.tar", &*control), ("control.tar", &*other));
    let data = ("data.tar", &*data);
    for (archive, message) in [
        (
            b"not an archive".to_vec(),
            "the archive is malformed: it is no `ar` archive",
        ),
        (b"!<arch>\n".to_vec(), "the archive has no `debian-binary`"),
        (ar(&[version, data]), "the archive has no `control.tar`"),
        (ar(&[version, control]), "the archive has no `data.tar`"),
        (
            ar(&[version, control, data, data]),
            "the archive has two members `data.tar`",
        ),
        (
            ar(&[version, control, ("data.tar.lz", data.1)]),
            "`data.tar.lz` is compressed in a way that is not supported",
        ),
        (
            ar(&[version, other, data]),
            "the archive is of `other`, not of `example`",
        ),
        (
            ar(&[version, control, ("data.tar.xz", data.1)]),
            "the archive is damaged",
        ),
        (
            ar(&[version, control, data])[..800].to_vec(),
            "the archive is damaged",
        ),
    ] {
        assert_eq!(unpack(&archive).unwrap_err().to_string(), message);
    }
}

#[test]
fn every_compression_is_read() {
    let data = tar(&[file("./etc/x", b"x")]);
    let control = tar(&[file("./control", b"Package: example\n")]);
    let mut gzip = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(&*data, flate2::Compression::fast());
    std::io::Read::read_to_end(&mut encoder, &mut gzip).unwrap();
    let xz = liblzma::encode_all(&*data, 1).unwrap();
    let zstd = zstd::encode_all(&*data, 1).unwrap();
    for (name, packed) in [
        ("data.tar", &data),
        ("data.tar.gz", &gzip),
        ("data.tar.xz", &xz),
        ("data.tar.zst", &zstd),
    ] {
        let control = ("control.tar", control.as_slice());
        let archive = ar(&[("debian-binary", b"2.0\n"), control, (name, packed)]);
        let manifest = unpack(&archive).unwrap();
        assert!(manifest.entries.contains_key(b"etc/x".as_slice()), "{name}");
    }
}

#[test]
fn unknown_scripts_are_refused() {
    let archive = deb(
        &[("./postinst", "#!/bin/sh\nset -e\nadduser --system x\n")],
        &[],
    );
    let error = unpack(&archive).unwrap_err();
    assert_eq!(
        error.to_string(),
        "its maintainer scripts do work that envbox does not know: \
         postinst (`adduser --system x`)"
    );
    assert_eq!(error.kind(), Kind::User);
}

#[test]
fn scripts_are_judged_by_what_a_first_installation_reaches() {
    let known = [
        "ldconfig\nexit 0",
        "if [ \"$1\" = upgrade ]; then rm -rf /x; fi",
        "if [ \"$1\" = \"configure\" ] && [ -n \"$2\" ]; then\n  rm x\nelse\n  :\nfi",
        "case \"$1\" in\n configure) ldconfig;;\n abort-upgrade|triggered)\n rm x\n ;;\nesac",
        "case \"$1\" in (configure) ;; (*) echo \"called with \\`$1'\" >&2; exit 1;; esac",
        "dpkg-maintscript-helper rm_conffile /etc/x 1~ -- \"$@\"",
        "test -n \"$2\" && rm x",
        "# Automatically added by dh_installsystemd/13\nrm x\n# End automatically added section",
        "update-alternatives --remove x /usr/bin/x || true",
        ". /usr/share/debconf/confmodule\ndb_version 2.0",
    ];
    for script in known {
        assert_eq!(judge(script, "configure").unknown, None, "{script}");
    }
    let unknown = [
        ("rm x", "rm x"),
        ("if [ \"$1\" = configure ]; then rm x; fi", "rm x"),
        ("if [ \"$1\" = upgrade ]; then :; else rm x; fi", "rm x"),
        ("case \"$1\" in upgrade) ;; *) rm x;; esac", "rm x"),
        ("test -z \"$2\" && rm x", "test -z \"$2\" && rm x"),
        ("if make; then :; fi", "make"),
        ("f() {\n:\n}", "f() {"),
        ("echo x > /etc/x", "echo x > /etc/x"),
        ("echo $(rm x)", "echo $(rm x)"),
        ("cat <<E\nfi\nE", "cat <<E"),
        (
            "update-alternatives --install /a $b /c 1",
            "update-alternatives --install /a $b /c 1",
        ),
        (". /etc/other", ". /etc/other"),
        ("# Automatically added by dh_other/1\nrm x", "rm x"),
    ];
    for (script, statement) in unknown {
        let judged = judge(script, "configure");
        assert_eq!(judged.unknown.as_deref(), Some(statement), "{script}");
    }
}

#[test]
fn alternatives_are_kept_for_later() {
    let script = "#!/bin/sh\nset -e\nupdate-alternatives --quiet --install /usr/bin/awk awk \\\n\
                  \t/usr/bin/mawk 5 --slave /usr/bin/nawk nawk /usr/bin/mawk || true\n";
    let judged = judge(script, "configure");
    assert_eq!(judged.unknown, None);
    let link = |link: &str, name: &str| Link {
        link: link.to_owned(),
        name: name.to_owned(),
        path: "usr/bin/mawk".to_owned(),
    };
    let [found] = judged.alternatives.as_slice() else {
        panic!("{:?}", judged.alternatives);
    };
    assert_eq!(found.priority, 5);
    assert_eq!(found.master, link("usr/bin/awk", "awk"));
    assert_eq!(found.slaves, [link("usr/bin/nawk", "nawk")]);
    let text = alternatives::to_text(&judged.alternatives);
    assert_eq!(alternatives::parse(&text), Some(judged.alternatives));
    assert_eq!(alternatives::parse("5\ta\n"), None);
    let manifest = unpack(&deb(&[("./postinst", script)], &[])).unwrap();
    let path = b"var/lib/envbox/alternatives/example".as_slice();
    assert!(manifest.entries.contains_key(path));
}

#[test]
fn installed_packages_are_listed_for_scanners() {
    let manifest = unpack(&deb(&[("./md5sums", "x  etc/x\n")], &[]))
        .unwrap()
        .to_text();
    assert!(
        manifest.contains("\tvar/lib/dpkg/status.d/example\t"),
        "{manifest}"
    );
    assert!(
        manifest.contains("\tvar/lib/dpkg/status.d/example.md5sums\t9\t"),
        "{manifest}"
    );
}
