//! Downloads from a registry that misbehaves on purpose.

mod channels;
#[path = "../../tests/support/http.rs"]
mod http;
mod mirrors;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envbox_lockfiles::base::{
    Context, Digest, Event, Explain, Kind, Mirror, Network, Platform, RegistryName, Reporter,
};
use envbox_lockfiles::lock::{
    Artifact, LockedArchive, LockedConda, LockedCondaPackage, LockedDebian, LockedInterpreter,
    LockedPackage, LockedSuite, LockedWheel, Lockfile, Origin, Request,
};
use envbox_lockfiles::manifest::{InterpreterSource, Prerelease};
use envbox_lockfiles::net::{Client, ClientOptions, NetError, block_on};
use http::{Answer, Server, nobody};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::fetch::closure::fetch_with;
use crate::fetch::{Closure, FetchError, fetch_mirrored};
use crate::store::tests::{as_nobody, everything, make_read_only, temporary};
use crate::store::{BlobSlot, Store, StoreError, remove_tree};

const PLATFORM: Platform = Platform::LinuxAmd64;

/// A store, the context that goes with it, and a lock with nothing in it yet.
struct Case {
    directory: TempDir,
    context: Context,
    options: ClientOptions,
    lock: Lockfile,
}

impl Case {
    fn new(server: &Server) -> Self {
        Self::at(&server.url())
    }

    fn at(url: &str) -> Self {
        let directory = temporary();
        let store = directory.path().join("store");
        let mut context = Context::new(store, Timestamp::UNIX_EPOCH);
        for (name, path) in [
            ("debian", "debian"),
            ("debian-snapshot", "snapshot"),
            ("python-build-standalone", "pbs"),
            ("pypi", "simple"),
            ("lab", "lab"),
        ] {
            let name: RegistryName = name.parse().unwrap();
            context.registries.insert(name, format!("{url}/{path}"));
        }
        Self {
            directory,
            context,
            options: ClientOptions {
                first_wait: Duration::ZERO,
                longest_wait: Duration::ZERO,
                system_proxies: false,
                ..ClientOptions::default()
            },
            lock: empty_lock(),
        }
    }

    fn with_package(mut self, file: &str, bytes: &[u8]) -> Self {
        self.lock.debian.packages.push(LockedPackage {
            name: "name".parse().unwrap(),
            version: "1".to_owned(),
            architecture: "amd64".to_owned(),
            platforms: vec![PLATFORM],
            artifact: artifact("debian", file, bytes),
            required_by: vec!["base".to_owned()],
        });
        self
    }

    fn with_conda(mut self, file: &str, bytes: &[u8]) -> Self {
        self.lock.conda.packages.push(LockedCondaPackage {
            name: "name".parse().unwrap(),
            version: "1".to_owned(),
            build: "0".to_owned(),
            platforms: vec![PLATFORM],
            artifact: artifact("lab", file, bytes),
            python: Vec::new(),
            required_by: vec!["manifest".to_owned()],
        });
        self
    }

    /// Writes a file of credentials of channels.
    fn with_credentials(mut self, name: &str, text: &str) -> Self {
        let file = self.directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        self.context.channel_credentials = vec![file];
        self
    }

    fn with_wheel(mut self, artifact: Artifact) -> Self {
        self.lock.python.push(LockedWheel {
            name: "iris".parse().unwrap(),
            version: "1".to_owned(),
            platforms: vec![PLATFORM],
            artifact,
            required_by: vec!["manifest".to_owned()],
            built_from: None,
        });
        self
    }

    fn store(&self) -> Store {
        Store::open(&self.context.store).unwrap()
    }

    fn fetch(&self) -> Result<Closure, FetchError> {
        block_on(self.start())
    }

    async fn start(&self) -> Result<Closure, FetchError> {
        let client = Client::with_options(&self.context, self.options.clone()).unwrap();
        fetch_with(&client, &self.context, &self.lock, PLATFORM, &self.store()).await
    }

