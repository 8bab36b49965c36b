use std::fs;
use std::path::Path;

use envbox_lockfiles::base::{Digest, Explain as _, Kind};
use proptest::prelude::*;
use rattler_conda_types::PrefixRecord;
use serde_json::{Value, json};

use crate::layers::testing::{TarMember, directory, file, link, tar, unpacked, zip};
use crate::layers::{
    CondaPackage, LayerError, Limits, LinkScript, PythonTarget, link_scripts, unpack_conda,
};
use crate::store::TreeManifest;

const PLACEHOLDER: &str = "/opt/placehold_placehold_placehold";

/// A package that is made for a test.
struct Made {
    index: Value,
    info: Vec<(&'static str, String)>,
    files: Vec<TarMember<'static>>,
}

impl Made {
    /// A package with these files, all of them listed as they are.
    fn of(files: Vec<TarMember<'static>>) -> Self {
        let paths: Vec<Value> = files
            .iter()
            .filter(|member| member.kind != b'5')
            .map(listed)
            .collect();
        Self {
            index: json!({"name": "example", "version": "1.0", "build": "h_0", "build_number": 0}),
            info: vec![("paths.json", paths_json(&paths))],
            files,
        }
    }

    /// The same with another list.
    fn listing(mut self, paths: &[Value]) -> Self {
        self.info = vec![("paths.json", paths_json(paths))];
        self
    }

    fn noarch(mut self, entry_points: &[&str]) -> Self {
        self.index["noarch"] = json!("python");
        let link = json!({"noarch": {"type": "python", "entry_points": entry_points}});
        self.info.push(("link.json", link.to_string()));
        self
    }

    fn info_tar(&self) -> Vec<u8> {
        let index = self.index.to_string();
        let names: Vec<(String, &str)> = [("index.json", &index)]
            .into_iter()
            .chain(self.info.iter().map(|(name, text)| (*name, text)))
            .map(|(name, text)| (format!("info/{name}"), text.as_str()))
            .collect();
        let members: Vec<TarMember<'_>> = names
            .iter()
            .map(|(name, text)| file(name, text.as_bytes()))
            .collect();
        tar(&members)
    }

    fn conda(&self) -> Vec<u8> {
        parts(&self.info_tar(), &tar(&self.files))
    }

    /// The files first: what describes them may come last.
    fn tar_bz2(&self) -> Vec<u8> {
        let mut stream = tar(&self.files);
        stream.truncate(stream.len() - 1024);
        stream.extend(self.info_tar());
        let mut packed = Vec::new();
        let mut encoder = bzip2::write::BzEncoder::new(&mut packed, bzip2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &stream).unwrap();
        encoder.finish().unwrap();
        packed
    }

    fn unpacked(&self) -> Result<TreeManifest, LayerError> {
        unpack("linux-64/example-1.0-h_0.conda", &self.conda(), |_| {})
    }

