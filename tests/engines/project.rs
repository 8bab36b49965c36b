//! What the tests of all engines need: packages of ours to install, examples to run, a listener
//! that nobody may reach, and a look at what is left.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::World;
use crate::venv::Venv;

/// What a step prints of its world: host name, date, whether it reached a port of the host's, uid.
pub const PROBE: &str = r#"import os, socket, sys, time
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
    reached = "reached"
except OSError:
    reached = "alone"
print(socket.gethostname(), time.strftime("%F"), reached, os.getuid())
"#;

/// What [`PROBE`] prints in the sandbox.
pub const INSIDE: &str = "envbox 2020-01-01 alone 1000";

/// The directory of an integration, or of something in it.
pub fn integration(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("integrations")
        .join(path)
}

/// A file beside the tests.
pub fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/engines")
        .join(path)
}

/// The releases of an engine and of all that it needs, for pip's `--requirement`.
pub fn pins(engine: &str) -> String {
    beside(&format!("pins/{engine}.txt")).display().to_string()
}

/// A copy of an integration's package, for pip, which writes beside what it builds.
fn package(into: &Path, name: &str) -> Option<String> {
    if !integration(name).join("pyproject.toml").is_file() {
        return None;
    }
    let copy = into.join(name);
    for file in files(&integration(name)) {
        let target = copy.join(file.strip_prefix(integration(name)).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
    Some(copy.display().to_string())
}

/// An engine, with our package for it if there is one, in a virtual environment of its own.
pub struct Engine(Venv);

impl Engine {
    /// Installs `integrations/<name>` and the releases that `pins` has for it.
    pub fn new(name: &str) -> Self {
        let copies = tempfile::tempdir().unwrap();
        let pins = pins(name);
        let mut packages = vec!["--no-deps", "--requirement", &pins];
        let ours = package(copies.path(), name);
        packages.extend(ours.as_deref());
        Self(Venv::new(&packages))
    }

    /// A shell in a world's project, with its programs and envbox on the path.
    pub fn shell(&self, world: &World, script: &str) -> Command {
        let mut shell = world.shell(script);
        let own = world.path().display();
        let programs = self.0.program("");
        let programs = programs.display();
        shell
            .env("PATH", format!("{own}:{programs}:/usr/bin:/bin"))
            // Of a user that is in no list of users it is else asked there.
            .env("LOGNAME", "engine");
        shell
    }
}

/// Puts an example into the world's project.
pub fn example(world: &World, path: &str) {
    let directory = integration(path);
    for file in files(&directory) {
        let name = file.strip_prefix(&directory).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        world.write(&name.display().to_string(), &text);
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            found.push(path);
        } else if !path.ends_with("__pycache__") {
            found.extend(files(&path));
        }
    }
    found
}

/// A port of the host's that takes connections.
pub struct Listener(TcpListener);

impl Listener {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Fails if somebody came.
    pub fn assert_alone(&self) {
        assert!(self.0.accept().is_err(), "a step reached the host");
    }
}

/// Says whether a process of this machine is `sleep` with this argument.
pub fn sleeping(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    fs::read_dir("/proc").unwrap().any(|entry| {
        let command = entry.unwrap().path().join("cmdline");
        fs::read(command).is_ok_and(|found| found == wanted.as_bytes())
    })
}

/// Looks until something is so. A test that waits in vain ends with the tier's time.
pub fn until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
