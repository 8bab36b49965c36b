//! The store under everything that goes wrong around it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};
use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

use crate::store::{
    BlobSlot, BlobWriter, DamageReason, GcMode, Object, Question, Store, StoreError, TreeKey,
    TreeManifest, remove_tree,
};

pub(crate) fn temporary() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    // For `as_nobody`.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

fn open(directory: &TempDir) -> Store {
    Store::open(&directory.path().join("store")).unwrap()
}

fn writer(store: &Store, bytes: &[u8]) -> BlobWriter {
    match store
        .blob_slot(Digest::of(bytes), bytes.len() as u64)
        .unwrap()
    {
        BlobSlot::Missing(writer) => writer,
        BlobSlot::Present(path) => panic!("{} is there", path.display()),
    }
}

fn add(store: &Store, bytes: &[u8]) -> Digest {
    let mut writer = writer(store, bytes);
    writer.write(bytes).unwrap();
    writer.finish().unwrap();
    Digest::of(bytes)
}

fn package(name: &str) -> TreeKey {
    TreeKey::Package(Digest::of(name.as_bytes()))
}

fn build(store: &Store, name: &str) -> PathBuf {
    let built: Result<_, StoreError> = store.tree(package(name), |directory| {
        fs::write(directory.join("file"), name).unwrap();
        let list = TreeManifest::of(directory).unwrap().to_text();
        fs::write(directory.with_extension("manifest"), list).unwrap();
        Ok(())
    });
    built.unwrap().path()
}

/// Returns every file and directory below `directory`.
pub(crate) fn everything(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        found.extend(everything(&path));
        found.push(path);
    }
    found
}

/// Runs `test` as a user who owns nothing: root may write where modes forbid it. The identity is
/// that of the thread alone.
pub(crate) fn as_nobody<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if geteuid().is_root() {
                let nobody = Uid::from_raw(65534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            test()
        });
        thread.join().unwrap()
    })
}

/// Takes away every permission to write in the store at `directory`; trees have modes of their own.
pub(crate) fn make_read_only(directory: &Path) {
    let mut paths = everything(directory);
    paths.retain(|path| !path.starts_with(directory.join("trees")));
    for path in paths.into_iter().chain([directory.to_path_buf()]) {
        let mode = fs::symlink_metadata(&path).unwrap().mode() & 0o555;
        fs::set_permissions(&path, Permissions::from_mode(mode | 0o444)).unwrap();
    }
}

#[test]
fn a_new_store_is_marked_and_opened_again() {
    let directory = temporary();
    let store = open(&directory);
    let tag = fs::read_to_string(store.directory().join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert_eq!(fs::read(store.directory().join("version")).unwrap(), b"1\n");
    open(&directory);
    // A creation that was interrupted goes on, also when a resolver has cached there since.
    fs::remove_file(store.directory().join("version")).unwrap();
    fs::create_dir(store.index()).unwrap();
    open(&directory);
}

#[test]
fn what_is_no_store_is_left_alone() {
    let directory = temporary();
    let path = directory.path();
    fs::write(path.join("file"), b"").unwrap();
    for (place, error) in [
        ("", "is not a store, and not empty"),
        ("file", "is not a directory"),
    ] {
        let found = Store::open(&path.join(place)).unwrap_err();
        assert!(found.to_string().contains(error), "{found}");
        assert_eq!(found.kind(), Kind::User);
    }
    let below = Store::open(&path.join("file/store")).unwrap_err();
    assert!(
        matches!(below, StoreError::NotADirectory { .. }),
        "{below:?}"
    );
    assert_eq!(everything(path), [path.join("file")]);
}

#[test]
fn versions_are_respected() {
    let directory = temporary();
    let version = open(&directory).directory().join("version");
    fs::write(&version, "2\n").unwrap();
    let error = Store::open(version.parent().unwrap()).unwrap_err();
    assert!(matches!(
        error,
        StoreError::Newer {
            found: 2,
            known: 1,
            ..
        }
    ));
    fs::write(&version, "").unwrap();
    let error = Store::open(version.parent().unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }));
}