    fn leftovers(&self) -> usize {
        let store = &self.context.store;
        let files = ["tmp", "blobs"].map(|part| everything(&store.join(part)));
        files.iter().flatten().filter(|path| path.is_file()).count()
    }
}

fn artifact(registry: &str, file: &str, bytes: &[u8]) -> Artifact {
    Artifact {
        origin: Origin::Registry(registry.parse().unwrap()),
        file: file.to_owned(),
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
    }
}

fn empty_lock() -> Lockfile {
    Lockfile {
        request: Request {
            name: "test".parse().unwrap(),
            platforms: vec![PLATFORM],
            python: None,
            python_from: None,
            requirements: vec![],
            constraints: vec![],
            overrides: vec![],
            exclude_newer: None,
            prerelease: Prerelease::default(),
            extra_indexes: vec![],
            find_links: vec![],
            no_build: true,
            suite: None,
            snapshot: None,
            security: None,
            packages: vec![],
            base: None,
            conda: None,
            gpu: None,
            groups: std::collections::BTreeMap::new(),
        },
        base: None,
        gpu: None,
        built: Vec::new(),
        interpreter: None,
        conda: LockedConda::default(),
        python: vec![],
        debian: LockedDebian::default(),
    }
}

/// Remembers events, and says when bytes have come.
#[derive(Default)]
struct Listener {
    events: Mutex<Vec<Event>>,
    bytes_came: Notify,
}

impl Reporter for Listener {
    fn report(&self, event: Event) {
        if matches!(event, Event::DownloadProgress { .. }) {
            self.bytes_came.notify_one();
        }
        self.events.lock().unwrap().push(event);
    }
}

const DEB: &str = "pool/main/l/libstdc++/libstdc++6_1~2_amd64.deb";

#[test]
fn every_kind_of_artifact_is_found() {
    let server = Server::start();
    let wheel = "iris-1-py3-none-any.whl";
    let page = format!("<!DOCTYPE html><html><body><a href=\"/files/{wheel}\">{wheel}</a>");
    server.file("/simple/iris/", page.as_bytes());
    server.file(&format!("/files/{wheel}"), b"wheel");
    server.file("/direct/other-1-py3-none-any.whl", b"direct");
    server.file(&format!("/debian/{DEB}"), b"deb");
    server.file("/pbs/20260101/cpython-3.11.9+20260101.tar.gz", b"python");
    let direct = Artifact {
        origin: Origin::Url(format!("{}/direct/other-1-py3-none-any.whl", server.url())),
        ..artifact("pypi", "other-1-py3-none-any.whl", b"direct")
    };
    let mut case = Case::new(&server)
        .with_package(DEB, b"deb")
        .with_wheel(artifact("pypi", wheel, b"wheel"))
        .with_wheel(direct);
    let file = "20260101/cpython-3.11.9+20260101.tar.gz";
    case.lock.interpreter = Some(LockedInterpreter {
        from: InterpreterSource::Standalone,
        version: "3.11.9".to_owned(),
        path: "/opt/python/bin/python3.11".to_owned(),
        archives: vec![LockedArchive {
            platform: PLATFORM,
            artifact: artifact("python-build-standalone", file, b"python"),
        }],
    });
    let closure = case.fetch().unwrap();
    let wheels = case.lock.python.iter().map(|wheel| &wheel.artifact);
    let debs = case
        .lock
        .debian
        .packages
        .iter()
        .map(|package| &package.artifact);
    for artifact in wheels.chain(debs) {
        let bytes = std::fs::read(closure.path(artifact)).unwrap();
        assert_eq!(Digest::of(&bytes), artifact.digest);
    }
    assert_eq!(case.leftovers(), 4);
}

