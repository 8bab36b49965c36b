use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use envbox_lockfiles::base::{Context, Digest};
use envbox_lockfiles::manifest::Datum;
use jiff::Timestamp;

use super::*;
use crate::snapshot::Digests;
use crate::store::Store;

struct World {
    directory: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("project")).unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn inputs(&self, data: &[Datum]) -> Result<Vec<Input>, DataError> {
        let context = Context::new(self.store.directory().to_path_buf(), Timestamp::UNIX_EPOCH);
        inputs(&context, &self.store, &self.project(), data)
    }

    fn message(&self, data: Datum) -> String {
        self.inputs(&[data]).unwrap_err().to_string()
    }
}

fn datum(path: &str, text: &str) -> Datum {
    Datum {
        path: path.into(),
        sha256: Digest::of(text.as_bytes()),
        size: None,
        url: None,
    }
}

#[test]
fn a_changed_byte_is_named() {
    let world = World::new();
    world.write("data/train.csv", "1,2\n");
    let declared = datum("data/train.csv", "1,2\n");
    let inputs = world.inputs(std::slice::from_ref(&declared)).unwrap();
    let source = fs::canonicalize(world.project().join("data/train.csv")).unwrap();
    assert_eq!(inputs[0].source, source);
    world.write("data/train.csv", "1,3\n");
    let message = world.message(declared);
    assert!(message.starts_with("the data `data/train.csv` has changed: its digest is sha256:"));
    let sized = Datum {
        size: Some(9),
        ..datum("data/train.csv", "1,3\n")
    };
    let message = world.message(sized);
    assert_eq!(
        message,
        "the data `data/train.csv` has changed: it has 4 bytes, and `[data]` has 9"
    );
    let message = world.message(datum("none", ""));
    assert_eq!(message, "the data `none` is not there");
}

#[test]
fn the_digest_of_a_directory_is_what_sha256sum_says() {
    let world = World::new();
    for (name, text) in [
        ("images/b", "two"),
        ("images/a/x y", "one"),
        ("images/back\\slash", ""),
        ("images/A", ""),
    ] {
        world.write(name, text);
    }
    let list = Command::new("sh")
        .args([
            "-c",
            "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum",
        ])
        .current_dir(world.project().join("images"))
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), 4);
    let declared = datum("images", &list);
    world.inputs(std::slice::from_ref(&declared)).unwrap();
    world.write("images/new", "");
    assert!(world.message(declared).contains("`images` has changed"));
    std::os::unix::fs::symlink("b", world.project().join("images/link")).unwrap();
    let message = world.message(datum("images", ""));
    assert_eq!(message, "the data `images` has `link`, which is no file");
}

#[test]
fn data_is_found_through_pointers() {
    let world = World::new();
    let text = "the real bytes";
    let oid = Digest::of(text.as_bytes()).hex();
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 14\n");
    world.write("lfs.bin", &pointer);
    let message = world.message(datum("lfs.bin", text));
    assert_eq!(
        message,
        "the data `lfs.bin` is a pointer of Git LFS, which has no such object here"
    );
    let object = format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]);
    world.write(&object, text);
    world.inputs(&[datum("lfs.bin", text)]).unwrap();
    let dvc =
        "outs:\n- md5: d3b07384d113edec49eaa6238ad5ff00\n  size: 4\n  hash: md5\n  path: dvc.bin\n";
    world.write("dvc.bin.dvc", dvc);
    let message = world.message(datum("dvc.bin", text));
    assert_eq!(
        message,
        "the data `dvc.bin` is a pointer of DVC, which has no such object here"
    );
    world.write(
        ".dvc/config",
        "[core]\n    dir = wrong\n[cache]\n    dir = ../elsewhere\n",
    );
    world.write(
        "elsewhere/files/md5/d3/b07384d113edec49eaa6238ad5ff00",
        text,
    );
    let inputs = world.inputs(&[datum("dvc.bin", text)]).unwrap();
    assert!(
        inputs[0]
            .source
            .ends_with("d3/b07384d113edec49eaa6238ad5ff00")
    );
    // Whatever the pointer says, the digest decides.
    assert!(
        world
            .message(datum("dvc.bin", "other"))
            .contains("has changed")
    );
}

#[test]
fn a_link_may_lead_to_where_there_is_room() {
    let world = World::new();
    let large = world.directory.path().join("large.bin");
    fs::write(&large, "large").unwrap();
    std::os::unix::fs::symlink(&large, world.project().join("data")).unwrap();
    let digests = Digests::load(&world.store, &world.project(), Timestamp::UNIX_EPOCH);
    let found = find(&world.store, &world.project(), Path::new("data"), &digests).unwrap();
    assert_eq!(found.source, fs::canonicalize(large).unwrap());
    assert_eq!((found.digest, found.size), (Digest::of(b"large"), Some(5)));
}