#[test]
fn a_blob_is_whole_or_absent() {
    let directory = temporary();
    let store = open(&directory);
    let bytes = b"all of it";
    let mut broken = writer(&store, bytes);
    broken.write(b"all").unwrap();
    assert_eq!(store.blob(&Digest::of(bytes)), None);
    drop(broken);
    assert_eq!(store.blob(&Digest::of(bytes)), None);

    let mut resumed = writer(&store, bytes);
    assert_eq!((resumed.written(), resumed.is_resumed()), (3, true));
    resumed.write(b" of it").unwrap();
    let path = resumed.finish().unwrap();
    assert_eq!(store.blob(&Digest::of(bytes)), Some(path.clone()));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o444);
    assert!(everything(&store.directory().join("tmp/partial")).is_empty());
}

#[test]
fn wrong_bytes_leave_nothing() {
    let directory = temporary();
    let store = open(&directory);
    let expected = Digest::of(b"right");
    let mut other = writer(&store, b"right");
    other.write(b"wrong").unwrap();
    match other.finish().unwrap_err() {
        error @ StoreError::WrongDigest { .. } => {
            let text = error.to_string();
            assert!(text.contains(&expected.to_string()), "{text}");
            assert!(text.contains(&Digest::of(b"wrong").to_string()), "{text}");
            assert_eq!(error.kind(), Kind::Integrity);
        }
        error => panic!("{error:?}"),
    }
    drop(other);
    let mut short = writer(&store, b"right");
    short.write(b"rig").unwrap();
    let error = short.finish().unwrap_err();
    assert!(matches!(
        error,
        StoreError::WrongSize {
            expected: 5,
            found: 3
        }
    ));
    drop(short);
    let mut long = writer(&store, b"right");
    long.write(b"righ").unwrap();
    let error = long.write(b"tly").unwrap_err();
    assert!(matches!(
        error,
        StoreError::WrongSize {
            expected: 5,
            found: 7
        }
    ));
    assert_eq!(long.written(), 0);
    drop(long);
    assert!(everything(&store.directory().join("tmp/partial")).is_empty());
}

#[test]
fn a_blob_is_written_once() {
    let directory = temporary();
    // Two handles are to each other as two processes are: locks belong to open files.
    let stores = [open(&directory), open(&directory)];
    let (bytes, wrote) = (b"the same", AtomicUsize::new(0));
    let both = Barrier::new(2);
    thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                both.wait();
                let digest = Digest::of(bytes);
                if let BlobSlot::Missing(mut writer) = store.blob_slot(digest, 8).unwrap() {
                    wrote.fetch_add(1, Ordering::Relaxed);
                    writer.write(bytes).unwrap();
                    writer.finish().unwrap();
                }
            });
        }
    });
    assert_eq!(wrote.into_inner(), 1);
    assert!(everything(&stores[0].directory().join("tmp/partial")).is_empty());
}

#[test]
fn a_tree_is_built_once() {
    let directory = temporary();
    let stores = [open(&directory), open(&directory), open(&directory)];
    let built = AtomicUsize::new(0);
    let all = Barrier::new(3);
    thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                all.wait();
                let tree: Result<_, StoreError> = store.tree(package("a"), |directory| {
                    built.fetch_add(1, Ordering::Relaxed);
                    fs::write(directory.join("file"), b"a").unwrap();
                    Ok(())
                });
                assert_eq!(fs::read(tree.unwrap().path().join("file")).unwrap(), b"a");
            });
        }
    });
    assert_eq!(built.into_inner(), 1);
}

#[test]
fn a_failed_build_leaves_nothing() {
    #[derive(Debug)]
    struct Failed;
    impl From<StoreError> for Failed {
        fn from(error: StoreError) -> Self {
            panic!("{error}")
        }
    }
    let directory = temporary();
    let store = open(&directory);
    let result = store.tree(package("a"), |directory| {
        fs::create_dir(directory.join("closed")).unwrap();
        fs::set_permissions(directory.join("closed"), Permissions::from_mode(0o000)).unwrap();
        Err(Failed)
    });
    assert!(result.is_err());
    assert!(everything(&store.directory().join("tmp/build")).is_empty());
    assert!(store.find_tree(package("a")).unwrap().is_none());
}

