//! What envbox unpacks is what umoci unpacks.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use envbox::base::{Compression, Digest, Platform};
use envbox::image::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, MediaType, OciPlatform, RootFs,
    RuntimeConfig,
};
use envbox::layers::{ImageLayer, Limits, unpack_layers};

/// The annotation that names an image in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";

/// Writes a layout with one image of these tar streams, named `latest`, and returns the layers.
fn write_layout(layout: &Path, streams: &[Vec<u8>]) -> Vec<ImageLayer> {
    let mut layers = Vec::new();
    let mut descriptors = Vec::new();
    for stream in streams {
        let mut packed = Vec::new();
        let mut encoder = flate2::read::GzEncoder::new(&**stream, flate2::Compression::fast());
        encoder.read_to_end(&mut packed).unwrap();
        let descriptor = blob(layout, MediaType::LAYER_GZIP, &packed);
        layers.push(ImageLayer {
            path: path(layout, &descriptor),
            digest: descriptor.digest,
            compression: Compression::Gzip,
            diff_id: Digest::of(stream),
        });
        descriptors.push(descriptor);
    }
    let OciPlatform {
        architecture, os, ..
    } = Platform::LinuxAmd64.into();
    let config = ImageConfig {
        architecture,
        config: RuntimeConfig::default(),
        created: None,
        history: Vec::new(),
        os,
        rootfs: RootFs {
            diff_ids: layers.iter().map(|layer| layer.diff_id).collect(),
            kind: "layers".to_owned(),
        },
        variant: None,
    };
    let config = blob(layout, MediaType::CONFIG, &config.to_bytes());
    let manifest = ImageManifest::new(config, descriptors).to_bytes();
    let mut manifest = blob(layout, MediaType::MANIFEST, &manifest);
    manifest
        .annotations
        .insert(NAME.to_owned(), "latest".to_owned());
    let index = ImageIndex::new(vec![manifest]);
    fs::write(layout.join("index.json"), index.to_bytes()).unwrap();
    let version = "{\"imageLayoutVersion\":\"1.0.0\"}";
    fs::write(layout.join("oci-layout"), version).unwrap();
    layers
}

fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(media_type, bytes);
    let path = path(layout, &descriptor);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    descriptor
}

fn path(layout: &Path, descriptor: &Descriptor) -> PathBuf {
    layout.join("blobs/sha256").join(descriptor.digest.hex())
}

/// What an entry of a tree is: its type, mode, and content or target.
type Entry = (char, u32, Vec<u8>);

/// Lists a tree; of modes, what envbox keeps.
fn list(tree: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut open = vec![tree.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode();
            let entry = if metadata.is_dir() {
                open.push(path.clone());
                ('d', mode & 0o1777 | 0o700, Vec::new())
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                ('l', 0, target.as_os_str().as_bytes().to_vec())
            } else {
                assert!(metadata.is_file(), "{}", path.display());
                ('f', mode & 0o777 | 0o400, fs::read(&path).unwrap())
            };
            entries.insert(path.strip_prefix(tree).unwrap().to_path_buf(), entry);
        }
    }
    entries
}

/// Unpacks the streams both ways and compares path by path; returns how many there are, and our
/// tree for further looks.
fn compare(streams: &[Vec<u8>]) -> (usize, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let layers = write_layout(&layout, streams);
    let ours = place.path().join("tree");
    fs::create_dir(&ours).unwrap();
    let (manifest, _) = unpack_layers(&layers, &ours, Limits::default(), 2).unwrap();
    let bundle = place.path().join("bundle");
    let mut umoci = Command::new("umoci");
    umoci.arg("unpack");
    if !rustix::process::geteuid().is_root() {
        umoci.arg("--rootless");
    }
    let image = format!("{}:latest", layout.display());
    let unpacked = umoci.args(["--image", &image]).arg(&bundle).output();
    let unpacked = unpacked.unwrap();
    let said = String::from_utf8_lossy(&unpacked.stderr);
    assert!(unpacked.status.success(), "{said}");
    let (ours_list, theirs) = (list(&ours), list(&bundle.join("rootfs")));
    for (path, entry) in &theirs {
        let found = ours_list.get(path);
        assert_eq!(found, Some(entry), "{}", path.display());
    }
    let more: Vec<_> = ours_list
        .keys()
        .filter(|p| !theirs.contains_key(*p))
        .collect();
    assert!(more.is_empty(), "only envbox has {more:?}");
    assert_eq!(manifest.entries.len(), theirs.len() + 1);
    (theirs.len(), place)
}

