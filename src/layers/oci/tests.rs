//! Layers, honest and hostile.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use envbox_lockfiles::base::{Compression, Digest, Explain as _, Kind};
use proptest::prelude::*;

use crate::layers::oci::{ImageLayer, Notes, unpack_layers};
use crate::layers::testing::{TarMember, directory, file, link, tar};
use crate::layers::{LayerError, Limits, MODIFIED};
use crate::store::TreeManifest;

const LIMITS: Limits = Limits {
    entries: 1000,
    bytes: 1 << 20,
    expansion: 100,
    allowance: 100_000,
};

/// Writes layers' tar streams to files and unpacks them beside these; then looks.
fn unpack_streams(
    streams: &[Vec<u8>],
    look: impl FnOnce(&Path),
) -> Result<(TreeManifest, Notes), LayerError> {
    let place = tempfile::tempdir().unwrap();
    let layers: Vec<_> = streams
        .iter()
        .enumerate()
        .map(|(number, stream)| {
            let path = place.path().join(format!("layer-{number}"));
            fs::write(&path, stream).unwrap();
            let digest = Digest::of(stream);
            ImageLayer {
                path,
                digest,
                compression: Compression::None,
                diff_id: digest,
            }
        })
        .collect();
    unpack_files(place.path(), &layers, look)
}

fn unpack_files(
    place: &Path,
    layers: &[ImageLayer],
    look: impl FnOnce(&Path),
) -> Result<(TreeManifest, Notes), LayerError> {
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    let before = fs::read_dir(place).unwrap().count();
    let unpacked = unpack_layers(layers, &tree, LIMITS, 3);
    if let Ok((manifest, _)) = &unpacked {
        let found = TreeManifest::of(&tree).unwrap();
        assert_eq!(manifest, &found, "the list is not the tree");
        look(&tree);
    }
    assert_eq!(
        fs::read_dir(place).unwrap().count(),
        before,
        "something was written beside the tree"
    );
    unpacked
}