#[test]
fn an_unfinished_tree_is_built_again() {
    let directory = temporary();
    let path = build(&open(&directory), "a");
    let done = path.with_extension("done");
    // Killed before the last step; made in an earlier boot and never settled; mark cut short.
    for state in [None, Some("another boot\n"), Some("")] {
        fs::write(path.join("file"), b"damaged").unwrap();
        match state {
            None => fs::remove_file(&done).unwrap(),
            Some(text) => fs::write(&done, text).unwrap(),
        }
        let store = open(&directory);
        assert!(
            store.find_tree(package("a")).unwrap().is_none(),
            "{state:?}"
        );
        build(&store, "a");
        assert_eq!(fs::read(path.join("file")).unwrap(), b"a", "{state:?}");
    }
}

#[test]
fn settled_trees_count_for_later_boots() {
    let directory = temporary();
    let path = build(&open(&directory), "a");
    let done = path.with_extension("done");
    assert_ne!(fs::read(&done).unwrap(), b"durable\n");
    let store = open(&directory);
    store.find_tree(package("a")).unwrap().unwrap();
    store.settle().unwrap();
    assert_eq!(fs::read(&done).unwrap(), b"durable\n");
}

#[test]
fn trees_keep_the_mode_of_their_root() {
    let directory = temporary();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    as_nobody(|| {
        let store = open(&directory);
        let tree: Result<_, StoreError> = store.tree(package("a"), |directory| {
            fs::set_permissions(directory, Permissions::from_mode(0o555)).unwrap();
            Ok(())
        });
        let path = tree.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o555);
        drop(store);
        let report = open(&directory).gc(GcMode::Remove).unwrap();
        assert_eq!(report.removed.len(), 1);
        assert!(!path.exists());
        remove_tree(&directory.path().join("store")).unwrap();
    });
}

#[test]
fn leftovers_of_killed_builders_are_swept() {
    let directory = temporary();
    let store = open(&directory);
    let builds = store.directory().join("tmp/build");
    fs::create_dir_all(builds.join("trees-dead/tree")).unwrap();
    let result: Result<_, StoreError> = store.tree(package("a"), |directory| {
        let alive = directory.parent().unwrap().to_path_buf();
        assert_eq!(fs::read_dir(&builds).unwrap().count(), 1);
        // Neither the sweep of another builder nor a collection takes what is being built.
        build(&open_again(&store), "b");
        store.gc(GcMode::Remove).unwrap();
        assert!(alive.join("tree").exists());
        Ok(())
    });
    result.unwrap();
    assert!(everything(&builds).is_empty());
}

fn open_again(store: &Store) -> Store {
    Store::open(store.directory()).unwrap()
}

#[test]
fn gc_keeps_leases_and_roots() {
    let directory = temporary();
    let lockfile = directory.path().join("envbox.lock");
    let using = open(&directory);
    let kept = add(&using, b"in use");
    let kept_tree = build(&using, "in use");

    let project = open(&directory);
    let pinned = add(&project, b"pinned");
    let pinned_tree = build(&project, "pinned");
    let later = add(&project, b"later");
    fs::write(&lockfile, "first").unwrap();
    project.pin(&lockfile).unwrap();
    drop(project);
    let unused = open(&directory);
    let garbage = add(&unused, b"garbage");
    let garbage_tree = build(&unused, "garbage");
    // Changed since, it keeps what it names, and what it needed.
    fs::write(&lockfile, format!("digest = \"{later}\"")).unwrap();
    drop(unused);

    let store = open(&directory);
    let plan = store.gc(GcMode::DryRun).unwrap();
    assert!(garbage_tree.exists() && store.blob(&garbage).is_some());
    let report = store.gc(GcMode::Remove).unwrap();
    assert_eq!(plan, report);
    assert_eq!((report.removed.len(), report.kept), (2, 5));
    assert!(report.freed_bytes > 0);
    assert_eq!(report.lockfiles, [lockfile.canonicalize().unwrap()]);
    assert!(!garbage_tree.exists() && store.blob(&garbage).is_none());
    for digest in [kept, pinned, later] {
        assert!(store.blob(&digest).is_some());
    }
    assert!(kept_tree.exists() && pinned_tree.exists());
    assert!(everything(&store.directory().join("tmp/trash")).is_empty());

    fs::remove_file(&lockfile).unwrap();
    let report = store.gc(GcMode::Remove).unwrap();
    assert_eq!(
        (report.expired, report.removed.len(), report.kept),
        (1, 3, 2)
    );
    assert!(everything(&store.directory().join("roots")).is_empty());
    drop(using);
    assert_eq!(store.gc(GcMode::Remove).unwrap().kept, 0);
    assert!(everything(&store.directory().join("leases")).is_empty());
}

