//! Steps in the real sandbox. Inside is nothing but the guest beside this file.

mod gpu;

pub(in crate::ops) use gpu::host as fake_host;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use envbox_lockfiles::base::{Context, Digest, Explain as _};
use envbox_lockfiles::manifest::{Manifest, SandboxPolicy, StepFileStatus};
use envbox_sandbox::{Exit, Signals};
use jiff::Timestamp;

use crate::ops::run::execute::{Prepared, execute};
use crate::ops::run::{
    Access, FailedBy, GpuNeeds, RunError, RunOptions, RunReport, failure_document,
};

/// Where the guest is compiled, once for this process.
static GUEST: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/run/tests/guest.rs");
    let directory = tempfile::tempdir().unwrap();
    let mut compiler = Command::new("rustc");
    compiler.args(["--edition=2024", "-Ctarget-feature=+crt-static"]);
    compiler.args(["-Cpanic=abort", "--cap-lints=allow", source, "-o"]);
    let status = compiler
        .arg(directory.path().join("guest"))
        .status()
        .unwrap();
    assert!(status.success());
    directory
});

struct World {
    root: tempfile::TempDir,
    context: Context,
    manifest: Manifest,
    gpu: GpuNeeds,
}

fn manifest(text: &str) -> Manifest {
    let text = format!("[environment]\nname = \"test\"\n{text}");
    Manifest::parse(&text, Path::new("envbox.toml")).unwrap()
}

