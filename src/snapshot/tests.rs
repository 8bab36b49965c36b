use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::store::Store;

struct World {
    directory: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        fs::create_dir(directory.path().join("project")).unwrap();
        let world = Self { directory, store };
        for (path, text) in files {
            world.write(path, text);
        }
        world
    }

    fn project(&self) -> std::path::PathBuf {
        self.directory.path().join("project")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// As if everything had been written long ago, or not.
    fn take(&self, now: Timestamp) -> Snapshot {
        let found = walk(&self.project(), &[]).unwrap();
        let limits = Limits {
            file: 100,
            total: 150,
        };
        take(
            &self.store,
            &self.project(),
            &found,
            &["out".into()],
            limits,
            now,
            2,
        )
        .unwrap()
    }

    fn paths(&self) -> Vec<String> {
        let found = walk(&self.project(), &[]).unwrap();
        found
            .iter()
            .map(|one| one.path.display().to_string())
            .collect()
    }
}

/// What the file system's clock says.
fn now() -> Timestamp {
    let file = tempfile::tempfile().unwrap();
    Timestamp::try_from(file.metadata().unwrap().modified().unwrap()).unwrap()
}

/// When every file has been left alone for a while.
fn later() -> Timestamp {
    now() + Duration::from_secs(60)
}

#[test]
fn ignored_files_are_no_code() {
    let world = World::new(&[
        (".gitignore", "*.log\n/data/\n"),
        (".envboxignore", "notes/\n"),
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".hidden", ""),
        ("__pycache__/a.pyc", ""),
        ("a.log", ""),
        ("data/big.csv", ""),
        ("notes/x", ""),
        ("src/data/kept", ""),
        ("src/train.py", ""),
    ]);
    let expected = [
        ".envboxignore",
        ".gitignore",
        ".hidden",
        "src",
        "src/data",
        "src/data/kept",
        "src/train.py",
    ];
    assert_eq!(world.paths(), expected);
    // Rules above a project count only where they belong to its repository.
    fs::write(world.directory.path().join(".gitignore"), "*.py\n").unwrap();
    fs::remove_dir_all(world.project().join(".git")).unwrap();
    assert_eq!(world.paths(), expected);
    fs::create_dir(world.directory.path().join(".git")).unwrap();
    assert!(!world.paths().contains(&"src/train.py".to_owned()));
}

#[test]
fn a_change_is_never_missed() {
    let world = World::new(&[("a", "one"), ("b", "two")]);
    let first = world.take(later());
    assert_eq!(world.take(later()).digest, first.digest);
    // Same size and same time of modification: the time of the status change tells.
    let path = world.project().join("a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "eno").unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let second = world.take(later());
    assert_ne!(second.digest, first.digest);
    // Read in the same tick as it was written: it is not noted, and read again.
    world.write("c", "new");
    let third = world.take(now());
    let index = fs::read_dir(world.store.index().join("snapshots")).unwrap();
    let index = index.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    assert!(!index.collect::<String>().contains(" c ."));
    assert_ne!(third.digest, second.digest);
}

#[test]
fn what_is_known_is_not_read_again() {
    let world = World::new(&[("a", "one")]);
    let first = world.take(later());
    // Only somebody who can read what is not there could read it again.
    let found = walk(&world.project(), &[]).unwrap();
    let hidden = world.directory.path().join("hidden");
    fs::rename(world.project(), &hidden).unwrap();
    let project = world.project();
    let again = take(
        &world.store,
        &project,
        &found,
        &[],
        Limits::default(),
        later(),
        1,
    )
    .unwrap();
    assert_eq!(again.digest, first.digest);
    assert!(changed_since(&hidden, &found).is_empty());
    fs::write(hidden.join("a"), "two").unwrap();
    assert_eq!(changed_since(&hidden, &found), [Path::new("a")]);
}

#[test]
fn secrets_are_not_kept() {
    let key = "x\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n";
    let token = format!("token = \"ghp_{}\"\n", "a1".repeat(18));
    let world = World::new(&[
        (".env", "PASSWORD=1\n"),
        (".env.example", "PASSWORD=\n"),
        ("deploy", key),
        ("notes.md", "-----BEGIN CERTIFICATE-----\n"),
        ("settings.py", &token),
    ]);
    let snapshot = world.take(later());
    let left_out = |snapshot: &Snapshot| -> Vec<String> {
        let names = snapshot.left_out.iter();
        names
            .map(|one| format!("{} {:?}", one.path, one.reason))
            .collect()
    };
    let expected = [".env Secret", "deploy Secret", "settings.py Secret"];
    assert_eq!(left_out(&snapshot), expected);
    // What is known of a file that is not read again, too.
    assert_eq!(left_out(&world.take(later())), expected);
    let digest = |text: &str| envbox_lockfiles::base::Digest::of(text.as_bytes());
    assert_eq!(world.store.blob(&digest(key)), None);
    assert!(world.store.blob(&digest("PASSWORD=\n")).is_some());
}

#[test]
fn what_is_large_is_named_and_not_kept() {
    let (half, large) = ("x".repeat(60), "y".repeat(101));
    let files: Vec<(String, &str)> = (0..3).map(|n| (format!("{n}"), half.as_str())).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(n, text)| (n.as_str(), *text)).collect();
    files.push(("large", &large));
    let world = World::new(&files);
    let snapshot = world.take(later());
    let left_out: Vec<_> = snapshot
        .left_out
        .iter()
        .map(|one| (&*one.path, one.reason))
        .collect();
    let expected = [("2", LeftOutReason::Full), ("large", LeftOutReason::Large)];
    assert_eq!(left_out, expected);
    assert_eq!((snapshot.files, snapshot.bytes), (4, 281));
}