#[test]
fn what_is_there_is_not_asked_for() {
    let server = Server::start();
    server.file("/debian/a.deb", b"deb");
    let case = Case::new(&server).with_package("a.deb", b"deb");
    case.fetch().unwrap();
    case.fetch().unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn other_platforms_artifacts_are_left() {
    let server = Server::start();
    let mut case = Case::new(&server).with_package("a.deb", b"deb");
    case.lock.debian.packages[0].platforms = vec![Platform::LinuxArm64];
    case.fetch().unwrap();
    case.lock.request.platforms = vec![Platform::LinuxArm64];
    let error = case.fetch().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the lock has nothing for linux/amd64, only for linux/arm64"
    );
}

#[test]
fn old_packages_come_from_the_snapshot_archive() {
    let server = Server::start();
    let mut case = Case::new(&server).with_package("a.deb", b"deb");
    let suite = |name: &str, registry: &str, date: &str| LockedSuite {
        name: name.to_owned(),
        registry: registry.parse().unwrap(),
        date: date.parse().unwrap(),
    };
    case.lock.debian.suites = vec![
        suite("bookworm", "debian", "2026-01-02T03:04:05Z"),
        suite("bookworm-updates", "debian", "2026-02-02T00:00:00Z"),
        suite(
            "bookworm-security",
            "debian-security",
            "2026-03-02T00:00:00Z",
        ),
    ];
    server.file("/snapshot/debian/20260102T030405Z/a.deb", b"deb");
    case.fetch().unwrap();
    let paths: Vec<String> = server
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(
        paths,
        [
            "/debian/a.deb",
            "/snapshot/debian/20260202T000000Z/a.deb",
            "/snapshot/debian/20260102T030405Z/a.deb",
        ]
    );
}

#[test]
fn a_registry_that_fails_is_named() {
    let server = Server::start();
    let case = Case::new(&server).with_package("a.deb", b"deb");
    let error = case.fetch().unwrap_err();
    assert!(matches!(
        &error,
        FetchError::Download {
            source: NetError::NotFound { .. },
            ..
        }
    ));
    assert_eq!(error.hints()[0], "use a registry that keeps old files");
    assert_eq!(
        error.to_string(),
        "failed to download `a.deb` from `debian`"
    );
    assert_eq!(error.kind(), Kind::Network);

    server.answers("/debian/a.deb", vec![Answer::Status(500, vec![])]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(
        &error,
        FetchError::Download {
            source: NetError::Status { status: 500, .. },
            ..
        }
    ));
    assert!(error.hints()[0].starts_with("the server is at fault"));
    assert_eq!(server.count("/debian/a.deb"), 5);

    let case = Case::at(&nobody()).with_package("a.deb", b"deb");
    let error = case.fetch().unwrap_err();
    assert!(matches!(
        &error,
        FetchError::Download {
            source: NetError::Connect { .. },
            ..
        }
    ));
    assert!(!error.hints().is_empty());
    assert_eq!(case.leftovers(), 0);
}

#[test]
fn silence_ends_a_download() {
    let server = Server::start();
    server.answers("/debian/a.deb", vec![Answer::Silence]);
    let mut case = Case::new(&server).with_package("a.deb", b"deb");
    case.options.idle_timeout = Duration::from_millis(20);
    case.options.attempts = 2;
    let error = case.fetch().unwrap_err();
    assert!(matches!(
        &error,
        FetchError::Download {
            source: NetError::Timeout { .. },
            ..
        }
    ));
}

#[test]
fn downloads_go_on_where_they_broke_off() {
    let bytes: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
    for again in [
        Answer::Bytes(bytes.clone()),
        Answer::IgnoringRange(bytes.clone()),
    ] {
        let server = Server::start();
        let broken = Answer::Truncated(bytes.clone(), 70_000);
        server.answers(
            "/debian/a.deb",
            vec![Answer::Status(500, vec![]), broken, again],
        );
        let listener = Arc::new(Listener::default());
        let mut case = Case::new(&server).with_package("a.deb", &bytes);
        case.context.reporter = listener.clone();
        case.fetch().unwrap();
        assert_eq!(server.requests()[2].range(), Some(70_000));
        let events = listener.events.lock().unwrap();
        let came: u64 = events
            .iter()
            .map(|event| match event {
                Event::DownloadProgress { bytes, .. } => *bytes,
                _ => 0,
            })
            .sum();
        assert_eq!(came, 100_000);
        assert!(matches!(
            events.first(),
            Some(Event::StageStarted { total: Some(1), .. })
        ));
        assert!(matches!(events.last(), Some(Event::StageFinished { .. })));
    }
}