#[test]
fn an_answer_is_one_to_its_question_alone() {
    let directory = temporary();
    let place = directory.path().join("store");
    let ask = |subject: &str| Store::answer(&place, &Question::new(&[subject]).unwrap());
    assert!(ask("lock").is_none() && !place.exists());
    let store = open(&directory);
    let key = TreeKey::Rootfs(Digest::of(b"rootfs"));
    let built: Result<_, StoreError> = store.tree(key, |_| Ok(()));
    let (tree, note) = (built.unwrap(), Digest::of(b"note"));
    store.keep_answer(&Question::new(&["lock"]).unwrap(), &tree, note);
    let (found, noted) = ask("lock").unwrap();
    assert_eq!((found.key(), noted), (key, note));
    assert!(ask("another lock").is_none());
    // In use, so nobody may collect it, and the answer is no more than a note.
    drop((store, tree));
    open(&directory).gc(GcMode::Remove).unwrap();
    assert!(found.path().exists() && !place.join("answers").exists());
    open(&directory).keep_answer(&Question::new(&["lock"]).unwrap(), &found, note);
    let file = everything(&place.join("answers")).remove(0);
    let text = fs::read(&file).unwrap();
    fs::write(&file, &text[..text.len() - 1]).unwrap();
    assert!(ask("lock").is_none());
    fs::write(&file, text).unwrap();
    assert!(ask("lock").is_some());
    drop(found);
    open(&directory)
        .remove_finished(&place.join(Object::Tree(key).relative()))
        .unwrap();
    assert!(ask("lock").is_none());
}

#[test]
fn a_lock_that_stays_the_same_needs_what_it_needed() {
    let directory = temporary();
    let lockfile = directory.path().join("envbox.lock");
    fs::write(&lockfile, "same").unwrap();
    let first = open(&directory);
    build(&first, "package");
    first.pin(&lockfile).unwrap();
    drop(first);
    let second = open(&directory);
    build(&second, "merged");
    second.pin(&lockfile).unwrap();
    drop(second);
    assert_eq!(open(&directory).gc(GcMode::Remove).unwrap().kept, 2);
    // Another lock at the same path needs only its own.
    fs::write(&lockfile, "new").unwrap();
    let third = open(&directory);
    third.find_tree(package("merged")).unwrap().unwrap();
    third.pin(&lockfile).unwrap();
    drop(third);
    assert_eq!(open(&directory).gc(GcMode::Remove).unwrap().kept, 1);
}

#[test]
fn leases_of_dead_processes_do_not_count() {
    let directory = temporary();
    let store = open(&directory);
    let digest = add(&store, b"left");
    drop(store);
    let leases = directory.path().join("store/leases");
    fs::write(leases.join("killed"), format!("{}\n", Object::Blob(digest))).unwrap();
    let partial = directory.path().join("store/tmp/partial/left");
    fs::write(&partial, b"half").unwrap();
    assert_eq!(
        open(&directory).gc(GcMode::Remove).unwrap().removed.len(),
        1
    );
    assert!(everything(&leases).is_empty());
    assert!(!partial.exists());
}