#[test]
fn what_was_taken_is_restored() {
    let world = World::new(&[("a b/tr\n.py", "print()"), ("empty", ""), (".env", "S=1")]);
    let project = world.project();
    std::os::unix::fs::symlink("../x", project.join("link")).unwrap();
    fs::set_permissions(project.join("empty"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(project.join("hollow")).unwrap();
    let snapshot = world.take(later());
    let target = world.directory.path().join("target");
    let restore_to = |project| {
        drop(fs::remove_dir_all(&target));
        fs::create_dir(&target).unwrap();
        restore(&world.store, snapshot.digest, &target, project)
    };
    restore_to(Some(&project)).unwrap();
    let found = walk(&target, &[]).unwrap();
    let again = take(
        &world.store,
        &target,
        &found,
        &[],
        Limits::default(),
        later(),
        1,
    )
    .unwrap();
    assert_eq!(again.list, snapshot.list);
    // A secret is not in the store, and a changed one is another.
    for without in [None, Some(world.directory.path())] {
        let error = restore_to(without).unwrap_err().to_string();
        assert_eq!(
            error,
            "the content of `.env` is not kept, and the project has it no more"
        );
    }
    let unknown = envbox_lockfiles::base::Digest::of(b"unknown");
    let error = restore(&world.store, unknown, &target, None).unwrap_err();
    assert!(matches!(error, RestoreError::Missing { .. }));
}

#[test]
fn git_says_what_differs() {
    let world = World::new(&[("a", "one\n")]);
    let project = world.project();
    assert_eq!(git_state(&project), GitState::default());
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e"])
            .args(arguments)
            .current_dir(&project)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    git(&["init", "-q"]);
    git(&["add", "a"]);
    git(&["commit", "-q", "-m", "first"]);
    let clean = git_state(&project);
    assert_eq!(clean.commit.as_ref().map(String::len), Some(40));
    assert_eq!(clean.diff, Some(Vec::new()));
    world.write("a", "two\n");
    let dirty = git_state(&project);
    assert_eq!(dirty.commit, clean.commit);
    let diff = String::from_utf8(dirty.diff.unwrap()).unwrap();
    assert!(diff.contains("-one\n+two\n"), "{diff}");
}

#[test]
fn what_steps_made_is_listed_apart() {
    let world = World::new(&[("a.py", "code")]);
    let before = world.take(later());
    assert_eq!(before.products, None);
    world.write("out/model", "one");
    world.write("logs/deep/log", "two");
    world.write("b.py", "three");
    let digest = |text: &str| envbox_lockfiles::base::Digest::of(text.as_bytes());
    let mut made = Made::load(&world.store, &world.project());
    made.note(Path::new("logs/deep/log"), digest("two"));
    made.note(Path::new("b.py"), digest("as it was made"));
    made.save(&world.store, &world.project()).unwrap();
    let after = world.take(later());
    let names = |list: &crate::store::TreeManifest| -> Vec<String> {
        let names = list.entries.keys();
        names
            .map(|name| String::from_utf8(name.clone()).unwrap())
            .collect()
    };
    // Somebody changed what the step made: now it is code.
    assert_eq!(names(&after.list), ["a.py", "b.py"]);
    let products = world
        .store
        .snapshot(after.products.unwrap())
        .unwrap()
        .unwrap();
    let products = crate::store::TreeManifest::parse(&products).unwrap();
    let expected = ["logs", "logs/deep", "logs/deep/log", "out", "out/model"];
    assert_eq!(names(&products), expected);
    fs::remove_file(world.project().join("b.py")).unwrap();
    assert_eq!(world.take(later()).digest, before.digest);
}