#[test]
fn a_download_that_was_killed_goes_on() {
    let server = Server::start();
    let answers = vec![
        Answer::Stall(b"whole".to_vec(), 3),
        Answer::Bytes(b"whole".to_vec()),
    ];
    server.answers("/debian/a.deb", answers);
    let listener = Arc::new(Listener::default());
    let mut case = Case::new(&server).with_package("a.deb", b"whole");
    case.context.reporter = listener.clone();
    block_on(async {
        tokio::select! {
            ended = case.start() => panic!("{ended:?}"),
            () = listener.bytes_came.notified() => {}
        }
    });
    case.fetch().unwrap();
    // The last answer was for what the first had not given.
    let range = server.requests().last().unwrap().range();
    assert!(matches!(range, Some(1..=3)), "{range:?}");
}

#[test]
fn wrong_bytes_are_refused() {
    let right = b"right".to_vec();
    let (by_digest, by_size) = (true, false);
    let cases = [
        (Answer::Bytes(b"wrong".to_vec()), by_digest),
        (Answer::Bytes(b"longer than that".to_vec()), by_size),
        (Answer::Bytes(b"sho".to_vec()), by_size),
        (Answer::Lying(right.clone(), 3), by_size),
        (Answer::Lying(right, 8), by_size),
        (Answer::Endless(vec![0; 100_000]), by_size),
    ];
    for (answer, expected) in cases {
        let server = Server::start();
        let shown = format!("{answer:.60?}");
        server.answers("/debian/a.deb", vec![answer]);
        let case = Case::new(&server).with_package("a.deb", b"right");
        let error = case.fetch().unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{shown}: {error}");
        let FetchError::Integrity { source, .. } = &error else {
            panic!("{shown}: {error}")
        };
        let found = match source {
            StoreError::WrongDigest { .. } => by_digest,
            StoreError::WrongSize { expected: 5, .. } => by_size,
            other => panic!("{shown}: {other}"),
        };
        assert_eq!(found, expected, "{shown}");
        assert!(
            error
                .to_string()
                .starts_with("`a.deb` from `debian` is not what the lock")
        );
        assert_eq!(case.leftovers(), 0, "{shown}");
        assert_eq!(server.requests().len(), 1, "{shown}");
    }
}

#[test]
fn a_wrong_beginning_is_fetched_again() {
    let server = Server::start();
    server.file("/debian/a.deb", b"right");
    let case = Case::new(&server).with_package("a.deb", b"right");
    for beginning in [b"wr".as_slice(), b"wrong", b"wrong and more"] {
        let partial = case.context.store.join("tmp/partial");
        drop(case.store());
        std::fs::create_dir_all(&partial).unwrap();
        std::fs::write(partial.join(Digest::of(b"right").hex()), beginning).unwrap();
        let closure = case.fetch().unwrap();
        let path = closure.path(&case.lock.debian.packages[0].artifact);
        assert_eq!(std::fs::read(&path).unwrap(), b"right");
        remove_tree(&case.context.store).unwrap();
    }
}

#[test]
fn two_stores_download_once() {
    let server = Server::start();
    server.file("/debian/a.deb", b"deb");
    server.file("/debian/b.deb", b"other");
    let case = Case::new(&server)
        .with_package("a.deb", b"deb")
        .with_package("b.deb", b"other");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| case.fetch().unwrap());
        }
    });
    assert_eq!(
        (server.count("/debian/a.deb"), server.count("/debian/b.deb")),
        (1, 1)
    );
}

