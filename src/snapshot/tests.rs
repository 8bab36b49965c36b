use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;

use super::*;
use crate::store::{Store, TreeManifest};

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

    fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// As if everything had been written long ago, or not.
    fn take(&self, now: Timestamp) -> Snapshot {
        let choices = Choices {
            outputs: &["out".into()],
            limits: Limits {
                file: 100,
                total: 150,
            },
            now,
            jobs: 2,
        };
        self.take_of(&self.project(), choices)
    }

    fn take_of(&self, project: &Path, choices: Choices<'_>) -> Snapshot {
        let found = walk(project, &[], 2).unwrap();
        take(&self.store, project, found, choices).unwrap()
    }

    /// Returns the list of a snapshot.
    fn list(&self, digest: Digest) -> TreeManifest {
        let text = self.store.snapshot(digest).unwrap().unwrap();
        TreeManifest::parse(&text).unwrap()
    }

    /// Returns the notes on the project's files.
    fn index(&self) -> PathBuf {
        known::place(&self.store, &self.project())
    }

    fn paths(&self) -> Vec<String> {
        let found = walk(&self.project(), &[], 2).unwrap();
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
fn the_nearest_rule_decides() {
    let world = World::new(&[
        (".gitignore", "*.csv\n!keep.csv\nbuild/\n/top\n"),
        (".envboxignore", "!special.csv\n"),
        ("a.csv", ""),
        ("build/x", ""),
        ("deep/.gitignore", "!b.csv\n*.txt\n"),
        ("deep/b.csv", ""),
        ("deep/c.txt", ""),
        ("deep/special.csv", ""),
        ("deep/top", ""),
        ("keep.csv", ""),
        ("module/.git/HEAD", ""),
        ("module/inner.csv", ""),
        ("top", ""),
    ]);
    std::os::unix::fs::symlink("deep", world.project().join("build-link")).unwrap();
    let expected = [
        ".envboxignore",
        ".gitignore",
        "build-link",
        "deep",
        "deep/.gitignore",
        "deep/b.csv",
        "deep/special.csv",
        "deep/top",
        "keep.csv",
        "module",
        // Another repository, which Git's rules of this one do not reach into.
        "module/inner.csv",
    ];
    assert_eq!(world.paths(), expected);
    world.write("deep/.envboxignore", "[z-a]\n");
    let error = walk(&world.project(), &[], 1).unwrap_err();
    assert!(matches!(error, SnapshotError::Rules(_)), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("deep/.envboxignore: line 1"), "{cause}");
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
    let stamp = |path: &str| {
        let path = world.project().join(path);
        walk::Stamp::of(&rustix::fs::lstat(path).unwrap())
    };
    let known = known::Known::load(&world.index());
    assert_eq!(known.content(Path::new("c"), &stamp("c")), None);
    assert!(known.content(Path::new("a"), &stamp("a")).is_none());
    assert_ne!(third.digest, second.digest);
}

/// What holds of any file.
fn choices(now: Timestamp) -> Choices<'static> {
    Choices {
        outputs: &[],
        limits: Limits::default(),
        now,
        jobs: 1,
    }
}

#[test]
fn what_is_known_is_not_read_again() {
    let world = World::new(&[("a", "one"), ("b", "two")]);
    let project = world.project();
    let first = world.take_of(&project, choices(later()));
    world.write("c", "three");
    let found = walk(&project, &[], 1).unwrap();
    // Only somebody who can read what is not there could read it again.
    let hidden = world.directory.path().join("hidden");
    fs::rename(&project, &hidden).unwrap();
    let known: Vec<_> = found[..2].to_vec();
    let again = take(&world.store, &project, known, choices(later())).unwrap();
    assert_eq!(again.digest, first.digest);
    assert_eq!(again.code(Path::new("b")), first.code(Path::new("b")));
    // One file more: the others are not read again either.
    let error = take(&world.store, &project, found, choices(later())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("failed to read `{}/c`", project.display())
    );
    assert!(changed_since(&hidden, &again.found, 1).is_empty());
    fs::write(hidden.join("a"), "two").unwrap();
    assert_eq!(changed_since(&hidden, &again.found, 1), [Path::new("a")]);
}

