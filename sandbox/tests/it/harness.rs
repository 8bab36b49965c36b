//! Runs the real thing: the `envbox-sandbox` command on a rootfs with nothing but the guest in it.
//!
//! Every test runs as each [`Caller`]: the current user and, if that is root, an ordinary user.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// An id that no host has given to anybody.
const ORDINARY: u32 = 54321;

/// Who runs the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever runs the tests.
    Current,
    /// An ordinary user.
    Ordinary,
}

/// A rootfs, a project, and room for its overlay.
pub struct World {
    pub caller: Caller,
    /// Whether steps run without namespaces.
    pub bare: bool,
    directory: TempDir,
}

/// Runs a test as every caller that the current user can be.
pub fn as_everyone(test: impl Fn(&World)) {
    test(&World::new(Caller::Current));
    if rustix::process::geteuid().is_root() {
        test(&World::new(Caller::Ordinary));
    }
}

/// As [`as_everyone`], with namespaces and without.
pub fn everywhere(test: impl Fn(&World)) {
    as_everyone(&test);
    bare(test);
}

/// As [`as_everyone`], without namespaces: guest paths below `/bin` are translated.
pub fn bare(test: impl Fn(&World)) {
    as_everyone(|world| {
        test(&World {
            bare: true,
            ..World::new(world.caller)
        })
    });
}

/// Runs a test as the current user only: in the test process.
pub fn as_myself(test: impl Fn(&World)) {
    test(&World::new(Caller::Current));
}

impl World {
    fn new(caller: Caller) -> World {
        let directory = tempfile::Builder::new()
            .prefix("envbox-test")
            .tempdir()
            .unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let world = World {
            caller,
            bare: false,
            directory,
        };
        for name in [
            "bin",
            "proc",
            "sys",
            "dev",
            "tmp",
            "run",
            "project",
            "home/envbox",
            "mnt",
        ] {
            fs::create_dir_all(world.path("rootfs").join(name)).unwrap();
        }
        copy(&guest(), &world.path("rootfs/bin/guest"));
        copy(
            Path::new(env!("CARGO_BIN_EXE_envbox-sandbox")),
            &world.path("supervisor"),
        );
        for name in ["lower", "upper", "work"] {
            world.directory(name);
        }
        for name in ["", "rootfs"] {
            world.give(&world.path(name));
        }
        world
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a directory of the caller's.
    pub fn directory(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        self.give(&path);
        path
    }

    /// Makes a file of the caller's.
    pub fn file(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    /// Makes a path the caller's.
    pub fn give(&self, path: &Path) {
        if self.caller == Caller::Ordinary {
            chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }

    /// Returns the command that runs the guest with the given options and arguments.
    pub fn command<O: AsRef<OsStr>, A: AsRef<OsStr>>(&self, options: &[O], guest: &[A]) -> Command {
        let mut command = self.tool(options);
        if self.bare {
            let place = |path: &A| match Path::new(path).strip_prefix("/bin") {
                Ok(name) => self.path("rootfs/bin").join(name).into_os_string(),
                Err(_) => path.as_ref().to_owned(),
            };
            command.args(guest.iter().map(place));
        } else {
            command.arg(self.path("rootfs")).args(guest);
        }
        command
    }

    /// Returns the command of the supervisor alone.
    pub fn tool<O: AsRef<OsStr>>(&self, options: &[O]) -> Command {
        // Under `nohup` the tests would else hand an ignored signal on, which stays ignored.
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal").arg(self.path("supervisor"));
        command.args(self.bare.then_some("--bare"));
        command.args(options).stdin(Stdio::null()).env_clear();
        self.lower(&mut command);
        command
    }

    /// Makes a command run as the caller.
    pub fn lower(&self, command: &mut Command) {
        if self.caller == Caller::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
    }

    pub fn output<O: AsRef<OsStr>, A: AsRef<OsStr>>(&self, options: &[O], guest: &[A]) -> Output {
        self.command(options, guest).output().unwrap()
    }

    /// Runs `/bin/guest` and returns what it printed. It must succeed.
    pub fn look(&self, options: &[&str], guest: &[&str]) -> String {
        let output = self.output(options, &[&["/bin/guest"], guest].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{:?}: {:?} {error}",
            self.caller,
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the options for a project in an overlay, with a work directory that is new each time.
    pub fn overlay(&self) -> Vec<PathBuf> {
        let [lower, upper] = ["lower", "upper"].map(|name| self.path(name));
        let used = fs::read_dir(self.path("work")).unwrap().count();
        let work = self.directory(format!("work/{used}"));
        vec![PathBuf::from("--project-overlay"), lower, upper, work]
    }

    /// Runs `/bin/guest` with the project in an overlay.
    pub fn look_overlay(&self, guest: &[&str]) -> String {
        let guest: Vec<&str> = [&["/bin/guest"], guest].concat();
        let output = self.output(&self.overlay(), &guest);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{:?}: {:?} {error}",
            self.caller,
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Copies a program, in another process: a test that starts one at this moment would else inherit
/// the descriptor that writes, and the copy could not be executed while that is open.
fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

/// Compiles the guest, once for all test processes of a build.
fn guest() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let source = directory.join("guest.rs");
    let mut hasher = DefaultHasher::new();
    let mut sources: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    sources.sort();
    for file in sources {
        fs::read(file).unwrap().hash(&mut hasher);
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let guest = directory.join(format!("guest-{:016x}", hasher.finish()));
    if guest.exists() {
        return guest;
    }
    // Each process writes a file of its own; the rename decides.
    let own = tempfile::Builder::new()
        .prefix("guest")
        .tempdir_in(directory)
        .unwrap();
    let output = own.path().join("guest");
    let status = Command::new(env!("ENVBOX_RUSTC"))
        .args([
            "--edition=2024",
            "-Ctarget-feature=+crt-static",
            "-Cpanic=abort",
            "-Cstrip=symbols",
        ])
        .args(["--cap-lints=allow", "-o"])
        .args([&output, &source])
        .status()
        .unwrap();
    assert!(status.success());
    fs::rename(&output, &guest).unwrap();
    guest
}