/// A project with a directory under DVC: the pointer, the list, and an object for each file.
fn dvc_directory(files: &[(&str, &str)]) -> World {
    let world = World::new();
    let hex = |bytes: &[u8]| -> String {
        let digest = <md5::Md5 as md5::Digest>::digest(bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let object = |name: &str, text: &str| {
        let (head, tail) = name.split_at(2);
        world.write(&format!(".dvc/cache/files/md5/{head}/{tail}"), text);
    };
    let entry = |(path, text): &(&str, &str)| {
        let name = hex(text.as_bytes());
        object(&name, text);
        format!(r#"{{"md5": "{name}", "relpath": "{path}"}}"#)
    };
    let list = files.iter().map(entry).collect::<Vec<_>>().join(", ");
    let list = format!("[{list}]");
    let name = format!("{}.dir", hex(list.as_bytes()));
    object(&name, &list);
    let pointer = format!("outs:\n- md5: {name}\n  nfiles: 2\n  hash: md5\n  path: images\n");
    world.write("images.dvc", &pointer);
    world
}

/// Returns what `sha256sum` would print for files in the order of their paths.
fn sums(files: &[(&str, &str)]) -> String {
    let line =
        |(path, text): &(&str, &str)| format!("{}  ./{path}\n", Digest::of(text.as_bytes()).hex());
    files.iter().map(line).collect()
}

const IMAGES: [(&str, &str); 3] = [("a/b.png", "one"), ("a-b.png", "two"), ("c.png", "three")];

#[test]
fn a_directory_is_laid_out_from_what_dvc_has() {
    let world = dvc_directory(&IMAGES);
    let sorted = [IMAGES[1], IMAGES[0], IMAGES[2]];
    let declared = datum("images", &sums(&sorted));
    let inputs = world.inputs(std::slice::from_ref(&declared)).unwrap();
    let text = |name: &str| fs::read_to_string(inputs[0].source.join(name)).unwrap();
    assert_eq!(
        (text("a/b.png"), text("a-b.png")),
        ("one".into(), "two".into())
    );
    // What is checked out is used as it is, and has the same digest.
    for (path, bytes) in IMAGES {
        world.write(&format!("images/{path}"), bytes);
    }
    let own = fs::canonicalize(world.project().join("images")).unwrap();
    let inputs = world.inputs(std::slice::from_ref(&declared)).unwrap();
    assert_eq!(inputs[0].source, own);
    type Change = (fn(&World), &'static str);
    let changes: [Change; 3] = [
        (
            |world| world.write("images/new", ""),
            "`new` is new: DVC does not list it",
        ),
        (
            |world| world.write("images/c.png", "else"),
            "`c.png` has other bytes than DVC lists",
        ),
        (
            |world| fs::remove_file(world.project().join("images/a/b.png")).unwrap(),
            "`a/b.png`, which DVC lists, is missing",
        ),
    ];
    for (change, message) in changes {
        change(&world);
        let expected = format!("the data `images` has changed: {message}");
        assert_eq!(world.message(declared.clone()), expected);
    }
}

#[test]
fn what_dvc_has_is_not_trusted() {
    let files = sums(&IMAGES);
    let object = |world: &World, text: &str| {
        let directory = world.project().join(".dvc/cache/files/md5");
        let all = fs::read_dir(directory).unwrap();
        let all = all.flat_map(|head| fs::read_dir(head.unwrap().path()).unwrap());
        let mut all = all.map(|object| object.unwrap().path());
        all.find(|object| fs::read_to_string(object).unwrap().starts_with(text))
            .unwrap()
    };
    let world = dvc_directory(&IMAGES);
    fs::write(object(&world, "three"), "THREE").unwrap();
    let message = world.message(datum("images", &files));
    assert_eq!(
        message,
        "the data `images` has changed: DVC's object for `c.png` is damaged"
    );
    fs::remove_file(object(&world, "THREE")).unwrap();
    let message = world.message(datum("images", &files));
    assert_eq!(
        message,
        "the data `images` has changed: DVC has no object for `c.png` here"
    );
    // Where the remote is a directory of this host, it is as good.
    let remote = world.directory.path().join("remote");
    let name = "35d6d33467aae9a2e3dccb4b6b027878";
    let place = remote.join("files/md5").join(&name[..2]);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(&name[2..]), "three").unwrap();
    let config = format!(
        "[core]\n    remote = near\n['remote \"near\"']\n    url = {}\n",
        remote.display()
    );
    world.write(".dvc/config", &config);
    let sorted = sums(&[IMAGES[1], IMAGES[0], IMAGES[2]]);
    world.inputs(&[datum("images", &sorted)]).unwrap();
    let list = object(&world, "[");
    fs::write(&list, "[]").unwrap();
    let message = world.message(datum("images", &files));
    let expected = "DVC's list of the data `images` is not what its name says: `";
    assert!(message.starts_with(expected), "{message}");
    fs::remove_file(list).unwrap();
    let message = world.message(datum("images", &files));
    assert_eq!(
        message,
        "the data `images` is a pointer of DVC, which has no such object here"
    );
}

#[test]
fn a_list_that_leads_elsewhere_is_refused() {
    for path in ["../x", "/etc/passwd", "a/../../x", "", "./a", "a//../b"] {
        let world = dvc_directory(&[(path, "text")]);
        let message = world.message(datum("images", ""));
        let expected =
            format!("DVC's list of the data `images` has `{path}`, which is not inside of it");
        assert_eq!(message, expected);
    }
    for files in [[("a", "1"), ("a", "2")], [("a", "1"), ("a/b", "2")]] {
        let message = dvc_directory(&files).message(datum("images", ""));
        assert!(
            message.contains("DVC's list of the data `images` has a file "),
            "{message}"
        );
    }
}
