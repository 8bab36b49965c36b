//! Write-back on upper directories made by hand, as the kernel makes them: a user may create
//! whiteouts and the `user.overlay` attributes since Linux 5.8.

pub(crate) mod records;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use crate::record::{
    Change, ChangeKind, Entry, Fate, HostState, RunDirectory, RunId, WrittenChange, scan, sweep,
    write_back,
};

/// A project and the upper directory of a step that ran in it.
struct Scene {
    _root: tempfile::TempDir,
    project: PathBuf,
    upper: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (project, upper) = (root.path().join("project"), root.path().join("upper"));
        fs::create_dir(&project).unwrap();
        fs::create_dir(&upper).unwrap();
        Self {
            _root: root,
            project,
            upper,
        }
    }

    /// What lay in the project before the step.
    fn before(&self, path: &str, bytes: &str) -> &Self {
        write(&self.project.join(path), bytes);
        self
    }

    /// What the step wrote.
    fn wrote(&self, path: impl AsRef<Path>, bytes: &str) -> &Self {
        write(&self.upper.join(path), bytes);
        self
    }

    /// What the step removed, as the kernel notes it.
    fn removed(&self, path: &str) -> &Self {
        let path = self.upper.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        self
    }

    /// A directory that the step removed and made again.
    fn opaque(&self, path: &str) -> &Self {
        let path = self.upper.join(path);
        fs::create_dir_all(&path).unwrap();
        setxattr(&path, "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        self
    }

    fn start(&self) -> HostState {
        HostState::observe(&self.project, &self.upper).unwrap()
    }

    /// Writes to the project as another program would while the step runs: later than `start`.
    fn meanwhile(&self, path: &str, bytes: &str) {
        self.let_a_tick_pass();
        write(&self.project.join(path), bytes);
    }

    /// The kernel's clock for files has ticks of some milliseconds: what the host changes after
    /// this is later than what was observed before.
    fn let_a_tick_pass(&self) {
        let probe = self.upper.with_file_name("clock");
        let start = HostState::observe(&self.project, &self.upper).unwrap();
        while !start.is_before(&fs::metadata(&probe).map_or((0, 0), |file| time(&file))) {
            fs::write(&probe, "").unwrap();
        }
    }

    fn write_back(&self, host: HostState) -> Vec<WrittenChange> {
        let changes = scan(&self.upper, &self.project).unwrap();
        write_back(changes, &self.upper, &self.project, host, id()).unwrap()
    }

    /// Returns what became of each change, one a line.
    fn fates(&self, host: HostState) -> String {
        let mut text = String::new();
        for WrittenChange { change, fate } in self.write_back(host) {
            let Change { path, kind, entry } = &change;
            let fate = match fate {
                Fate::Written => String::new(),
                Fate::Conflict { beside: None } => " kept".to_owned(),
                Fate::Conflict { beside: Some(name) } => format!(" beside {}", name.display()),
                Fate::Failed { error } => format!(" failed: {error}"),
            };
            let r#type = match entry {
                Entry::File { mode, .. } => format!("file {mode:o}"),
                Entry::Directory { .. } => "directory".to_owned(),
                Entry::Symlink { target } => format!("symlink {}", target.display()),
                Entry::Gone { r#type } => format!("{type:?}").to_lowercase(),
            };
            writeln!(text, "{kind:?} {type} {path}{fate}").unwrap();
        }
        text
    }

    /// Returns everything in the project, one path a line.
    fn tree(&self) -> String {
        let mut lines = Vec::new();
        list(&self.project, Path::new(""), &mut lines);
        lines.sort();
        lines.concat()
    }
}

fn write(path: &Path, bytes: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    // Whatever the umask of who runs the tests.
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn time(file: &fs::Metadata) -> (i64, i64) {
    (file.ctime(), file.ctime_nsec())
}

fn list(directory: &Path, path: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, place) = (path.join(entry.file_name()), entry.path());
        let kind = entry.file_type().unwrap();
        let content = if kind.is_symlink() {
            format!("-> {}", fs::read_link(&place).unwrap().display())
        } else if kind.is_dir() {
            list(&place, &path, lines);
            "/".to_owned()
        } else {
            fs::read_to_string(&place).unwrap()
        };
        lines.push(format!("{path:?} {content}\n"));
    }
}

fn id() -> RunId {
    RunId::new(Timestamp::UNIX_EPOCH, b"test")
}

