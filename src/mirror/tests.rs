//! Mirrors in a temporary directory, of a store filled by hand.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, Explain as _, Kind, Platform};
use envbox_lockfiles::lock::{
    Artifact, BuiltFrom, LockedConda, LockedDebian, LockedPackage, LockedSuite, LockedWheel,
    Lockfile, Origin, Request,
};
use envbox_lockfiles::manifest::Manifest;
use envbox_lockfiles::resolve::debian::{SuiteIndex, SuiteState};
use tempfile::TempDir;

use crate::image::ImageManifest;
use crate::mirror::{Added, MirrorDirectory, MirrorError, lock_artifact, tag_of_lock};
use crate::registry::BlobSource;
use crate::store::tests::{everything, temporary};
use crate::store::{BlobSlot, Store};

const MANIFEST: &str = "[environment]\nname = \"a\"\n[debian]\nsuite = \"bookworm\"\n";

/// A store and a place for a mirror.
struct Case {
    directory: TempDir,
    store: Store,
}

impl Case {
    fn new() -> Self {
        let directory = temporary();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("mirror")
    }

    /// Returns a lock of packages that the store has: path and bytes.
    fn lock(&self, date: &str, packages: &[(&str, &str)]) -> Lockfile {
        let manifest = Manifest::parse(MANIFEST, Path::new("envbox.toml")).unwrap();
        for (_, bytes) in packages {
            let (digest, size) = (Digest::of(bytes.as_bytes()), bytes.len() as u64);
            if let BlobSlot::Missing(mut writer) = self.store.blob_slot(digest, size).unwrap() {
                writer.write(bytes.as_bytes()).unwrap();
                writer.finish().unwrap();
            }
        }
        Lockfile {
            request: Request::of(&manifest),
            base: None,
            gpu: None,
            built: Vec::new(),
            interpreter: None,
            conda: LockedConda::default(),
            python: Vec::new(),
            debian: LockedDebian {
                suites: vec![LockedSuite {
                    name: "bookworm".to_owned(),
                    registry: "debian".parse().unwrap(),
                    date: date.parse().unwrap(),
                }],
                packages: packages.iter().map(package).collect(),
            },
        }
    }

    fn add(&self, lock: &Lockfile) -> Result<Added, MirrorError> {
        let mirror = MirrorDirectory::open(&self.root())?;
        let added = mirror.add_lock(lock, &self.store, &BTreeMap::new())?;
        mirror.finish(lock)?;
        Ok(added)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Returns all files and links with what they lead to.
    fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = everything(&self.root()).into_iter();
        let files = files.filter(|path| path.is_file() && !path.ends_with("version"));
        files
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }
}

fn package((file, bytes): &(&str, &str)) -> LockedPackage {
    // Some of the paths are none that a package could have.
    let name = file.trim_start_matches("pool/").trim_end_matches(".deb");
    let name = name.parse().or_else(|_| "name".parse());
    LockedPackage {
        name: name.unwrap(),
        version: "1".to_owned(),
        architecture: "amd64".to_owned(),
        platforms: vec![Platform::LinuxAmd64],
        artifact: Artifact {
            origin: Origin::Registry("debian".parse().unwrap()),
            file: (*file).to_owned(),
            size: bytes.len() as u64,
            digest: Digest::of(bytes.as_bytes()),
        },
        required_by: vec!["base".to_owned()],
    }
}

fn state(text: &str) -> SuiteState {
    SuiteState {
        in_release: format!("signed {text}").into_bytes(),
        indices: vec![SuiteIndex {
            path: "main/binary-amd64/Packages".to_owned(),
            digest: Digest::of(text.as_bytes()),
            bytes: text.as_bytes().to_vec(),
        }],
    }
}

const JANUARY: &str = "2026-01-01T00:00:00Z";
const MARCH: &str = "2026-03-01T00:00:00Z";

