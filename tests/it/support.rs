//! Runs the command in a home of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A user that no system has, for the tests that must hold without privileges.
const UNPRIVILEGED: u32 = 54_321;

/// Who runs the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Current,
    /// An unprivileged user; the same as [`User::Current`] when that one has no privileges.
    Unprivileged,
}

impl User {
    pub const ALL: [Self; 2] = [Self::Current, Self::Unprivileged];
}

/// A home, a store and a project, gone when dropped.
pub struct World {
    directory: TempDir,
    user: User,
}

impl World {
    pub fn new(user: User) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("envbox-it-")
            .tempdir_in("/tmp")
            .unwrap();
        let world = Self { directory, user };
        for folder in ["", "home", "project"] {
            let path = world.directory.path().join(folder);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            world.give(&path);
        }
        // The build directory may lie where only its owner can look.
        // By another process: a test that starts one at this moment would else inherit the
        // descriptor that writes, and the copy could not be executed while that is open.
        let mut copy = Command::new("cp");
        copy.args([Path::new(env!("CARGO_BIN_EXE_envbox")), &world.program()]);
        assert!(copy.status().unwrap().success());
        world
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn project(&self) -> PathBuf {
        self.path().join("project")
    }

    pub fn write(&self, name: &str, text: &str) {
        self.write_below(&self.project(), name, text);
    }

    /// Writes a file below the home directory.
    pub fn write_home(&self, name: &str, text: &str) {
        self.write_below(&self.path().join("home"), name, text);
    }

    fn write_below(&self, directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        for made in path.ancestors().take_while(|made| *made != directory) {
            self.give(made);
        }
    }

    pub fn program(&self) -> PathBuf {
        self.path().join("envbox")
    }

    /// Makes the user own `path`.
    fn give(&self, path: &Path) {
        if self.changes_user() {
            std::os::unix::fs::chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
    }

    /// Says whether the command's user is another than the tests'.
    pub fn changes_user(&self) -> bool {
        self.user == User::Unprivileged && rustix::process::geteuid().is_root()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.project(), arguments)
    }

    pub fn command_in(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = self.as_user(Command::new(self.program()), directory);
        command.args(arguments);
        command
    }

    fn as_user(&self, mut command: Command, directory: &Path) -> Command {
        command
            .env_clear()
            .env("HOME", self.path().join("home"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(directory);
        if self.changes_user() {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    }

    /// A shell in the project, with the environment that [`World::command`] gives.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.as_user(Command::new("/bin/sh"), &self.project());
        command.args(["-c", script]);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.finished(self.command(arguments))
    }

    /// The same command started by another program, with the same user and environment.
    pub fn started_by(&self, wrapper: &[&str], command: &Command) -> Command {
        let directory = command.get_current_dir().unwrap();
        let mut wrapped = self.as_user(Command::new(wrapper[0]), directory);
        wrapped.args(&wrapper[1..]).arg(command.get_program());
        wrapped.args(command.get_args());
        wrapped
    }

    /// Runs a command to its end.
    pub fn finished(&self, mut command: Command) -> Run {
        Run {
            output: command.output().unwrap(),
            root: self.path().to_path_buf(),
        }
    }
}

/// What a command did.
#[must_use = "look at what the command did"]
pub struct Run {
    output: Output,
    root: PathBuf,
}

impl Run {
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    pub fn stdout(&self) -> String {
        self.filtered(&self.output.stdout)
    }

    pub fn stderr(&self) -> String {
        self.filtered(&self.output.stderr)
    }

    /// Exit code, standard output and standard error, for snapshots.
    pub fn whole(&self) -> String {
        let code = self
            .code()
            .map_or("none".to_owned(), |code| code.to_string());
        format!(
            "exit: {code}\n-- stdout\n{}-- stderr\n{}",
            self.stdout(),
            self.stderr()
        )
    }

    fn filtered(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace(&self.root.display().to_string(), "[ROOT]")
    }
}