#[test]
fn downloads_run_side_by_side() {
    let server = Server::start();
    let mut case = Case::new(&server);
    for number in 0..3 {
        let file = format!("{number}.deb");
        server.answers(&format!("/debian/{file}"), vec![Answer::Silence]);
        case = case.with_package(&file, file.as_bytes());
    }
    let server = Arc::new(server);
    let waiting = Arc::clone(&server);
    block_on(async {
        tokio::select! {
            ended = case.start() => panic!("{ended:?}"),
            // Ends only if the third does not wait for the first.
            waited = tokio::task::spawn_blocking(move || waiting.wait_for(3)) => waited.unwrap(),
        }
    });
}

#[test]
fn offline_names_all_that_is_missing() {
    let server = Server::start();
    server.file("/debian/there.deb", b"there");
    let mut case = Case::new(&server).with_package("there.deb", b"there");
    case.fetch().unwrap();
    case = case
        .with_package("b.deb", b"b")
        .with_package("a.deb", b"a")
        .with_wheel(artifact("pypi", "iris-1-py3-none-any.whl", b"wheel"));
    case.context.network = Network::Offline;
    let error = case.fetch().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the network is off, and 3 artifacts are not in the store: `a.deb` from `debian`, \
         `b.deb` from `debian`, `iris-1-py3-none-any.whl` from `pypi`"
    );
    assert_eq!(server.requests().len(), 1);
    case.lock.debian.packages.truncate(1);
    case.lock.python.clear();
    case.fetch().unwrap();
}

#[test]
fn a_mirror_on_disk_serves_offline() {
    let mirror = temporary();
    std::fs::create_dir_all(mirror.path().join("debian")).unwrap();
    std::fs::write(mirror.path().join("debian/a.deb"), b"deb").unwrap();
    let path: &Path = mirror.path();
    let mut case = Case::at(path.to_str().unwrap()).with_package("a.deb", b"deb");
    case.context.network = Network::Offline;
    case.fetch().unwrap();
}

#[test]
fn an_old_note_of_a_wheel_is_not_the_last_word() {
    let server = Server::start();
    let wheel = "iris-1-py3-none-any.whl";
    let page = |path: &str| format!("<!DOCTYPE html><a href=\"{path}/{wheel}\">{wheel}</a>");
    let (old, new) = (page("/old"), page("/new"));
    let pages = [old, new].map(|page| Answer::Bytes(page.into_bytes()));
    server.answers("/simple/iris/", pages.to_vec());
    server.file(&format!("/old/{wheel}"), b"wheel");
    let case = Case::new(&server).with_wheel(artifact("pypi", wheel, b"wheel"));
    case.fetch().unwrap();
    remove_tree(&case.context.store.join("blobs")).unwrap();
    server.answers(&format!("/old/{wheel}"), vec![Answer::Status(404, vec![])]);
    server.file(&format!("/new/{wheel}"), b"wheel");
    case.fetch().unwrap();
    assert_eq!(server.count(&format!("/new/{wheel}")), 1);
}

#[test]
fn a_read_only_store_serves_what_it_has() {
    let server = Server::start();
    server.file("/debian/a.deb", b"deb");
    let case = Case::new(&server).with_package("a.deb", b"deb");
    case.fetch().unwrap();
    make_read_only(&case.context.store);
    as_nobody(|| case.fetch().unwrap());
    remove_tree(&case.context.store).unwrap();
    assert!(case.directory.path().exists());
}

#[test]
fn a_closure_is_in_use() {
    let server = Server::start();
    server.file("/debian/a.deb", b"deb");
    let case = Case::new(&server).with_package("a.deb", b"deb");
    let closure = case.fetch().unwrap();
    let collect = || {
        case.store()
            .gc(crate::store::GcMode::Remove)
            .unwrap()
            .removed
            .len()
    };
    assert_eq!(collect(), 0);
    drop(closure);
    assert_eq!(collect(), 1);
    let slot = case.store().blob_slot(Digest::of(b"deb"), 3).unwrap();
    assert!(matches!(slot, BlobSlot::Missing(_)));
}