fn unpack(layers: &[&[TarMember<'_>]]) -> Result<(TreeManifest, Notes), LayerError> {
    let streams: Vec<_> = layers.iter().map(|members| tar(members)).collect();
    unpack_streams(&streams, |_| {})
}

/// What is in the tree of these layers: paths, of files with their content's first letter.
fn paths(layers: &[&[TarMember<'_>]]) -> String {
    let streams: Vec<_> = layers.iter().map(|members| tar(members)).collect();
    let mut shown = String::new();
    let (manifest, _) = unpack_streams(&streams, |tree| {
        for path in TreeManifest::of(tree).unwrap().entries.keys().skip(1) {
            let path = String::from_utf8(path.clone()).unwrap();
            let host = tree.join(&path);
            let metadata = fs::symlink_metadata(&host).unwrap();
            shown += &path;
            if metadata.is_file() {
                shown += &format!("={}", fs::read_to_string(host).unwrap());
            } else if metadata.is_symlink() {
                shown += &format!("->{}", fs::read_link(host).unwrap().display());
            } else {
                shown.push('/');
            }
            shown.push(' ');
        }
    })
    .unwrap();
    assert!(!manifest.entries.is_empty());
    shown.trim_end().to_owned()
}

/// The reason for which layers are refused, without the layer's name.
fn refused(layers: &[&[TarMember<'_>]]) -> String {
    match unpack(layers).unwrap_err() {
        LayerError::Layer { source, .. } => source.to_string(),
        other => panic!("no layer is named: {other}"),
    }
}

#[test]
fn later_layers_replace() {
    let base: &[TarMember<'_>] = &[
        directory("d", 0o755),
        file("d/one", b"1"),
        file("d/two", b"2"),
        file("f", b"f"),
        link(b'2', "l", "f"),
    ];
    for (above, expected) in [
        (&[file("f", b"g")][..], "d/ d/one=1 d/two=2 f=g l->f"),
        (&[file("d", b"x")][..], "d=x f=f l->f"),
        (&[directory("f", 0o755)][..], "d/ d/one=1 d/two=2 f/ l->f"),
        (
            &[directory("f/", 0o755), file("f/x", b"x")][..],
            "d/ d/one=1 d/two=2 f/ f/x=x l->f",
        ),
        (&[directory("d", 0o700)][..], "d/ d/one=1 d/two=2 f=f l->f"),
        (&[file("l", b"x")][..], "d/ d/one=1 d/two=2 f=f l=x"),
        (&[directory("l", 0o755)][..], "d/ d/one=1 d/two=2 f=f l/"),
        (&[link(b'2', "d", "f")][..], "d->f f=f l->f"),
        (
            &[link(b'1', "h", "d/one")][..],
            "d/ d/one=1 d/two=2 f=f h=1 l->f",
        ),
        (
            &[link(b'1', "h", "d/one"), file("d/one", b"9")][..],
            "d/ d/one=9 d/two=2 f=f h=1 l->f",
        ),
        (
            &[link(b'1', "h", "/l")][..],
            "d/ d/one=1 d/two=2 f=f h->f l->f",
        ),
        (&[link(b'1', "f", "./f")][..], "d/ d/one=1 d/two=2 f=f l->f"),
        (&[file("new/x", b"x"), file("new/x", b"y")][..], {
            "d/ d/one=1 d/two=2 f=f l->f new/ new/x=y"
        }),
        (&[file("/f", b"g")][..], "d/ d/one=1 d/two=2 f=g l->f"),
        (&[directory("./", 0o700)][..], "d/ d/one=1 d/two=2 f=f l->f"),
    ] {
        assert_eq!(paths(&[base, above]), expected);
    }
}

#[test]
fn whiteouts_hide_what_is_lower() {
    let base: &[TarMember<'_>] = &[
        directory("d", 0o755),
        directory("d/e", 0o755),
        file("d/e/x", b"x"),
        file("d/one", b"1"),
        file("d-2", b"-"),
        link(b'2', "l", "d"),
    ];
    let device = || TarMember {
        kind: b'3',
        ..file("d", b"")
    };
    for (above, expected) in [
        (&[file(".wh.d", b"")][..], "d-2=- l->d"),
        (&[file("d/.wh.e", b"")][..], "d/ d-2=- d/one=1 l->d"),
        (&[file("l/.wh.e", b"")][..], "d/ d-2=- d/one=1 l->d"),
        (&[device()][..], "d-2=- l->d"),
        // What is not there.
        (
            &[
                file(".wh.none", b""),
                file("none/.wh.x", b""),
                file("none/.wh..wh..opq", b""),
            ][..],
            "d/ d-2=- d/e/ d/e/x=x d/one=1 l->d",
        ),
        // Its own layer's files are spared, whichever comes first.
        (
            &[file("d/new", b"n"), file(".wh.d", b"")][..],
            "d/ d-2=- d/new=n l->d",
        ),
        (
            &[file(".wh.d", b""), file("d/new", b"n")][..],
            "d/ d-2=- d/new=n l->d",
        ),
        (
            &[file("d/one", b"9"), file("d/.wh.one", b"")][..],
            "d/ d-2=- d/e/ d/e/x=x d/one=9 l->d",
        ),
        (
            &[file("d/e/y", b"y"), file("d/.wh..wh..opq", b"")][..],
            "d/ d-2=- d/e/ d/e/y=y l->d",
        ),
        (
            &[file("d/.wh..wh..opq", b""), file("d/e/y", b"y")][..],
            "d/ d-2=- d/e/ d/e/y=y l->d",
        ),
        (&[file(".wh..wh..opq", b""), file("n", b"n")][..], "n=n"),
        (
            &[file(".wh..wh.plnk", b"")][..],
            "d/ d-2=- d/e/ d/e/x=x d/one=1 l->d",
        ),
    ] {
        assert_eq!(paths(&[base, above]), expected);
    }
    // A whiteout of one layer does not reach into the next.
    let (hide, again) = ([file(".wh.d", b"")], [file("d/z", b"z")]);
    assert_eq!(paths(&[base, &hide, &again]), "d/ d-2=- d/z=z l->d");
}

#[test]
fn links_in_directories_are_followed_inside() {
    let base: &[TarMember<'_>] = &[
        link(b'2', "bin", "usr/bin"),
        directory("usr/bin", 0o755),
        link(b'2', "etc-link", "/etc"),
        link(b'2', "a/up", "../../../usr"),
        link(b'2', "a/rooted", "/../usr/bin"),
    ];
    let links = "a/ a/rooted->/usr/bin a/up->../usr bin->usr/bin";
    for (above, expected) in [
        (
            &[file("bin/sh", b"s")][..],
            "etc-link->/etc usr/ usr/bin/ usr/bin/sh=s",
        ),
        (
            &[file("a/up/bin/sh", b"s")][..],
            "etc-link->/etc usr/ usr/bin/ usr/bin/sh=s",
        ),
        // It leads to nothing yet.
        (
            &[file("etc-link/passwd", b"p")][..],
            "etc/ etc-link->/etc etc/passwd=p usr/ usr/bin/",
        ),
        (
            &[file("usr/bin/x", b"x"), link(b'1', "y", "bin/x")][..],
            "etc-link->/etc usr/ usr/bin/ usr/bin/x=x y=x",
        ),
    ] {
        assert_eq!(paths(&[base, above]), format!("{links} {expected}"));
    }
}

#[test]
fn hostile_layers_are_refused() {
    let up = "../../../../../../../../etc/passwd";
    let name = "has a name that is refused";
    let of = |name, kind| TarMember {
        kind,
        ..file(name, b"")
    };
    let cases: &[(&[TarMember<'_>], &str)] = &[
        (&[file("../x", b"")], name),
        (&[file("a/../../x", b"")], name),
        (&[file("/../x", b"")], name),
        (&[file("a\nb", b"")], name),
        (&[file("", b"")], name),
        (&[file("/", b"")], name),
        (&[link(b'1', "a", up)], name),
        (&[link(b'1', "a", "/etc/passwd")], "no earlier file"),
        (&[link(b'1', "a", "a")], "no earlier file"),
        (&[link(b'1', "a", "")], name),
        (&[link(b'1', "a", "b"), file("b", b"")], "no earlier file"),
        (
            &[file("d/f", b""), link(b'1', "d", "d/f")],
            "no earlier file",
        ),
        (
            &[directory("b", 0o755), link(b'1', "a", "b")],
            "no earlier file",
        ),
        (
            &[link(b'2', "e", "/etc"), link(b'1', "a", "e/passwd")],
            "no earlier file",
        ),
        (&[link(b'2', "a", "x/../../../y")], "leads out of the tree"),
        (&[link(b'2', "a", "")], "leads out of the tree"),
        (
            &[file("a", b""), file("a/x", b"")],
            "which is not a directory",
        ),
        (
            &[link(b'2', "a", "b"), link(b'2', "b", "a"), file("a/x", b"")],
            "which is not a directory",
        ),
        (&[of("x", b'4')], "type `4`"),
        (&[of("x", b'6')], "type `6`"),
        (&[of("dev", b'6')], "type `6`"),
        (&[of("x", b'S')], "type `S`"),
        (&[of("x", b'V')], "type `V`"),
        (&[of(".wh.x", b'5')], "a whiteout is a file"),
        (&[of(".wh..wh..opq", b'2')], "a whiteout is a file"),
        (&[file(".wh.", b"")], "names nothing"),
        (&[file(".wh..", b"")], "names nothing"),
        (&[file(".wh...", b"")], "names nothing"),
        (&[file(".wh.a/x", b"")], "reserved for whiteouts"),
        (&[file("a/.wh.b/../x", b"")], name),
        (
            &[TarMember {
                kind: b'2',
                link: b"y",
                ..file("x", b"content")
            }],
            "that is no file has content",
        ),
    ];
    for (members, message) in cases {
        let found = refused(&[members]);
        assert!(
            found.contains(message),
            "expected `{message}`, found `{found}`"
        );
        // As a second layer too, after an honest one.
        let found = refused(&[&[file("honest", b"")], members]);
        assert!(found.contains(message), "{found}");
    }
    let error = unpack(&[&[file("ok", b"")], &[file("../x", b"")]]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("failed to unpack layer 2 (sha256:"),
        "{text}"
    );
    assert_eq!(error.kind(), Kind::Integrity);
}

#[test]
fn whatever_is_written_often_is_too_much() {
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(|name| directory(name, 0o755)).collect();
    let limit = "the archive has more than 1000 entries";
    assert_eq!(refused(&[&many]), limit);
    // The same name again and again is no entry more, but work.
    let again: Vec<_> = (0..1001).map(|_| file("x", b"")).collect();
    assert_eq!(refused(&[&again]), limit);
    // As are opaque directories, each of which asks for all that is in them.
    let full: Vec<String> = (0..900).map(|number| format!("d/{number}")).collect();
    let full: Vec<_> = full.iter().map(|name| file(name, b"")).collect();
    let mut above: Vec<_> = (0..20).map(|_| file(".wh.d", b"")).collect();
    above.insert(0, file("d/0", b""));
    assert_eq!(paths(&[&full, &above]), "d/ d/0=");
    let fresh: Vec<_> = (0..60).map(|_| file(".wh.d", b"")).collect();
    let both: Vec<_> = full.into_iter().chain(fresh).collect();
    assert_eq!(refused(&[&both]), limit);
    // Long names take memory, and the directories in them as well.
    let deep: Vec<String> = (0..30)
        .map(|number| {
            pax(
                "path",
                &format!("{}/{number}x", number.to_string().repeat(50)).repeat(18),
            )
        })
        .collect();
    let deep: Vec<_> = deep
        .iter()
        .flat_map(|record| {
            let header = TarMember {
                kind: b'x',
                ..file("header", record.as_bytes())
            };
            [header, file("short", b"")]
        })
        .collect();
    assert!(unpack(&[&deep[..10]]).is_ok());
    assert_eq!(refused(&[&deep]), limit);
    let zeros = vec![0; 600_000];
    let twice = [file("a", &zeros), file("a", &zeros)];
    assert!(refused(&[&twice[..]]).contains("more than"));
}

#[test]
fn what_a_tree_cannot_hold_is_noted() {
    let records = b"32 SCHILY.xattr.user.note=hello\n";
    let capability = b"40 SCHILY.xattr.security.capability=abc\n";
    let of = |name: &'static str, kind, content: &'static [u8]| TarMember {
        kind,
        ..file(name, content)
    };
    let (manifest, notes) = unpack(&[&[
        TarMember {
            mode: 0o6755,
            ..file("bin/su", b"x")
        },
        TarMember {
            kind: b'5',
            ..TarMember {
                mode: 0o3070,
                ..file("mail", b"")
            }
        },
        TarMember {
            mode: 0,
            ..file("shadow", b"x")
        },
        of("pax", b'x', records),
        file("noted", b""),
        of("pax", b'x', capability),
        file("ping", b""),
        file("plain", b""),
        of("dev/fifo", b'6', b""),
        of("dev/block", b'4', b""),
    ]])
    .unwrap();
    let mode = |path: &str| manifest.entries[path.as_bytes()].mode;
    assert_eq!(mode("bin/su"), 0o755);
    assert_eq!(mode("mail"), 0o1770);
    assert_eq!(mode("shadow"), 0o400);
    assert!(!manifest.entries.contains_key(&b"dev/fifo"[..]));
    assert_eq!(notes.attributes, 1);
    insta::assert_snapshot!(notes.sentences().join("\n"), @r"
    devices are left to the sandbox: `/dev/fifo`, `/dev/block`
    set-user-id and set-group-id bits are dropped: `/bin/su`
    capabilities of files are dropped: `/ping`
    extended attributes of 1 files are dropped
    ");
}

/// A record of an extended header, whose length counts itself.
fn pax(key: &str, value: &str) -> String {
    let body = format!(" {key}={value}\n");
    let length = (body.len()..).find(|length| length.to_string().len() + body.len() == *length);
    format!("{}{body}", length.unwrap())
}

#[test]
fn long_and_odd_names_are_read() {
    let long = "x".repeat(120);
    let path = format!("deep/{long}/{long}");
    let path_record = pax("path", &path);
    let link_record = pax("linkpath", &path) + &pax("mtime", "1.5");
    let gnu = format!("{path}-gnu\0");
    let of = |kind, content: &'static str| TarMember {
        kind,
        ..file("././@LongLink", content.as_bytes())
    };
    let leak = |text: String| &*Box::leak(text.into_boxed_str());
    let (path_record, link_record, gnu) = (leak(path_record), leak(link_record), leak(gnu));
    let members = [
        of(b'g', "19 comment=ignored\n"),
        of(b'x', path_record),
        file("short", b"a"),
        of(b'x', link_record),
        link(b'2', "link", "short"),
        of(b'L', gnu),
        file("short", b"b"),
        TarMember {
            name: b"caf\xe9",
            ..file("", b"latin")
        },
        TarMember {
            kind: 0,
            ..file("old/", b"")
        },
        TarMember {
            kind: b'7',
            ..file("contiguous", b"c")
        },
    ];
    let (manifest, _) = unpack(&[&members]).unwrap();
    for name in [&path, &format!("{path}-gnu"), "link", "old", "contiguous"] {
        assert!(manifest.entries.contains_key(name.as_bytes()), "{name}");
    }
    assert!(manifest.entries.contains_key(&b"caf\xe9"[..]));
    let text = manifest.to_text();
    assert!(text.contains(&format!("l\tlink\t{path}\n")), "{text}");
}

#[test]
fn streams_that_tools_read_differently_are_refused() {
    let of = |kind, content: &'static [u8]| TarMember {
        kind,
        ..file("header", content)
    };
    for (members, message) in [
        (vec![of(b'x', b"9 path=x\n")], "belongs to no member"),
        (vec![of(b'x', b"9 path=x")], "not a list of records"),
        (vec![of(b'x', b"x")], "not a list of records"),
        (
            vec![of(b'x', b"99999999999999999999 path=x\n")],
            "not a list",
        ),
        (vec![of(b'x', b"2 path=x\n")], "not a list of records"),
        (
            vec![of(b'x', b"9 path=x\n9 path=y\n"), file("a", b"")],
            "two names",
        ),
        (
            vec![of(b'L', b"x\0"), of(b'x', b"9 path=y\n"), file("a", b"")],
            "two names",
        ),
        (
            vec![of(b'x', b"22 GNU.sparse.major=1\n"), file("a", b"")],
            "sparse",
        ),
        (
            vec![of(b'x', b"11 size=-1\n"), file("a", b"")],
            "a size is no number",
        ),
        (
            vec![of(b'x', b"29 size=18446744073709551615\n"), file("a", b"")],
            "too large",
        ),
    ] {
        let found = refused(&[&members]);
        assert!(found.contains(message), "expected `{message}`: `{found}`");
    }
    let refused = |stream: Vec<u8>| match unpack_streams(&[stream], |_| {}).unwrap_err() {
        LayerError::Layer { source, .. } => source.to_string(),
        other => panic!("{other}"),
    };
    let whole = tar(&[file("a", b"content")]);
    let mut more = whole.clone();
    more.extend(tar(&[file("b", b"")]));
    assert!(refused(more).contains("behind its end"));
    let mut header = whole.clone();
    header[0] = b'b';
    assert!(refused(header).contains("checksum"));
    for length in [1, 511, 513, 700, 1023] {
        assert_eq!(refused(whole[..length].to_vec()), "the archive is damaged");
    }
    // A member that says to be longer than the stream.
    let mut long = whole.clone();
    long[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\x7f\xff\xff\xff\xff");
    long[148..156].copy_from_slice(b"        ");
    let sum: u32 = long[..512].iter().copied().map(u32::from).sum();
    long[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(refused(long), "the archive is damaged");
    // Without its end marks, and with more of them than needed: both are common.
    for stream in [whole[..1024].to_vec(), [&whole[..], &[0; 9000]].concat()] {
        let (manifest, _) = unpack_streams(&[stream], |_| {}).unwrap();
        assert_eq!(manifest.entries.len(), 2);
    }
}

#[test]
fn layers_are_what_the_image_says() {
    let stream = tar(&[file("a", b"content")]);
    let gzip = |bytes: &[u8]| {
        let mut packed = Vec::new();
        let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
        std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
        packed
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let unpack = |blob: &[u8], digest, compression, diff_id| {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("layer");
        fs::write(&path, blob).unwrap();
        let layer = ImageLayer {
            path,
            digest,
            compression,
            diff_id,
        };
        unpack_files(place.path(), &[layer], |tree| {
            let metadata = fs::metadata(tree.join("a")).unwrap();
            assert_eq!(metadata.mtime(), MODIFIED);
        })
        .map_err(|error| match error {
            LayerError::Layer { source, .. } => source.to_string(),
            other => panic!("{other}"),
        })
    };
    let diff_id = Digest::of(&stream);
    for (compression, blob) in [
        (Compression::None, stream.clone()),
        (Compression::Gzip, gzip(&stream)),
        (Compression::Zstd, zstd(&stream)),
        // In several parts, as parallel compressors write.
        (
            Compression::Gzip,
            [gzip(&stream[..700]), gzip(&stream[700..])].concat(),
        ),
        (
            Compression::Zstd,
            [zstd(&stream[..700]), zstd(&stream[700..])].concat(),
        ),
    ] {
        let digest = Digest::of(&blob);
        unpack(&blob, digest, compression, diff_id).unwrap();
        let other = Digest::of(b"other");
        let error = unpack(&blob, other, compression, diff_id).unwrap_err();
        assert!(error.starts_with("its digest is sha256:"), "{error}");
        let error = unpack(&blob, digest, compression, other).unwrap_err();
        assert!(error.starts_with("the digest of its tar stream"), "{error}");
        let cut = &blob[..blob.len() - 9];
        let error = unpack(cut, digest, compression, diff_id).unwrap_err();
        assert!(error.starts_with("its digest is"), "{error}");
        if compression != Compression::None {
            let longer = [&blob[..], b"garbage"].concat();
            let error = unpack(&longer, Digest::of(&longer), compression, diff_id);
            assert_eq!(error.unwrap_err(), "the archive is damaged");
        }
    }
}

#[test]
fn content_is_what_it_is_however_large() {
    let sizes = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 300_000];
    let contents: Vec<Vec<u8>> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
    let names: Vec<String> = sizes.iter().map(|size| format!("d/{size}")).collect();
    let members: Vec<_> = names
        .iter()
        .zip(&contents)
        .map(|(name, content)| TarMember {
            mode: 0o751,
            ..file(name, content)
        })
        .collect();
    let again = [file("d/300000", b"small")];
    let streams = [tar(&members), tar(&members), tar(&again)];
    let (manifest, _) = unpack_streams(&streams, |tree| {
        for (name, content) in names.iter().zip(&contents).take(sizes.len() - 1) {
            assert!(fs::read(tree.join(name)).unwrap() == *content, "{name}");
            let metadata = fs::metadata(tree.join(name)).unwrap();
            assert_eq!(
                (metadata.mtime(), metadata.mode() & 0o7777),
                (MODIFIED, 0o751)
            );
        }
        assert_eq!(fs::read(tree.join("d/300000")).unwrap(), b"small");
    })
    .unwrap();
    assert_eq!(manifest.entries.len(), sizes.len() + 2);
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 900_000];
    let stream = tar(&[file("zeros", &zeros)]);
    let blob = zstd::encode_all(&*stream, 3).unwrap();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("layer");
    fs::write(&path, &blob).unwrap();
    let layer = ImageLayer {
        path,
        digest: Digest::of(&blob),
        compression: Compression::Zstd,
        diff_id: Digest::of(&stream),
    };
    let error = unpack_files(place.path(), &[layer], |_| {}).unwrap_err();
    let LayerError::Layer { source, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(*source, LayerError::Exceeded(_)), "{source}");
}

/// A member with a name and a target out of few, so that they meet.
fn any_member() -> impl Strategy<Value = (Vec<u8>, u8, Vec<u8>, u32, Vec<u8>)> {
    let component = prop_oneof![
        8 => "[abc]".prop_map(String::into_bytes),
        1 => Just(b"..".to_vec()),
        1 => Just(b"dev".to_vec()),
        1 => Just(b".wh.a".to_vec()),
        1 => Just(b".wh..wh..opq".to_vec()),
        1 => Just(Vec::new()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    let path = |component| {
        proptest::collection::vec(component, 1..4)
            .prop_map(|parts: Vec<Vec<u8>>| parts.join(&b'/'))
            .prop_map(|mut path| {
                path.truncate(99);
                path
            })
    };
    let kind = prop_oneof![
        4 => Just(b'0'),
        3 => Just(b'5'),
        3 => Just(b'2'),
        3 => Just(b'1'),
        1 => any::<u8>(),
    ];
    let content = prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(b"9 path=a\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..600),
    ];
    (
        path(component.clone().boxed()),
        kind,
        path(component.boxed()),
        any::<u32>(),
        content,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Members of all kinds, damaged or not: an error or a tree that is its list, and nothing
    /// beside it. `unpack_streams` looks.
    #[test]
    fn no_stream_leaves_the_tree(
        layers in proptest::collection::vec(proptest::collection::vec(any_member(), 0..12), 1..4),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        repair: bool,
    ) {
        let mut streams: Vec<Vec<u8>> = layers
            .iter()
            .map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, kind, link, mode, content)| TarMember {
                        name,
                        kind: *kind,
                        mode: mode & 0o7777,
                        link,
                        content: if matches!(kind, b'1' | b'2' | b'5') { b"" } else { content },
                    })
                    .collect();
                tar(&members)
            })
            .collect();
        for (place, byte) in flips {
            let last = streams.last_mut().unwrap();
            let place = place.index(last.len());
            last[place] ^= byte;
            if repair {
                sum(&mut last[place / 512 * 512..][..512]);
            }
        }
        drop(unpack_streams(&streams, |_| {}));
    }
}

/// Makes the checksum of a header right again.
fn sum(header: &mut [u8]) {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