#[test]
fn changes_reach_the_project() {
    let scene = Scene::new();
    for path in [
        "same",
        "changed",
        "removed",
        "old/a",
        "old/b",
        "swapped/x",
        "data/keep",
    ] {
        scene.before(path, "before");
    }
    scene
        .wrote("same", "before")
        .wrote("changed", "after")
        .wrote("out/model.pkl", "weights")
        .wrote("data/more", "after")
        .wrote("swapped", "now a file")
        .removed("removed")
        .removed("never-there")
        .opaque("old")
        .wrote("old/b", "again");
    symlink("out/model.pkl", scene.upper.join("latest")).unwrap();
    insta::assert_snapshot!(scene.fates(scene.start()), @r#"
    Modified file 644 changed
    Created file 644 data/more
    Created symlink out/model.pkl latest
    Deleted file old/a
    Modified file 644 old/b
    Created directory out
    Created file 644 out/model.pkl
    Deleted file removed
    Modified file 644 swapped
    Deleted file swapped/x
    "#);
    insta::assert_snapshot!(scene.tree(), @r#"
    "changed" after
    "data" /
    "data/keep" before
    "data/more" after
    "latest" -> out/model.pkl
    "old" /
    "old/b" again
    "out" /
    "out/model.pkl" weights
    "same" before
    "swapped" now a file
    "#);
}

#[test]
fn a_rewritten_file_with_the_same_bytes_is_no_change_but_gets_its_time() {
    let scene = Scene::new();
    scene.before("model", "weights").wrote("model", "weights");
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000);
    let written = File::open(scene.upper.join("model")).unwrap();
    written.set_modified(time).unwrap();
    assert_eq!(scene.fates(scene.start()), "");
    let metadata = fs::metadata(scene.project.join("model")).unwrap();
    assert_eq!(metadata.modified().unwrap(), time);
}

#[test]
fn modes_are_kept_but_for_set_user_id() {
    let scene = Scene::new();
    scene
        .before("script", "x")
        .wrote("script", "x")
        .wrote("locked", "x")
        .wrote("dir/file", "x")
        .wrote("program", "x");
    let set = |path: &str, mode| {
        fs::set_permissions(scene.upper.join(path), Permissions::from_mode(mode)).unwrap();
    };
    set("script", 0o755);
    set("locked", 0o000);
    set("program", 0o6755);
    set("dir", 0o500);
    insta::assert_snapshot!(scene.fates(scene.start()), @r#"
    Created directory dir
    Created file 644 dir/file
    Created file 0 locked
    Created file 755 program
    Modified file 755 script
    "#);
    let mode = |path: &str| {
        let metadata = fs::metadata(scene.project.join(path)).unwrap();
        format!("{:o}", metadata.mode() & 0o7777)
    };
    let modes = ["script", "locked", "dir", "program"].map(mode);
    assert_eq!(modes, ["755", "0", "500", "755"]);
}

#[test]
fn what_the_host_changed_meanwhile_is_kept() {
    let scene = Scene::new();
    for path in ["both", "step-removed", "dir/old", "file-to-dir", "mine"] {
        scene.before(path, "before");
    }
    scene
        .wrote("both", "step")
        .wrote("created", "step")
        .wrote("agreed", "equal")
        .wrote("mine", "step")
        .removed("step-removed")
        .removed("dir")
        .wrote("file-to-dir/inner", "step");
    let start = scene.start();
    for path in ["both", "created", "step-removed", "dir/new", "file-to-dir"] {
        scene.meanwhile(path, "host");
    }
    scene.meanwhile("agreed", "equal");
    insta::assert_snapshot!(scene.fates(start), @r#"
    Modified file 644 both beside both.envbox-33b6f6fa
    Modified file 644 created beside created.envbox-33b6f6fa
    Deleted directory dir kept
    Deleted file dir/new kept
    Deleted file dir/old
    Modified directory file-to-dir beside file-to-dir.envbox-33b6f6fa
    Created file 644 file-to-dir/inner
    Modified file 644 mine
    Deleted file step-removed kept
    "#);
    insta::assert_snapshot!(scene.tree(), @r#"
    "agreed" equal
    "both" host
    "both.envbox-33b6f6fa" step
    "created" host
    "created.envbox-33b6f6fa" step
    "dir" /
    "dir/new" host
    "file-to-dir" host
    "file-to-dir.envbox-33b6f6fa" /
    "file-to-dir.envbox-33b6f6fa/inner" step
    "mine" step
    "step-removed" host
    "#);
}

#[test]
fn links_are_never_followed() {
    let scene = Scene::new();
    let outside = scene.upper.with_file_name("outside");
    write(&outside.join("file"), "outside");
    // The step replaces a link by a directory, and a link by a file.
    symlink(&outside, scene.project.join("link")).unwrap();
    symlink(outside.join("file"), scene.project.join("leaf")).unwrap();
    scene.wrote("link/file", "step").wrote("leaf", "step");
    // The host replaces a directory by a link while the step writes to it and removes from it.
    scene
        .before("dir/file", "before")
        .before("dir/gone", "before");
    scene.wrote("dir/file", "step");
    let start = scene.start();
    scene.let_a_tick_pass();
    fs::remove_dir_all(scene.project.join("dir")).unwrap();
    symlink(&outside, scene.project.join("dir")).unwrap();
    write(&outside.join("gone"), "outside");
    scene.removed("dir/gone");
    insta::assert_snapshot!(scene.fates(start), @r#"
    Modified directory dir beside dir.envbox-33b6f6fa
    Created file 644 dir/file
    Modified file 644 leaf
    Modified directory link
    Created file 644 link/file
    "#);
    insta::assert_snapshot!(scene.tree().replace(outside.to_str().unwrap(), "OUTSIDE"), @r#"
    "dir" -> OUTSIDE
    "dir.envbox-33b6f6fa" /
    "dir.envbox-33b6f6fa/file" step
    "leaf" step
    "link" /
    "link/file" step
    "#);
    for file in ["file", "gone"] {
        assert_eq!(fs::read_to_string(outside.join(file)).unwrap(), "outside");
    }
}

#[test]
fn a_directory_that_the_host_removed_is_made_again() {
    let scene = Scene::new();
    scene.before("out/old", "before").wrote("out/new", "step");
    let changes = scan(&scene.upper, &scene.project).unwrap();
    fs::remove_dir_all(scene.project.join("out")).unwrap();
    write_back(changes, &scene.upper, &scene.project, scene.start(), id()).unwrap();
    assert_eq!(scene.tree(), "\"out\" /\n\"out/new\" step\n");
}

#[test]
fn all_outputs_can_have_the_same_time() {
    let scene = Scene::new();
    scene.before("kept", "before").wrote("out/new", "step");
    let kept = time(&fs::metadata(scene.project.join("kept")).unwrap());
    let written = scene.write_back(scene.start());
    crate::record::set_times(&written, &scene.project, 86_400).unwrap();
    let shown = |name: &str| fs::metadata(scene.project.join(name)).unwrap().modified();
    let epoch = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
    for name in ["out", "out/new"] {
        assert_eq!(shown(name).unwrap(), epoch, "{name}");
    }
    assert_eq!(
        time(&fs::metadata(scene.project.join("kept")).unwrap()),
        kept
    );
}

#[test]
fn one_failure_stops_nothing_else() {
    let scene = Scene::new();
    // Too long for a name beside it.
    let long = "n".repeat(250);
    scene.before(&long, "before").before("z", "before");
    scene
        .wrote(&long, "step")
        .wrote("a", "step")
        .wrote("z", "step");
    let start = scene.start();
    scene.meanwhile(&long, "host");
    insta::assert_snapshot!(scene.fates(start).replace(&long, "LONG"), @r#"
    Created file 644 a
    Modified file 644 LONG failed: File name too long (os error 36)
    Modified file 644 z
    "#);
    insta::assert_snapshot!(scene.tree().replace(&long, "LONG"), @r#"
    "a" step
    "LONG" host
    "z" step
    "#);
}

#[test]
fn what_is_no_output_is_refused_by_name() {
    let scene = Scene::new();
    scene.wrote("fine", "step");
    let pipe = scene.upper.join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    scene.wrote("part", "");
    let partial = scene.upper.join("part");
    setxattr(&partial, "user.overlay.metacopy", b"", XattrFlags::empty()).unwrap();
    fs::create_dir_all(scene.upper.join(["d/"; 300].concat())).unwrap();
    let changes = scan(&scene.upper, &scene.project).unwrap();
    let refused: Vec<String> = changes.unusable.iter().map(ToString::to_string).collect();
    let refused = refused.join("\n").replace(&["d/"; 250].concat(), "DEEP/");
    insta::assert_snapshot!(refused, @r#"
    `DEEP/d`: it is below more than 250 directories
    `part`: the overlay holds it only in part (`user.overlay.metacopy`)
    `pipe`: pipes, sockets and devices are not outputs
    "#);
}

#[test]
fn any_name_is_written() {
    let scene = Scene::new();
    let names: [&[u8]; 3] = [b"new\nline", b"caf\xe9", b" -rf \x1b[31m"];
    for name in names {
        scene.wrote(Path::new(OsStr::from_bytes(name)), "step");
    }
    insta::assert_snapshot!(scene.fates(scene.start()), @r#"
    Created file 644  -rf \u{1b}[31m
    Created file 644 caf\xe9
    Created file 644 new\nline
    "#);
    for name in names {
        assert!(scene.project.join(OsStr::from_bytes(name)).exists());
    }
}

#[test]
fn hard_links_are_no_conflicts_and_stay() {
    let scene = Scene::new();
    scene.before("a", "before");
    fs::hard_link(scene.project.join("a"), scene.project.join("b")).unwrap();
    scene.wrote("a", "step");
    fs::hard_link(scene.upper.join("a"), scene.upper.join("b")).unwrap();
    let start = scene.start();
    assert!(!scene.fates(start).contains("beside"));
    let inode = |name| fs::metadata(scene.project.join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
}

#[test]
fn the_kernel_s_notes_do_not_reach_the_project() {
    let scene = Scene::new();
    scene.wrote("file", "step");
    let file = scene.upper.join("file");
    setxattr(&file, "user.overlay.origin", b"handle", XattrFlags::empty()).unwrap();
    setxattr(&file, "user.mine", b"value", XattrFlags::empty()).unwrap();
    scene.write_back(scene.start());
    let mut list: Vec<u8> = Vec::with_capacity(256);
    let place = scene.project.join("file");
    rustix::fs::listxattr(&place, rustix::buffer::spare_capacity(&mut list)).unwrap();
    assert_eq!(String::from_utf8(list).unwrap(), "user.mine\0");
}

#[test]
fn changes_are_written_as_json() {
    let scene = Scene::new();
    scene.before("old", "x").before("both", "x").removed("old");
    scene.wrote("new", "step").wrote("both", "step");
    let start = scene.start();
    scene.meanwhile("both", "host");
    let written = scene.write_back(start);
    let json = serde_json::to_string_pretty(&written).unwrap();
    insta::assert_snapshot!(json.replace(&Digest::of(b"step").hex(), "HEX"), @r#"
    [
      {
        "path": "both",
        "kind": "modified",
        "type": "file",
        "size": 4,
        "sha256": "HEX",
        "mode": "0644",
        "fate": "conflict",
        "beside": "both.envbox-33b6f6fa"
      },
      {
        "path": "new",
        "kind": "created",
        "type": "file",
        "size": 4,
        "sha256": "HEX",
        "mode": "0644",
        "fate": "written"
      },
      {
        "path": "old",
        "kind": "deleted",
        "type": "file",
        "fate": "written"
      }
    ]
    "#);
    assert!(
        written
            .iter()
            .any(|written| written.change.kind == ChangeKind::Deleted)
    );
}

#[test]
fn dead_runs_are_swept_but_for_kept_and_living_ones() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("runs");
    assert_eq!(sweep(&runs).unwrap(), Vec::<String>::new());
    let now = Timestamp::UNIX_EPOCH;
    let living = RunDirectory::create(&runs, now).unwrap();
    let ended = RunDirectory::create(&runs, now).unwrap();
    assert_ne!(living.id(), ended.id());
    let (gone, lock) = (
        ended.path().to_path_buf(),
        ended.path().with_extension("lock"),
    );
    drop(ended);
    assert!(!gone.exists() && !lock.exists());
    let kept = RunDirectory::create(&runs, now).unwrap().keep().unwrap();
    // What a killed process leaves: the files, and no lock on them.
    fs::create_dir_all(runs.join("dead/upper/locked")).unwrap();
    let forbid = Permissions::from_mode(0o000);
    fs::set_permissions(runs.join("dead/upper/locked"), forbid).unwrap();
    fs::write(runs.join("dead.lock"), "").unwrap();
    assert_eq!(sweep(&runs).unwrap(), ["dead"]);
    assert!(living.upper().exists() && kept.join("upper").exists());
    assert!(!runs.join("dead").exists() && !runs.join("dead.lock").exists());
}