/// The `[sandbox]` of a manifest that has none.
pub(super) fn policy() -> SandboxPolicy {
    manifest("").sandbox
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let names = "proc sys dev tmp run project home/envbox bin etc";
        for name in names.split(' ') {
            fs::create_dir_all(root.path().join("rootfs").join(name)).unwrap();
        }
        let guest = GUEST.path().join("guest");
        fs::hard_link(guest, root.path().join("rootfs/bin/guest")).unwrap();
        for name in ["project/sub", "store"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        Self {
            context: Context::new(root.path().join("store"), Timestamp::UNIX_EPOCH),
            root,
            manifest: manifest(""),
            gpu: GpuNeeds::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn project(&self, name: &str) -> PathBuf {
        self.path("project").join(name)
    }

    /// Returns options that run the guest with `words`, and what takes its output.
    fn options(&self, words: &str) -> (RunOptions, File) {
        let output = tempfile::tempfile().unwrap();
        let argv = std::iter::once("/bin/guest").chain(words.split(' '));
        let options = RunOptions {
            argv: argv.map(Into::into).collect(),
            current_directory: self.path("project"),
            signals: Signals::Leave,
            stdin: Some(File::open("/dev/null").unwrap().into()),
            stdout: Some(output.try_clone().unwrap().into()),
            ..RunOptions::default()
        };
        (options, output)
    }

    fn execute(&self, options: &RunOptions) -> Result<RunReport, RunError> {
        let rootfs = self.path("rootfs");
        let prepared = Prepared {
            sandbox: &self.manifest.sandbox,
            lock: Digest::of(b"lock"),
            rootfs: &rootfs,
            environment: "test",
            manifest: None,
            lockfile: None,
            groups: &[],
            data: &[],
            gpu: &self.gpu,
        };
        execute(&self.context, &prepared, &self.path("project"), options)
    }

    /// Runs the guest; every list of words must end with `exit` or `die`.
    fn run(&self, words: &str) -> (RunReport, String) {
        let (options, mut output) = self.options(words);
        let report = self.execute(&options).unwrap();
        let mut text = String::new();
        output.rewind().unwrap();
        output.read_to_string(&mut text).unwrap();
        (report, text)
    }

    /// Runs the guest and returns why it did not start.
    fn refused(&self, change: impl FnOnce(&mut RunOptions)) -> RunError {
        let (mut options, _output) = self.options("exit 0");
        change(&mut options);
        self.execute(&options).unwrap_err()
    }

    /// Returns how many run directories there are, with their locks.
    fn runs(&self) -> usize {
        fs::read_dir(self.path("store/runs")).map_or(0, Iterator::count)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.project(name)).unwrap()
    }
}

#[test]
fn what_a_step_writes_comes_home() {
    let world = World::new();
    for name in ["old", "renamed", "sub/kept"] {
        fs::write(world.project(name), "before").unwrap();
    }
    symlink("/etc", world.project("link")).unwrap();
    let words = "create new/deep write new/deep/out made write old after write sub/more x \
                 rename renamed moved remove link link new/deep/out link \
                 remove-all sub create sub write sub/again x exit 0";
    let (report, _) = world.run(&words.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!((report.exit, report.failed_by()), (Exit::Code(0), None));
    insta::assert_snapshot!(report.summary().unwrap(), @"wrote 5 files: link, moved, new/deep/out, old, sub/again; deleted 2 files: renamed, sub/kept");
    let names = ["new/deep/out", "old", "moved", "sub/again", "link"];
    let bytes = names.map(|name| world.read(name));
    assert_eq!(bytes, ["made", "after", "before", "x", "made"]);
    for name in ["renamed", "sub/kept", "sub/more"] {
        assert!(!world.project(name).exists(), "{name}");
    }
    assert_eq!(world.runs(), 0);
}

#[test]
fn the_times_of_files_are_as_the_manifest_says() {
    let mut world = World::new();
    fs::write(world.project("input"), "x").unwrap();
    let input = File::options().write(true).open(world.project("input"));
    let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    input.unwrap().set_modified(time).unwrap();
    let words = "write output x time input time output exit 0";
    let (report, times) = world.run(words);
    assert_eq!(report.isolation.file_status, StepFileStatus::Times);
    assert_eq!(times, "1195078400s\n1577836800.000001s\n");
    world.manifest = manifest("[sandbox]\nfile-status = \"host\"");
    let (report, real) = world.run(words);
    assert_eq!(report.isolation.file_status, StepFileStatus::Host);
    assert!(real.starts_with("1700000000s\n"), "{real}");
    assert!(!real.contains("15778368"), "{real}");
    world.manifest = manifest(
        "[sandbox]\nepoch = \"2020-01-01T00:00:00Z\"\nfile-status = \"fixed\"\n\
         output-times = \"epoch\"",
    );
    fs::remove_file(world.project("output")).unwrap();
    let (report, fixed) = world.run(words);
    assert_eq!(report.isolation.file_status, StepFileStatus::Fixed);
    assert_eq!(fixed, "1577836799s\n1577836799.000001s\n");
    let home = fs::metadata(world.project("output")).unwrap();
    assert_eq!((home.mtime(), home.mtime_nsec()), (1_577_836_800, 0));
}

#[test]
fn outputs_come_home_after_a_failure() {
    let world = World::new();
    let (report, _) = world.run("write a 1 exit 3");
    let failed = Some(FailedBy::Command);
    assert_eq!(
        (report.exit_status(), report.failed_by()),
        (Exit::Code(3), failed)
    );
    let (report, _) = world.run("write b 2 die 9");
    assert_eq!(
        (report.exit_status(), report.failed_by()),
        (Exit::Signal(9), failed)
    );
    assert_eq!((world.read("a"), world.read("b")), ("1".into(), "2".into()));
}

#[test]
fn a_step_that_changes_nothing_leaves_no_trace() {
    let world = World::new();
    fs::write(world.project("file"), "same").unwrap();
    let inode = |world: &World| fs::metadata(world.project("file")).unwrap().ino();
    let before = inode(&world);
    let (report, _) = world.run("write file same write /tmp/x y write /home/envbox/x y exit 0");
    assert!(report.changes.unwrap().is_empty());
    assert_eq!(inode(&world), before);
    assert_eq!(fs::read_dir(world.path("rootfs/tmp")).unwrap().count(), 0);
}

#[test]
fn what_the_host_changes_while_a_step_runs_is_kept() {
    let world = World::new();
    let (input, wait) = std::io::pipe().unwrap();
    let (ready, output) = std::io::pipe().unwrap();
    let (mut options, _) = world.options("write out step wait exit 0");
    options.stdin = Some(input.into());
    options.stdout = Some(output.into());
    let report = std::thread::scope(|scope| {
        let world = &world;
        let step = scope.spawn(move || world.execute(&options).unwrap());
        BufReader::new(ready).read_line(&mut String::new()).unwrap();
        // The step has started: later than the reference by more than a tick of the kernel's clock
        // only if we wait for one.
        let probe = world.path("probe");
        fs::write(&probe, "").unwrap();
        let start = fs::metadata(&probe).unwrap();
        let start = (start.ctime(), start.ctime_nsec());
        loop {
            fs::write(world.project("out"), "host").unwrap();
            let now = fs::metadata(world.project("out")).unwrap();
            if (now.ctime(), now.ctime_nsec()) > start {
                break;
            }
        }
        drop(wait);
        step.join().unwrap()
    });
    assert_eq!((report.failed_by(), report.summary()), (None, None));
    let short = report.run.short();
    insta::assert_snapshot!(report.warnings().join("\n").replace(&short, "ID"), @"`out` was changed on the host while the step ran; the step's is beside it as `out.envbox-ID`");
    let beside = format!("out.envbox-{short}");
    assert_eq!(
        (world.read("out"), world.read(&beside)),
        ("host".into(), "step".into())
    );
}

#[test]
fn outputs_that_cannot_be_written_are_kept() {
    let world = World::new();
    // The rename would need a name that is too long; see the tests of `record`.
    let name = "n".repeat(250);
    let (input, wait) = std::io::pipe().unwrap();
    let (ready, output) = std::io::pipe().unwrap();
    let (mut options, _) = world.options(&format!("write {name} step write z step wait exit 0"));
    options.stdin = Some(input.into());
    options.stdout = Some(output.into());
    let report = std::thread::scope(|scope| {
        let world = &world;
        // Moved, so that our reading ends when the step does not start.
        let step = scope.spawn(move || world.execute(&options).unwrap());
        BufReader::new(ready).read_line(&mut String::new()).unwrap();
        fs::create_dir(world.project(&name)).unwrap();
        fs::write(world.project(&name).join("host"), "").unwrap();
        drop(wait);
        step.join().unwrap()
    });
    let failed = (report.exit_status(), report.failed_by());
    assert_eq!(failed, (Exit::Code(125), Some(FailedBy::Envbox)));
    assert_eq!(world.read("z"), "step");
    let warnings = report.warnings().join("\n").replace(&name, "NAME");
    let kept = report.kept.unwrap();
    insta::assert_snapshot!(warnings.replace(kept.to_str().unwrap(), "KEPT"), @r#"
    `NAME` could not be written: File name too long (os error 36)
    what could not be written was kept in `KEPT`
    "#);
    assert_eq!(fs::read_to_string(kept.join(&name)).unwrap(), "step");
    // The next run leaves it alone.
    world.run("exit 0");
    assert!(kept.exists());
}

#[test]
fn what_is_no_output_is_reported() {
    let world = World::new();
    let (report, _) = world.run("pipe queue write closed x close closed exit 0");
    let refused: Vec<String> = report
        .refused
        .iter()
        .map(|refused| format!("{}: {}", refused.path, refused.reason))
        .collect();
    assert_eq!(
        refused,
        ["queue: pipes, sockets and devices are not outputs"]
    );
    assert_eq!(report.failed_by(), None);
    let mode = fs::metadata(world.project("closed")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o7777, 0);
}

#[test]
fn with_direct_access_a_step_writes_to_the_project() {
    let world = World::new();
    let (mut options, _output) = world.options("write out x exit 0");
    options.access = Access::Direct;
    let report = world.execute(&options).unwrap();
    assert!(report.changes.is_none());
    assert_eq!(world.read("out"), "x");
}

#[test]
fn the_working_directory_is_the_same_inside() {
    let world = World::new();
    let (mut options, mut output) = world.options("directory write here x exit 0");
    options.current_directory = world.project("sub");
    world.execute(&options).unwrap();
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "/project/sub\n");
    assert_eq!(world.read("sub/here"), "x");
}

#[test]
fn the_environment_block_is_sorted() {
    let world = World::new();
    let (_, text) = world.run("environment exit 0");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines.is_sorted() && lines.contains(&r#"("ENVBOX", "1")"#),
        "{text}"
    );
}

#[test]
fn failures_of_envbox_have_their_own_status() {
    let world = World::new();
    fs::write(world.path("rootfs/bin/text"), "").unwrap();
    let command = |name: &str| {
        let name = name.to_owned();
        world.refused(|options| options.argv = vec![name.into()])
    };
    assert_eq!(command("nothing").exit_status(), 127);
    assert_eq!(command("/bin/text").exit_status(), 126);
    let path = world.path("store").display().to_string();
    let error = world.refused(|options| options.argv.push(path.clone().into()));
    assert_eq!(error.exit_status(), 125);
    let document = serde_json::to_string_pretty(&failure_document(
        &error,
        error.kind(),
        error.exit_status(),
        error.hints(),
    ))
    .unwrap();
    insta::assert_snapshot!(document.replace(&path, "PATH"), @r#"
    {
      "schema": "envbox.result/1",
      "envbox": "0.1.0",
      "failed_by": "envbox",
      "error": {
        "kind": "user",
        "exit_status": 125,
        "message": "`PATH` is on this host, but not in the sandbox",
        "causes": [],
        "hints": [
          "copy it into the project, and name it relative to that",
          "or let the command see it with `--bind PATH`, or write to it with `--bind-rw PATH`"
        ]
      }
    }
    "#);
    // Nothing is left of any of them.
    assert_eq!(world.runs(), 0);
}

#[test]
fn a_store_in_the_project_is_refused() {
    let mut world = World::new();
    world.context.store = world.project("sub/store");
    fs::create_dir(&world.context.store).unwrap();
    let error = world.refused(|_| {});
    assert!(matches!(error, RunError::StoreInProject { .. }));
    assert_eq!(error.hints().len(), 1);
}

#[test]
fn a_run_that_cannot_be_called_so_does_not_begin() {
    let world = World::new();
    let error = world.refused(|options| options.record.tags.push("a/b".to_owned()));
    assert_eq!(error.to_string(), "`a/b` cannot be a tag");
    assert!(!error.hints().is_empty());
}

#[test]
fn the_report_is_a_document() {
    let mut world = World::new();
    let table = "[sandbox]\nhostname = \"box\"\nseed = 7\noutputs = [\"out\", \"model.pkl\"]\n";
    world.manifest = manifest(table);
    let (report, _) = world.run("write out x exit 3");
    let mut document = serde_json::to_value(report.document()).unwrap();
    for (field, stand_in) in [("run", "RUN"), ("usage", "USAGE")] {
        assert!(!document[field].is_null());
        document[field] = stand_in.into();
    }
    document["isolation"]["kernel"] = "HOST".into();
    let cpuid = document["isolation"]["cpuid"].take();
    let reasons = [
        serde_json::json!({"state": "held"}),
        serde_json::json!({"state": "not-held", "why": "no-faulting"}),
    ];
    assert_eq!(cpuid, reasons[usize::from(!host_faults_on_cpuid())]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap(), @r#"
    {
      "argv": [
        "/bin/guest",
        "write",
        "out",
        "x",
        "exit",
        "3"
      ],
      "binds": [],
      "changes": [
        {
          "fate": "written",
          "kind": "created",
          "mode": "0644",
          "path": "out",
          "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
          "size": 1,
          "type": "file"
        }
      ],
      "envbox": "0.1.0",
      "error": null,
      "exit": {
        "code": 3
      },
      "failed_by": "command",
      "holds": [],
      "isolation": {
        "clock": "logical",
        "cpu_baseline": "x86-64-v3",
        "cpuid": null,
        "cpus": 1,
        "epoch": "2020-01-01T00:00:00Z",
        "file_status": "times",
        "hostname": "box",
        "kernel": "HOST",
        "namespaces": [
          "cgroup",
          "ipc",
          "mnt",
          "net",
          "pid",
          "time",
          "user",
          "uts"
        ],
        "network": "none",
        "project": "overlay",
        "seed": 7
      },
      "libraries": [],
      "lock": "sha256:0c030586945fe504b604ecc2e875c38ede400cd5cd73da9730302162e6b02c6f",
      "missing": [
        "model.pkl"
      ],
      "refused": [],
      "run": "RUN",
      "schema": "envbox.result/1",
      "started": "1970-01-01T00:00:00Z",
      "usage": "USAGE"
    }
    "#);
}

#[test]
fn what_libraries_were_held_by_is_told_by_the_step() {
    let world = World::new();
    fs::create_dir_all(world.path("rootfs/opt/env/bin")).unwrap();
    fs::write(world.path("rootfs/opt/env/bin/python"), "").unwrap();
    let line = |library: &str, state: &str| {
        format!(
            r#"{{"library":"{library}","version":"1","name":"n","wanted":"w","found":"f","state":"{state}"}}"#
        )
    };
    let lines = [
        line("b", "held"),
        "nonsense".to_owned(),
        line("a", "failed"),
        line("b", "held"),
    ];
    let (report, _) = world.run(&format!(
        "write /run/envbox/held {} exit 0",
        lines.join("\n")
    ));
    let told: Vec<_> = report.libraries.iter().map(|held| &held.library).collect();
    assert_eq!(told, ["a", "b"]);
    insta::assert_snapshot!(report.warnings().join("\n"), @"`a` 1 was not held: n is `f`, not `w`");
    assert_eq!(world.runs(), 0);
}

#[test]
fn a_rootfs_without_python_has_no_channel() {
    let world = World::new();
    let (mut options, _) = world.options("write /run/envbox/held x exit 0");
    options.stderr = Some(tempfile::tempfile().unwrap().into());
    assert_ne!(world.execute(&options).unwrap().exit, Exit::Code(0));
}

/// Whether this host's processor can, as the kernel says.
fn host_faults_on_cpuid() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    text.split_whitespace().any(|word| word == "cpuid_fault")
}