#[derive(Default)]
struct Layer(Option<tar::Builder<Vec<u8>>>);

impl Layer {
    fn tar(&mut self) -> &mut tar::Builder<Vec<u8>> {
        self.0.get_or_insert_with(|| tar::Builder::new(Vec::new()))
    }

    fn add(mut self, kind: tar::EntryType, name: &str, mode: u32, text: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1_000_000_000);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_size(0);
            self.tar().append_link(&mut header, name, text).unwrap();
        } else {
            header.set_size(text.len() as u64);
            let tar = self.tar();
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        self.add(tar::EntryType::Regular, name, 0o640, text)
    }

    fn directory(self, name: &str, mode: u32) -> Self {
        self.add(tar::EntryType::Directory, name, mode, "")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(tar::EntryType::Symlink, name, 0o777, target)
    }

    fn hard(self, name: &str, target: &str) -> Self {
        self.add(tar::EntryType::Link, name, 0o640, target)
    }

    fn done(mut self) -> Vec<u8> {
        self.tar();
        self.0.unwrap().into_inner().unwrap()
    }
}

#[test]
fn layers_on_layers_are_equal() {
    let long = format!("deep/{}/{}", "d".repeat(120), "f".repeat(90));
    let base = Layer::default()
        .directory("usr", 0o755)
        .directory("usr/bin", 0o755)
        .link("bin", "usr/bin")
        .file("bin/sh", "sh")
        .hard("usr/bin/dash", "usr/bin/sh")
        .link("etc-link", "/etc")
        .directory("etc", 0o1777)
        .file("etc/a", "a")
        .file("etc/b", "b")
        .file(&long, "long")
        .directory("d", 0o711)
        .file("d/one", "1")
        .file("d/e/f/g", "g")
        .directory("become-file", 0o755)
        .file("become-file/x", "x")
        .file("become-directory", "x")
        .link("become-target", "etc")
        .directory("opaque", 0o755)
        .file("opaque/old/x", "x")
        .file("opaque/y", "y")
        .done();
    let middle = Layer::default()
        .file("etc-link/c", "c")
        .file("etc/.wh.a", "")
        .file("bin/env", "env")
        .hard("bin/again", "bin/sh")
        .file("become-file", "now a file")
        .directory("become-directory", 0o750)
        .file("become-directory/x", "x")
        .directory("become-target", 0o755)
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new/z", "z")
        .file("usr/bin/sh", "another sh")
        .directory("d", 0o700)
        .done();
    let top = Layer::default()
        .file("d/e/.wh.f", "")
        .file(".wh.become-directory", "")
        .file("etc/b", "twice")
        .file("etc/b", "the last one")
        .file(".wh.nothing", "")
        .link("etc/b-link", "b")
        .hard("b-again", "etc/b")
        .done();
    let (count, place) = compare(&[base, middle, top]);
    assert_eq!(count, 24);
    // A file that a later layer replaced is still there under its other names.
    let tree = place.path().join("tree");
    let read = |path: &str| fs::read_to_string(tree.join(path)).unwrap();
    assert_eq!(
        (read("usr/bin/dash"), read("usr/bin/sh")),
        ("sh".into(), "another sh".into())
    );
    let inode = |path: &str| fs::metadata(tree.join(path)).unwrap().ino();
    assert_eq!(inode("b-again"), inode("etc/b"));
    assert_eq!(inode("usr/bin/dash"), inode("usr/bin/again"));
}

/// Directories of the host with many files, links and hard links, in the formats that tools write.
#[test]
fn streams_of_gnu_tar_are_equal() {
    let sources = ["usr/share/perl5", "usr/share/zoneinfo", "etc/alternatives"];
    let there = sources
        .iter()
        .filter(|name| Path::new("/").join(name).is_dir());
    let there: Vec<_> = there.collect();
    assert!(!there.is_empty());
    let of = |format: &str, names: &[&&str]| {
        let mut tar = Command::new("tar");
        tar.args([
            "-C",
            "/",
            "--create",
            "--numeric-owner",
            "--ignore-failed-read",
        ]);
        tar.arg(format!("--format={format}"))
            .args(["--owner=0", "--group=0"]);
        tar.args(names);
        let made = tar.output().unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        made.stdout
    };
    let half = there.len().div_ceil(2);
    for (first, second) in [("gnu", "pax"), ("ustar", "gnu")] {
        let (count, _) = compare(&[of(first, &there[..half]), of(second, &there[half..])]);
        assert!(count > 100, "{count}");
    }
}