/// Each is something that the files' stamps do not say.
#[test]
fn what_decides_beside_the_files_is_looked_at() {
    let world = World::new(&[("a", "one"), ("out/b", "two"), ("d/e", "three")]);
    let first = world.take(later());
    assert_eq!(world.take(later()).digest, first.digest);
    assert_eq!(first.code(Path::new("a")), Some(Digest::of(b"one")));
    assert_eq!(first.code(Path::new("out/b")), None);
    assert_eq!(world.take(later()).code(Path::new("out/b")), None);
    let all = world.take_of(&world.project(), choices(later()));
    assert_ne!(all.digest, first.digest);
    assert_eq!(all.code(Path::new("out/b")), Some(Digest::of(b"two")));
    assert_eq!(world.take(later()).digest, first.digest);
    // A directory's mode.
    let directory = world.project().join("d");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    let other = world.take(later());
    assert_ne!(other.digest, first.digest);
    // What a step made.
    let mut made = Made::load(&world.store, &world.project());
    made.note(Path::new("a"), Digest::of(b"one"));
    made.save(&world.store, &world.project()).unwrap();
    assert_ne!(world.take(later()).digest, other.digest);
    // A list that the store does not have any more is written again.
    let last = world.take(later());
    fs::remove_dir_all(world.store.directory().join("snapshots")).unwrap();
    assert_eq!(world.take(later()).digest, last.digest);
    world.list(last.digest);
    // A rule, which leaves its own file where it was.
    world.write(".gitignore", "x\n");
    let before = world.take(later());
    world.write(".gitignore", "a\n");
    let after = world.take(later());
    assert_eq!(
        after.files,
        before.files - u64::from(before.code(Path::new("a")).is_some())
    );
}

#[test]
fn damaged_notes_are_as_good_as_none() {
    let world = World::new(&[("a", "one"), ("b", "two")]);
    let first = world.take(later());
    let whole = fs::read(world.index()).unwrap();
    let stamp = walk::Stamp::of(&rustix::fs::lstat(world.project().join("a")).unwrap());
    let known = || known::Known::load(&world.index()).content(Path::new("a"), &stamp);
    assert_eq!(known().unwrap().digest, Digest::of(b"one"));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(world.index(), &bytes).unwrap();
        assert_eq!(known(), None, "byte {at}");
        fs::write(world.index(), &whole[..at]).unwrap();
        assert_eq!(known(), None, "{at} bytes");
    }
    assert_eq!(world.take(later()).digest, first.digest);
    assert_eq!(fs::read(world.index()).unwrap(), whole);
}

#[test]
fn a_project_that_many_threads_look_at_is_the_same() {
    let names: Vec<String> = (0..400)
        .map(|n| format!("d{}/{}/f{n}", n % 20, n % 3))
        .collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &**name)).collect();
    files.extend([
        ("d1-x", "sorts between `d1` and `d1/`"),
        ("d1.gitignore", ""),
    ]);
    let world = World::new(&files);
    let project = world.project();
    let one = walk(&project, &[], 1).unwrap();
    assert_eq!(walk(&project, &[], 4).unwrap(), one);
    assert!(one.is_sorted_by(|a, b| a.path.as_os_str() < b.path.as_os_str()));
    let four = Choices {
        jobs: 4,
        ..choices(later())
    };
    let four = take(&world.store, &project, one.clone(), four).unwrap();
    fs::remove_file(world.index()).unwrap();
    let one = take(&world.store, &project, one, choices(later())).unwrap();
    assert_eq!((four.digest, four.files), (one.digest, one.files));
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
    let digest = |text: &str| Digest::of(text.as_bytes());
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
    let again = world.take_of(&target, choices(later()));
    assert_eq!(world.list(again.digest), world.list(snapshot.digest));
    // A secret is not in the store, and a changed one is another.
    for without in [None, Some(world.directory.path())] {
        let error = restore_to(without).unwrap_err().to_string();
        assert_eq!(
            error,
            "the content of `.env` is not kept, and the project has it no more"
        );
    }
    let unknown = Digest::of(b"unknown");
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
    let digest = |text: &str| Digest::of(text.as_bytes());
    let mut made = Made::load(&world.store, &world.project());
    made.note(Path::new("logs/deep/log"), digest("two"));
    made.note(Path::new("b.py"), digest("as it was made"));
    made.save(&world.store, &world.project()).unwrap();
    let after = world.take(later());
    let names = |list: Digest| -> Vec<String> {
        let list = world.list(list);
        let names = list.entries.keys();
        names
            .map(|name| String::from_utf8(name.clone()).unwrap())
            .collect()
    };
    // Somebody changed what the step made: now it is code.
    assert_eq!(names(after.digest), ["a.py", "b.py"]);
    let expected = ["logs", "logs/deep", "logs/deep/log", "out", "out/model"];
    assert_eq!(names(after.products.unwrap()), expected);
    fs::remove_file(world.project().join("b.py")).unwrap();
    assert_eq!(world.take(later()).digest, before.digest);
}
