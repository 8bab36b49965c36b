//! Drivers of NVIDIA's as Debian packages them in `non-free`: their user libraries are the real
//! ones, and need no GPU to be looked at. Their licence lets nobody keep them in a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A driver of a suite.
#[derive(Debug, Clone, Copy)]
pub struct Packaged {
    /// The first number of its version.
    pub branch: u32,
    suite: &'static str,
    packages: &'static [&'static str],
}

/// With the compiler and `nvidia-smi`, as machines have them.
const WHOLE: &[&str] = &[
    "libcuda1",
    "libnvidia-ml1",
    "libnvidia-ptxjitcompiler1",
    "nvidia-smi",
];

/// Drivers from CUDA 10.1 to 12.4, the oldest first. All of them have the libraries that decide.
pub const DRIVERS: [Packaged; 6] = [
    packaged(
        418,
        "bullseye",
        &["libnvidia-tesla-418-cuda1", "libnvidia-tesla-418-ml1"],
    ),
    packaged(
        450,
        "bullseye",
        &["libnvidia-tesla-450-cuda1", "libnvidia-tesla-450-ml1"],
    ),
    packaged(
        470,
        "bookworm",
        &["libnvidia-tesla-470-cuda1", "libnvidia-tesla-470-ml1"],
    ),
    packaged(
        525,
        "bookworm",
        &["libnvidia-tesla-cuda1", "libnvidia-tesla-ml1"],
    ),
    packaged(535, "bookworm", WHOLE),
    packaged(550, "trixie", WHOLE),
];

/// Those that are whole.
pub const WHOLE_DRIVERS: [Packaged; 2] = [DRIVERS[4], DRIVERS[5]];

const fn packaged(branch: u32, suite: &'static str, packages: &'static [&'static str]) -> Packaged {
    Packaged {
        branch,
        suite,
        packages,
    }
}

impl Packaged {
    /// Downloads it and unpacks it below `root`; returns its version.
    pub fn unpack(&self, root: &Path) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let apt = Apt::new(scratch.path(), self.suite);
        apt.run(&["update"]);
        apt.run(&[&["download"], self.packages].concat());
        let mut files: Vec<PathBuf> = fs::read_dir(scratch.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "deb"))
            .collect();
        files.sort();
        assert_eq!(files.len(), self.packages.len());
        fs::create_dir_all(root).unwrap();
        for file in &files {
            let mut unpack = Command::new("dpkg-deb");
            unpack.arg("--extract").arg(file).arg(root);
            assert!(unpack.status().unwrap().success());
        }
        // `libcuda1_535.261.03-1_amd64.deb`
        let name = files[0].file_name().unwrap().to_str().unwrap();
        let version = name.split('_').nth(1).unwrap().split('-').next().unwrap();
        assert_eq!(version.split('.').next(), Some(&*self.branch.to_string()));
        version.to_owned()
    }
}

/// apt with places of its own: what the machine has installed is not its concern.
struct Apt {
    directory: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(directory: &Path, suite: &str) -> Apt {
        let sources = directory.join("sources.list");
        let signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
        let line = format!("deb {signed} {} {suite} non-free\n", mirror());
        fs::write(&sources, line).unwrap();
        for name in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        let here = directory.display();
        let options = [
            format!("Dir::State={here}"),
            "Dir::State::status=/dev/null".to_owned(),
            format!("Dir::Cache={here}"),
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            // As another user it could not write here.
            "APT::Sandbox::User=root".to_owned(),
            // A list that cannot be had is an error.
            "APT::Update::Error-Mode=any".to_owned(),
        ];
        Apt {
            directory: directory.to_owned(),
            options: options
                .into_iter()
                .flat_map(|it| ["-o".to_owned(), it])
                .collect(),
        }
    }

    fn run(&self, words: &[&str]) {
        let mut command = Command::new("apt-get");
        command.args(&self.options).arg("--quiet=2").args(words);
        let output = command.current_dir(&self.directory).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
    }
}

/// The archive of Debian's that this machine's own apt asks.
fn mirror() -> String {
    let mut command = Command::new("apt-get");
    let output = command
        .args(["indextargets", "--format", "$(SITE)"])
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let is_debian = |line: &&str| line.trim_end_matches('/').ends_with("/debian");
    let found = text.lines().find(is_debian);
    let found = found.expect("apt is set up for an archive whose address ends with `/debian`");
    found.to_owned()
}