#[test]
fn space_is_counted_once_for_shared_files() {
    let directory = temporary();
    let store = open(&directory);
    add(&store, &[1; 10_000]);
    let package = build(&store, "a");
    fs::write(package.join("large"), [2; 100_000]).unwrap();
    let merged: Result<_, StoreError> = store.tree(TreeKey::Rootfs(Digest::of(b"")), |directory| {
        fs::hard_link(package.join("large"), directory.join("large")).unwrap();
        Ok(())
    });
    merged.unwrap();
    let usage = store.usage().unwrap();
    assert_eq!(
        (usage.blobs.count, usage.trees.count, usage.rootfs.count),
        (1, 1, 1)
    );
    assert!(
        usage.blobs.bytes >= 10_000 && usage.trees.bytes >= 100_000,
        "{usage:?}"
    );
    assert!(usage.rootfs.bytes < 100_000, "{usage:?}");
    assert!(usage.bytes() >= usage.blobs.bytes + usage.trees.bytes);
}

#[test]
fn a_flipped_byte_is_found_and_discarded() {
    let directory = temporary();
    let store = open(&directory);
    add(&store, b"good");
    let blob = add(&store, b"bad");
    build(&store, "good");
    let tree = build(&store, "bad");
    assert_eq!(store.verify(2).unwrap().damaged, []);
    for path in [store.blob(&blob).unwrap(), tree.join("file")] {
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(1)).unwrap();
        file.write_all(b"?").unwrap();
    }
    let report = store.verify(2).unwrap();
    assert_eq!((report.blobs, report.trees, report.unlisted), (2, 2, 0));
    let [damaged_blob, damaged_tree] = &report.damaged[..] else {
        panic!("{report:?}")
    };
    assert_eq!(damaged_blob.object, Object::Blob(blob).relative());
    assert!(matches!(damaged_blob.reason, DamageReason::Digest { .. }));
    assert!(matches!(&damaged_tree.reason, DamageReason::Entry { path } if path == "file"));
    store.discard(&report.damaged).unwrap();
    assert!(store.blob(&blob).is_none());
    assert!(store.find_tree(package("bad")).unwrap().is_none());
    assert_eq!(store.verify(2).unwrap().damaged, []);
}

#[test]
fn a_read_only_store_can_be_read() {
    let directory = temporary();
    let store = open(&directory);
    let digest = add(&store, b"bytes");
    build(&store, "tree");
    let lockfile = directory.path().join("envbox.lock");
    fs::write(&lockfile, "").unwrap();
    drop(store);
    make_read_only(&directory.path().join("store"));
    as_nobody(|| {
        let store = open(&directory);
        let slot = store.blob_slot(digest, 5).unwrap();
        assert!(matches!(slot, BlobSlot::Present(_)));
        assert!(store.find_tree(package("tree")).unwrap().is_some());
        store.pin(&lockfile).unwrap();
        assert_eq!(store.verify(1).unwrap().damaged, []);
        store.usage().unwrap();
        let error = store.blob_slot(Digest::of(b"new"), 3).unwrap_err();
        assert!(error.is_unwritable(), "{error:?}");
        assert_eq!(error.to_string(), "the store cannot be written");
        assert!(!error.hints().is_empty());
        let error = store
            .tree(package("new"), |_| Ok::<(), StoreError>(()))
            .unwrap_err();
        assert!(error.is_unwritable(), "{error:?}");
    });
    fs::set_permissions(directory.path(), Permissions::from_mode(0o555)).unwrap();
    let error = as_nobody(|| Store::open(&directory.path().join("new")).unwrap_err());
    assert!(error.is_unwritable(), "{error:?}");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    // For the owner, who cannot remove the directory otherwise.
    remove_tree(&directory.path().join("store")).unwrap();
}

#[test]
fn a_full_disk_is_named() {
    let full = std::io::Error::from(rustix::io::Errno::NOSPC);
    let error = StoreError::from(FsError::at("write", Path::new("blob"))(full));
    assert_eq!(error.to_string(), "there is no space left for the store");
    assert_eq!(error.kind(), Kind::Host);
    assert!(!error.hints().is_empty());
}

#[test]
fn closed_directories_are_removed() {
    let directory = temporary();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    as_nobody(|| {
        let tree = directory.path().join("tree");
        for (path, mode) in [("a/b", 0o000), ("a/c", 0o555), ("a", 0o000)] {
            fs::create_dir_all(tree.join(path)).unwrap();
            drop(File::create(tree.join(path).join("file")));
            fs::set_permissions(tree.join(path), Permissions::from_mode(mode)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        remove_tree(&tree).unwrap();
    });
}