    fn refused(&self) -> String {
        self.unpacked().unwrap_err().to_string()
    }
}

fn parts(info: &[u8], files: &[u8]) -> Vec<u8> {
    let pack = |stream: &[u8]| zstd::encode_all(stream, 3).unwrap();
    zip(&[
        ("metadata.json", 0o644, b"{\"conda_pkg_format_version\": 2}"),
        ("pkg-example-1.0-h_0.tar.zst", 0o644, &pack(files)),
        ("info-example-1.0-h_0.tar.zst", 0o644, &pack(info)),
    ])
}

fn paths_json(paths: &[Value]) -> String {
    json!({"paths": paths, "paths_version": 1}).to_string()
}

fn listed(member: &TarMember<'_>) -> Value {
    let name = String::from_utf8_lossy(member.name);
    match member.kind {
        b'2' => json!({"_path": name, "path_type": "softlink"}),
        b'1' => json!({"_path": name, "path_type": "hardlink"}),
        _ => json!({
            "_path": name,
            "path_type": "hardlink",
            "sha256": Digest::of(member.content).hex(),
            "size_in_bytes": member.content.len(),
        }),
    }
}

fn with_placeholder(member: &TarMember<'_>, mode: &str, placeholder: &str) -> Value {
    let mut listed = listed(member);
    listed["file_mode"] = json!(mode);
    listed["prefix_placeholder"] = json!(placeholder);
    listed
}

const PYTHON: PythonTarget = PythonTarget {
    major: 3,
    minor: 12,
};

fn unpack(
    file: &str,
    archive: &[u8],
    look: impl FnOnce(&Path),
) -> Result<TreeManifest, LayerError> {
    unpack_with(file, archive, Some(PYTHON), look)
}

fn unpack_with(
    file: &str,
    archive: &[u8],
    python: Option<PythonTarget>,
    look: impl FnOnce(&Path),
) -> Result<TreeManifest, LayerError> {
    let stem = file.rsplit('/').next().unwrap();
    let stem = stem.trim_end_matches(".conda").trim_end_matches(".tar.bz2");
    let fields: Vec<&str> = stem.rsplitn(3, '-').collect();
    let package = CondaPackage {
        name: fields[2],
        version: fields[1],
        build: fields[0],
        channel: "tiny",
        file,
        size: archive.len() as u64,
        digest: Digest::of(archive),
    };
    let into = |path: &Path, tree: &Path, limits: Limits| {
        unpack_conda(path, &package, python, tree, limits)
    };
    unpacked(archive, into, look)
}

fn tiny(file: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conda/tiny-channel");
    fs::read(root.join(file)).unwrap()
}

fn text(tree: &Path, path: &str) -> String {
    String::from_utf8_lossy(&fs::read(tree.join(path)).unwrap()).into_owned()
}

#[test]
fn the_prefix_is_put_where_its_placeholder_was() {
    let name = "linux-64/libfoo-1.0-h1_0.conda";
    let manifest = unpack(name, &tiny(name), |tree| {
        let library = text(tree, "opt/env/lib/libfoo.so.1");
        assert!(library.contains("/opt/env") && !library.contains("placehold"));
        assert_eq!(library.len(), 249, "nothing in a program moves");
        let config = text(tree, "opt/env/etc/foo.conf");
        assert!(config.contains("/opt/env") && !config.contains("placehold"));
    });
    assert!(
        manifest
            .unwrap()
            .to_text()
            .contains("f\t0755\topt/env/lib/libfoo.so.1")
    );
}

#[test]
fn python_packages_go_where_the_interpreter_looks() {
    let name = "noarch/mytool-0.3-pyhd_0.conda";
    let manifest = unpack(name, &tiny(name), |tree| {
        let script = text(tree, "opt/env/bin/mytool");
        assert!(script.starts_with("#!/opt/env/bin/python\n"), "{script}");
        assert!(script.contains("from mytool import main"), "{script}");
        assert!(text(tree, "opt/env/bin/mt2").starts_with("#!/opt/env/bin/python"));
    })
    .unwrap();
    let paths: Vec<String> = manifest
        .entries
        .iter()
        .filter(|(_, entry)| entry.kind != crate::store::EntryKind::Directory)
        .map(|(path, entry)| format!("{:o} {}", entry.mode, String::from_utf8_lossy(path)))
        .collect();
    insta::assert_snapshot!(paths.join("\n"), @r"
    755 opt/env/bin/mt2
    755 opt/env/bin/mytool
    644 opt/env/conda-meta/mytool-0.3-pyhd_0.json
    644 opt/env/lib/python3.12/site-packages/mytool-0.3.dist-info/METADATA
    644 opt/env/lib/python3.12/site-packages/mytool.py
    ");
    let alone = unpack_with(name, &tiny(name), None, |_| {}).unwrap_err();
    assert_eq!(alone.kind(), Kind::User);
    assert_eq!(alone.hints(), ["add `python` to `[conda] dependencies`"]);
}

#[test]
fn an_interpreter_is_a_package_as_any() {
    let name = "linux-64/python-3.12.4-h0_0.conda";
    let manifest = unpack(name, &tiny(name), |tree| {
        assert!(text(tree, "opt/env/bin/python3.12").starts_with("#!"));
    });
    let text = manifest.unwrap().to_text();
    assert!(
        text.contains("l\topt/env/bin/python\tpython3.12\n"),
        "{text}"
    );
    assert!(
        text.contains("f\t0644\topt/env/lib/python3.12/os.py"),
        "{text}"
    );
}

#[test]
fn both_formats_give_the_same_files() {
    let program = TarMember {
        mode: 0o755,
        ..file("bin/tool", b"\0/opt/placehold_placehold_placehold/lib\0x")
    };
    let members = vec![
        program,
        link(b'1', "bin/other", "bin/tool"),
        link(b'2', "bin/link", "tool"),
        directory("lib", 0o700),
        file("lib/config", b"at /opt/placehold_placehold_placehold\n"),
        file("lib/unlisted", b"unlisted"),
    ];
    let list = [
        with_placeholder(&members[0], "binary", PLACEHOLDER),
        with_placeholder(&members[1], "binary", PLACEHOLDER),
        listed(&members[2]),
        with_placeholder(&members[4], "text", PLACEHOLDER),
    ];
    let made = Made::of(members).listing(&list);
    let without_record = |manifest: TreeManifest| {
        let text = manifest.to_text();
        let lines = text.lines().filter(|line| !line.contains("conda-meta/"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let look = |tree: &Path| {
        assert_eq!(text(tree, "opt/env/lib/config"), "at /opt/env\n");
        assert!(text(tree, "opt/env/bin/other").starts_with("\0/opt/env/lib\0\0"));
    };
    let new = unpack("linux-64/example-1.0-h_0.conda", &made.conda(), look).unwrap();
    let old = unpack("linux-64/example-1.0-h_0.tar.bz2", &made.tar_bz2(), look).unwrap();
    let (new, old) = (without_record(new), without_record(old));
    assert_eq!(new, old);
    assert!(!new.contains("unlisted"), "{new}");
    assert!(new.contains("d\t0755\topt/env/lib\n"), "{new}");
    // What packages had before there was `paths.json`.
    let mut older = made;
    older.info = vec![
        (
            "files",
            "bin/tool\nbin/other\nbin/link\nlib/config\n".to_owned(),
        ),
        (
            "has_prefix",
            format!(
                "{PLACEHOLDER} binary bin/tool\n\"{PLACEHOLDER}\" binary bin/other\n\
                 {PLACEHOLDER} text \"lib/config\"\n"
            ),
        ),
    ];
    let older = unpack("linux-64/example-1.0-h_0.tar.bz2", &older.tar_bz2(), look).unwrap();
    assert_eq!(without_record(older), new);
}

#[test]
fn lists_are_verified() {
    let content = || vec![file("lib/a", b"content"), file("lib/b", b"b")];
    assert!(Made::of(content()).unpacked().is_ok());
    let entry = |change: &dyn Fn(&mut Value)| {
        let mut entry = listed(&content()[0]);
        change(&mut entry);
        let list = [entry, listed(&content()[1])];
        Made::of(content()).listing(&list).refused()
    };
    let differs = "`lib/a` is not what `info/paths.json` lists";
    let other = Digest::of(b"other").hex();
    assert_eq!(entry(&|entry| entry["sha256"] = json!(other)), differs);
    assert_eq!(entry(&|entry| entry["size_in_bytes"] = json!(8)), differs);
    assert_eq!(
        entry(&|entry| entry["path_type"] = json!("softlink")),
        differs
    );
    assert_eq!(
        entry(&|entry| entry["path_type"] = json!("directory")),
        differs
    );
    assert_eq!(
        entry(&|entry| entry["_path"] = json!("lib/c")),
        "the archive has no `lib/c`"
    );
    for bad in ["x", "-1"] {
        let found = entry(&|entry| entry["sha256"] = json!(bad));
        assert!(
            found.contains("`info/paths.json` is not what it should be"),
            "{found}"
        );
    }
    // Two names of one file that are said to differ.
    let members = vec![file("a", b"x"), link(b'1', "b", "a")];
    let mut second = listed(&members[1]);
    second["sha256"] = json!(Digest::of(b"y").hex());
    let list = [listed(&members[0]), second];
    assert_eq!(
        Made::of(members).listing(&list).refused(),
        "`b` is not what `info/paths.json` lists"
    );
}

#[test]
fn strings_without_room_are_refused() {
    let members = vec![file("bin/a", b"/opt\0")];
    let list = [with_placeholder(&members[0], "binary", "/opt")];
    let found = Made::of(members).listing(&list).refused();
    assert_eq!(
        found,
        "`bin/a` has `/opt` in its strings, which is shorter than the prefix `/opt/env`"
    );
    // Text has room.
    let members = vec![file("etc/a", b"at /old/b\n")];
    let list = [with_placeholder(&members[0], "text", "/old")];
    let made = Made::of(members).listing(&list);
    let look = |tree: &Path| assert_eq!(text(tree, "opt/env/etc/a"), "at /opt/env/b\n");
    unpack("linux-64/example-1.0-h_0.conda", &made.conda(), look).unwrap();
}

#[test]
fn hostile_packages_are_refused() {
    let name = "has a name that is refused";
    let special = |kind: u8| TarMember {
        kind,
        ..file("dev/x", b"")
    };
    let cases: Vec<(Vec<TarMember<'static>>, &str)> = vec![
        (vec![file("../x", b"")], name),
        (vec![file("/etc/passwd", b"")], name),
        (vec![file("a/../../../x", b"")], name),
        (vec![link(b'2', "a", "../../../x")], "leads out of the tree"),
        (vec![link(b'1', "a", "/etc/passwd")], name),
        (vec![link(b'1', "a", "../../etc/passwd")], name),
        (
            vec![link(b'1', "a", "b"), file("b", b"")],
            "no earlier file",
        ),
        (
            vec![link(b'2', "a", "/tmp"), file("a/x", b"")],
            "which is not a directory",
        ),
        (vec![file("a", b""), file("./a", b"")], "two members"),
        (vec![special(b'3')], "type `3`"),
        (vec![special(b'6')], "type `6`"),
        (
            vec![file("conda-meta/other-1-0.json", b"{}")],
            "records of packages",
        ),
        (vec![file("info/x", b"")], "the wrong one of its two parts"),
    ];
    for (members, message) in cases {
        let found = Made::of(members).refused();
        assert!(
            found.contains(message),
            "expected `{message}`, found `{found}`"
        );
    }
    // The list alone.
    for (path, message) in [("../x", name), ("/x", name), ("", name), (".", "is empty")] {
        let list = [json!({"_path": path, "path_type": "hardlink"})];
        let found = Made::of(Vec::new()).listing(&list).refused();
        assert!(
            found.contains(message),
            "expected `{message}`, found `{found}`"
        );
    }
    let many = (0..1001)
        .map(|number| &*format!("{number}").leak())
        .map(|name| file(name, b""));
    let found = Made::of(many.collect()).refused();
    assert_eq!(found, "the archive has more than 1000 entries");
}

#[test]
fn packages_that_are_not_what_they_say_are_refused() {
    let mut other = Made::of(Vec::new());
    other.index["version"] = json!("1.1");
    assert_eq!(
        other.refused(),
        "the archive is of `example-1.1-h_0`, not of `example-1.0-h_0`"
    );
    let mut kind = Made::of(Vec::new());
    kind.index["noarch"] = json!("other");
    assert!(
        kind.refused()
            .contains("a kind of `noarch` that is not known")
    );
    // Its tree would depend on the interpreter although its place says that it does not.
    let found = Made::of(Vec::new()).noarch(&[]).refused();
    assert!(found.contains("not in `noarch`"), "{found}");
    let mut listless = Made::of(Vec::new());
    listless.info.clear();
    assert_eq!(listless.refused(), "the archive has no `info/paths.json`");
    let bare = parts(&tar(&[]), &tar(&[]));
    let error = unpack("linux-64/example-1.0-h_0.conda", &bare, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "the archive has no `info/index.json`");
    let outside = parts(&tar(&[file("x", b"")]), &tar(&[]));
    let error = unpack("linux-64/example-1.0-h_0.conda", &outside, |_| {}).unwrap_err();
    assert!(error.to_string().contains("the wrong one of its two parts"));
    let future = zip(&[
        ("metadata.json", 0o644, b"{\"conda_pkg_format_version\": 3}"),
        ("info-x.tar.zst", 0o644, b""),
        ("pkg-x.tar.zst", 0o644, b""),
    ]);
    let error = unpack("linux-64/example-1.0-h_0.conda", &future, |_| {}).unwrap_err();
    assert!(error.to_string().contains("not version 2"), "{error}");
    for (name, message) in [
        ("linux-64/example-1.0-h_0.conda", "the archive"),
        ("linux-64/example-1.0-h_0.tar.bz2", "the archive is damaged"),
        ("linux-64/example-1.0-h_0.zip", "not supported"),
    ] {
        let error = unpack(name, b"no package", |_| {}).unwrap_err();
        assert!(error.to_string().contains(message), "{name}: {error}");
    }
}

#[test]
fn compressed_bombs_are_refused() {
    let zeros: &'static [u8] = vec![0; 900_000].leak();
    let made = Made::of(vec![file("zeros", zeros)]);
    for (name, archive) in [
        ("linux-64/example-1.0-h_0.conda", made.conda()),
        ("linux-64/example-1.0-h_0.tar.bz2", made.tar_bz2()),
    ] {
        let error = unpack(name, &archive, |_| {}).unwrap_err();
        assert!(matches!(error, LayerError::Exceeded(_)), "{name}: {error}");
    }
}

#[test]
fn entry_points_do_not_replace_files() {
    let members = vec![
        file("python-scripts/tool", b"own"),
        file("site-packages/m.py", b"x = 1\n"),
        file("share/doc", b"doc"),
    ];
    let made = Made::of(members).noarch(&["tool = m:f", "other = m:g.h"]);
    let file = "noarch/example-1.0-h_0.conda";
    let manifest = unpack(file, &made.conda(), |tree| {
        assert_eq!(text(tree, "opt/env/bin/tool"), "own");
        assert!(text(tree, "opt/env/bin/other").contains("g.h()"));
        assert_eq!(text(tree, "opt/env/share/doc"), "doc");
    })
    .unwrap();
    let module = b"opt/env/lib/python3.12/site-packages/m.py";
    assert!(manifest.entries.contains_key(&module[..]));
    let made = Made::of(Vec::new()).noarch(&["../tool = m:f"]);
    let error = unpack(file, &made.conda(), |_| {}).unwrap_err();
    assert!(matches!(error, LayerError::EntryPoint { .. }), "{error}");
}

/// Bytecode with the time and size of its module.
fn bytecode(time: u32, size: u32) -> &'static [u8] {
    let mut bytes = b"\xcb\x0d\x0d\x0a\0\0\0\0".to_vec();
    bytes.extend(time.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(b"code");
    bytes.leak()
}

#[test]
fn only_bytecode_that_python_would_take_is_kept() {
    // Members of these archives were last changed at 0.
    let members = vec![
        file(
            "lib/python3.12/__pycache__/good.cpython-312.pyc",
            bytecode(0, 3),
        ),
        file(
            "lib/python3.12/__pycache__/old.cpython-312.pyc",
            bytecode(9, 3),
        ),
        file(
            "lib/python3.12/__pycache__/long.cpython-312.pyc",
            bytecode(0, 4),
        ),
        file(
            "lib/python3.12/__pycache__/moved.cpython-312.pyc",
            bytecode(0, 35),
        ),
        file(
            "lib/python3.12/__pycache__/lone.cpython-312.pyc",
            bytecode(0, 1),
        ),
        file("lib/python3.12/good.py", b"x=1"),
        file("lib/python3.12/old.py", b"x=1"),
        file("lib/python3.12/long.py", b"x=1"),
        file(
            "lib/python3.12/moved.py",
            b"/opt/placehold_placehold_placehold\n",
        ),
        file(
            "lib/python3.12/sub/__pycache__/old.cpython-312.pyc",
            bytecode(9, 3),
        ),
        file("lib/python3.12/sub/old.py", b"x=1"),
    ];
    let mut list: Vec<Value> = members.iter().map(listed).collect();
    list[8] = with_placeholder(&members[8], "text", PLACEHOLDER);
    let made = Made::of(members).listing(&list);
    let file = "linux-64/example-1.0-h_0.conda";
    let manifest = unpack(file, &made.conda(), |tree| {
        let path = "opt/env/lib/python3.12/__pycache__/good.cpython-312.pyc";
        let bytes = fs::read(tree.join(path)).unwrap();
        let mut expected = b"\xcb\x0d\x0d\x0a\x01\0\0\0".to_vec();
        expected.extend([0; 8]);
        expected.extend(b"code");
        assert_eq!(bytes, expected);
    });
    let text = manifest.unwrap().to_text();
    let kept: Vec<&str> = ["good", "old", "long", "moved", "lone"]
        .into_iter()
        .filter(|name| text.contains(&format!("__pycache__/{name}.")))
        .collect();
    assert_eq!(kept, ["good", "lone"]);
    assert!(!text.contains("sub/__pycache__"), "{text}");
}

#[test]
fn records_are_read_by_conda() {
    let name = "noarch/mytool-0.3-pyhd_0.conda";
    let record = |file: &str, archive: &[u8]| {
        let mut found = String::new();
        let path = "opt/env/conda-meta/mytool-0.3-pyhd_0.json";
        unpack(file, archive, |tree| found = text(tree, path)).unwrap();
        found
    };
    let found = record(name, &tiny(name));
    assert_eq!(
        record(name, &tiny(name)),
        found,
        "no place and no time is in it"
    );
    assert!(!found.contains("/tmp"), "{found}");
    let read: PrefixRecord = serde_json::from_str(&found).unwrap();
    let package = &read.repodata_record.package_record;
    assert_eq!(package.name.as_normalized(), "mytool");
    assert_eq!(package.depends, ["python >=3.8", "gpulib"]);
    assert_eq!(read.repodata_record.channel.as_deref(), Some("tiny"));
    let url = "pkg:conda/mytool@0.3?build=pyhd_0&channel=tiny&subdir=noarch&type=conda";
    assert_eq!(read.repodata_record.url.as_str(), url);
    let files: Vec<_> = read
        .files
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    insta::assert_snapshot!(files.join("\n"), @r"
    bin/mt2
    bin/mytool
    lib/python3.12/site-packages/mytool-0.3.dist-info/METADATA
    lib/python3.12/site-packages/mytool.py
    ");
    let script = read
        .paths_data
        .paths
        .iter()
        .find(|entry| entry.relative_path == Path::new("bin/mt2"))
        .unwrap();
    assert_ne!(script.sha256, script.sha256_in_prefix);
}

#[test]
fn link_scripts_are_found() {
    let names = [
        "bin/.example-post-link.sh",
        "bin/.other-post-link.sh",
        "bin/.example-pre-unlink.sh",
    ];
    let members = names.map(|name| file(name, b"true\n"));
    let manifest = Made::of(members.into()).unpacked().unwrap();
    assert_eq!(link_scripts("example", &manifest), [LinkScript::Post]);
    let members = vec![file("bin/.example-pre-link.sh", b"true\n")];
    let manifest = Made::of(members).unpacked().unwrap();
    assert_eq!(link_scripts("example", &manifest), [LinkScript::Pre]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_packages_are_errors(position in 0usize..5000, byte: u8, cut in 0usize..5000) {
        for (name, mut archive) in [
            ("linux-64/libfoo-1.0-h1_0.conda", tiny("linux-64/libfoo-1.0-h1_0.conda")),
            (
                "linux-64/example-1.0-h_0.tar.bz2",
                Made::of(vec![file("a", b"a"), link(b'2', "b", "a")]).tar_bz2(),
            ),
        ] {
            let length = archive.len();
            archive[position % length] = byte;
            archive.truncate(length - cut % length);
            // Whatever comes out: no panic, and nothing beside the tree.
            drop(unpack(name, &archive, |_| {}));
        }
    }
}
