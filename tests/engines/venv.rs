//! Virtual environments with an engine as PyPI has it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A virtual environment that every user can use.
pub struct Venv(TempDir);

impl Venv {
    /// Makes one with releases named exactly (`name==1.2`), or directories with a package of ours.
    pub fn new(packages: &[&str]) -> Self {
        let prefix = "envbox-engines-";
        let venv = Self(
            tempfile::Builder::new()
                .prefix(prefix)
                .tempdir_in("/tmp")
                .unwrap(),
        );
        std::fs::set_permissions(venv.0.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        // That of PATH may lie in a home that other users cannot enter.
        let mut make = Command::new("/usr/bin/python3");
        succeeds(make.args(["-m", "venv"]).arg(venv.0.path()));
        let mut install = Command::new(venv.program("pip"));
        succeeds(
            install
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .args(packages),
        );
        venv
    }

    /// The path of a program in it.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.path().join("bin").join(name)
    }
}

/// Runs a command to its end, which must be a good one, and returns what it printed.
pub fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