#[test]
fn a_second_run_changes_nothing() {
    let case = Case::new();
    let lock = case.lock(JANUARY, &[("pool/aa.deb", "a"), ("pool/bb.deb", "bb")]);
    let added = case.add(&lock).unwrap();
    assert_eq!((added.files, added.bytes), (2, 3));
    assert_eq!(case.read("registries/debian/pool/bb.deb"), "bb");
    let locked = format!("locks/{}.lock", lock.digest().hex());
    assert_eq!(case.read(&locked).as_bytes(), lock.to_bytes());
    let before = case.all();
    assert_eq!(case.add(&lock).unwrap(), Added::default());
    assert_eq!(case.all(), before);
    // Whoever serves it may read it.
    let blob = case
        .root()
        .join("blobs/sha256")
        .join(Digest::of(b"a").hex());
    let mode = fs::metadata(blob).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn locks_share_a_mirror() {
    let case = Case::new();
    case.add(&case.lock(JANUARY, &[("pool/aa.deb", "a"), ("pool/bb.deb", "bb")]))
        .unwrap();
    let before = case.all();
    // Another registry that is called the same has another file of that name.
    let other = case.lock(MARCH, &[("pool/aa.deb", "other"), ("pool/cc.deb", "ccc")]);
    let added = case.add(&other).unwrap();
    assert_eq!((added.files, added.bytes), (2, 8));
    let shadowed: Vec<_> = added.shadowed.into_iter().collect();
    assert_eq!(shadowed, ["debian/pool/aa.deb"]);
    let after = case.all();
    for (path, bytes) in before {
        assert_eq!(after.get(&path), Some(&bytes), "{}", path.display());
    }
    let blob = format!("blobs/sha256/{}", Digest::of(b"other").hex());
    assert_eq!(case.read(&blob), "other");
}

#[test]
fn what_is_interrupted_goes_on() {
    let case = Case::new();
    let lock = case.lock(JANUARY, &[("pool/aa.deb", "a"), ("pool/bb.deb", "bb")]);
    // Killed before it wrote its version, then in the middle of a copy.
    fs::create_dir(case.root()).unwrap();
    fs::write(case.root().join("version"), "").unwrap();
    fs::create_dir(case.root().join("tmp")).unwrap();
    fs::write(case.root().join("tmp/.half"), "b").unwrap();
    std::os::unix::fs::symlink("x", case.root().join("tmp/link")).unwrap();
    case.add(&lock).unwrap();
    assert!(!case.root().join("tmp").exists());
    assert_eq!(case.read("version"), "1\n");
    assert_eq!(case.read("registries/debian/pool/bb.deb"), "bb");
}

#[test]
fn the_wrong_bytes_are_not_taken() {
    let case = Case::new();
    let lock = case.lock(JANUARY, &[("pool/aa.deb", "aaa")]);
    let file = case.store.place(Digest::of(b"aaa"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "aab").unwrap();
    let error = case.add(&lock).unwrap_err();
    assert!(matches!(&error, MirrorError::Damaged { found, .. } if *found == Digest::of(b"aab")));
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.to_string().contains(&file.display().to_string()));
    assert!(case.all().is_empty(), "{:?}", case.all());
}

#[test]
fn paths_stay_in_their_registry() {
    for path in ["../a.deb", "pool/../../a.deb", "/a.deb", ""] {
        let case = Case::new();
        let error = case.add(&case.lock(JANUARY, &[(path, "a")])).unwrap_err();
        assert!(matches!(error, MirrorError::Path { .. }), "{path}: {error}");
    }
}

#[test]
fn a_registry_shows_the_newest_state_and_keeps_all() {
    for dates in [[JANUARY, MARCH], [MARCH, JANUARY]] {
        let case = Case::new();
        for date in dates {
            let lock = case.lock(date, &[("pool/aa.deb", "a")]);
            case.add(&lock).unwrap();
            let mirror = MirrorDirectory::open(&case.root()).unwrap();
            let suite = &lock.debian.suites[0];
            let asked = Some("20260401T000000Z").filter(|_| date == MARCH);
            mirror.add_suite(&lock, suite, asked, &state(date)).unwrap();
            let again = mirror.add_suite(&lock, suite, asked, &state(date)).unwrap();
            assert_eq!(again, Added::default());
        }
        let hash = |date: &str| format!("by-hash/SHA256/{}", Digest::of(date.as_bytes()).hex());
        for (place, date) in [
            ("debian", MARCH),
            ("debian-snapshot/debian/20260101T000000Z", JANUARY),
            ("debian-snapshot/debian/20260301T000000Z", MARCH),
            ("debian-snapshot/debian/20260401T000000Z", MARCH),
        ] {
            let dists = format!("registries/{place}/dists/bookworm");
            assert_eq!(
                case.read(&format!("{dists}/InRelease")),
                format!("signed {date}")
            );
            for name in ["Packages".to_owned(), hash(date)] {
                let path = format!("{dists}/main/binary-amd64/{name}");
                assert_eq!(case.read(&path), date, "{path}");
            }
            let package = format!("registries/{place}/pool/aa.deb");
            assert_eq!(case.read(&package), "a");
        }
    }
}

#[test]
fn a_manifest_keeps_every_artifact() {
    let case = Case::new();
    let twice = [
        ("pool/aa.deb", "a"),
        ("pool/bb.deb", "bb"),
        ("pool/same.deb", "a"),
    ];
    let lock = case.lock(JANUARY, &twice);
    let image = lock_artifact(&lock, &case.store);
    assert_eq!(image.tags, [tag_of_lock(lock.digest())]);
    let [(descriptor, bytes)] = image.manifests.as_slice() else {
        panic!("one manifest")
    };
    assert_eq!(descriptor.digest, Digest::of(bytes));
    let manifest = ImageManifest::parse(bytes).unwrap();
    assert_eq!(
        manifest.artifact_type.as_deref(),
        Some("application/vnd.envbox.mirror.v1")
    );
    assert_eq!(manifest.config.digest, Digest::of(&lock.to_bytes()));
    assert_eq!(manifest.layers.len(), 2);
    let listed = manifest.layers.iter().chain([&manifest.config]);
    for (listed, (descriptor, source)) in listed.zip(&image.blobs) {
        assert_eq!(listed, descriptor);
        let bytes = match source {
            BlobSource::Bytes(bytes) => bytes.clone(),
            BlobSource::File(path) => fs::read(path).unwrap(),
        };
        assert_eq!(Digest::of(&bytes), listed.digest);
    }
}

/// Returns a wheel with nothing in it but what says what it is.
fn empty_wheel(name: &str, version: &str) -> Vec<u8> {
    let info = format!("{name}-{version}.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (file, text) in [
        ("METADATA", metadata.as_str()),
        ("WHEEL", kind),
        ("RECORD", ""),
    ] {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("{info}/{file}"), options).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn what_a_wheel_is_built_from_is_listed() {
    let case = Case::new();
    let mut lock = case.lock("2026-01-01T00:00:00Z", &[]);
    let keep = |origin: Origin, file: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        let size = bytes.len() as u64;
        if let BlobSlot::Missing(mut writer) = case.store.blob_slot(digest, size).unwrap() {
            writer.write(bytes).unwrap();
            writer.finish().unwrap();
        }
        Artifact {
            origin,
            file: file.to_owned(),
            size,
            digest,
        }
    };
    let pypi = || Origin::Registry("pypi".parse().unwrap());
    let wheel = |name: &str, artifact: Artifact| LockedWheel {
        name: name.parse().unwrap(),
        version: "1".to_owned(),
        platforms: Platform::ALL.to_vec(),
        artifact,
        required_by: vec!["manifest".to_owned()],
        built_from: None,
    };
    let tool = keep(pypi(), "tool-1-py3-none-any.whl", &empty_wheel("tool", "1"));
    let source = keep(pypi(), "made-1.tar.gz", b"source");
    let commit = Origin::Url("git+https://git.test/other@abc".to_owned());
    let commit = keep(commit, "abc.tar", b"commit");
    for (name, source) in [("made", source.clone()), ("other", commit.clone())] {
        let file = format!("{name}-1-py3-none-any.whl");
        let mut made = wheel(name, keep(Origin::Built, &file, &empty_wheel(name, "1")));
        made.built_from = Some(Box::new(BuiltFrom {
            source,
            requires: vec![wheel("tool", tool.clone())],
        }));
        lock.python.push(made);
    }
    let time: jiff::Timestamp = "2025-05-05T00:00:00Z".parse().unwrap();
    let mirror = MirrorDirectory::open(&case.root()).unwrap();
    let undated: Vec<_> = mirror
        .undated(&lock)
        .iter()
        .map(|(_, one)| one.file.clone())
        .collect();
    assert_eq!(
        undated,
        [
            "made-1.tar.gz",
            "tool-1-py3-none-any.whl",
            "tool-1-py3-none-any.whl"
        ]
    );
    let uploaded = BTreeMap::from([(source.digest, time)]);
    mirror.add_lock(&lock, &case.store, &uploaded).unwrap();
    let page = case.read("registries/pypi/made/index.html");
    let line = format!(
        "<a href=\"made-1.tar.gz#sha256={}\" data-upload-time=\"2025-05-05T00:00:00Z\">\
         made-1.tar.gz</a>",
        source.digest.hex()
    );
    assert!(page.contains(&line), "{page}");
    // A wheel that is of no registry is listed by none, and is there by its digest.
    assert!(!page.contains(".whl"), "{page}");
    assert!(
        case.read("registries/pypi/tool/index.html")
            .contains("data-core-metadata")
    );
    let built = lock.python.iter().map(|wheel| wheel.artifact.digest);
    for digest in built.chain([commit.digest]) {
        assert!(case.root().join("blobs/sha256").join(digest.hex()).exists());
    }
}
