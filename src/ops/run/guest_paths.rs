//! Paths of the host in a command, which would silently mean something else inside.
//!
//! Programs hand each other paths by argument: a temporary file, a data set. Inside, such a path is
//! missing, and what follows (an empty result, a wait without end) does not say why.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::ops::run::RunError;
use crate::ops::run::binds::Bound;
use crate::ops::run::environment::HOME;

/// Where the project is inside.
pub(super) const PROJECT: &str = "/project";

/// Directories that are there inside, and empty when a step starts.
const EMPTY: [&str; 4] = ["/dev/shm", "/run", "/tmp", HOME];

/// What is in `/dev` inside.
const DEVICES: [&str; 12] = [
    "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
    "urandom",
];

/// The host's side of what a step sees.
pub(super) struct Guest<'a> {
    /// The root file system.
    pub(super) rootfs: &'a Path,
    /// The project, without links in its path.
    pub(super) project: &'a Path,
    /// What the caller lets it see besides.
    pub(super) binds: &'a [Bound],
}

impl Guest<'_> {
    /// Checks the arguments of a command. Looked at is what is an absolute path as a whole, or
    /// from the first `=` on.
    ///
    /// # Errors
    /// Returns [`RunError::OutsidePath`] for the first that is on this host and not inside.
    pub(super) fn check_arguments<'a>(
        &self,
        argv: impl IntoIterator<Item = &'a OsStr>,
    ) -> Result<(), RunError> {
        for argument in argv {
            let bytes = argument.as_bytes();
            let path = match bytes.iter().position(|byte| *byte == b'=') {
                Some(equals) if bytes[0] != b'/' => &bytes[equals + 1..],
                _ => bytes,
            };
            let path = Path::new(OsStr::from_bytes(path));
            if path.is_absolute() && fs::symlink_metadata(path).is_ok() && !self.has(path) {
                return Err(self.outside(path, |path, guest| RunError::OutsidePath { path, guest }));
            }
        }
        Ok(())
    }

    /// Returns the guest path of the working directory.
    ///
    /// # Errors
    /// Returns [`RunError::OutsideDirectory`] when it is not inside.
    pub(super) fn working_directory(
        &self,
        current: &Path,
        asked: Option<&Path>,
    ) -> Result<PathBuf, RunError> {
        let error = |path, guest| RunError::OutsideDirectory { path, guest };
        if let Some(asked) = asked {
            let path = normal(&Path::new(PROJECT).join(asked));
            return match self.has(&path) {
                true => Ok(path),
                false => Err(self.outside(&path, error)),
            };
        }
        // A current directory that was removed has no path; the error names the one it had.
        let real = fs::canonicalize(current).unwrap_or_else(|_| current.to_path_buf());
        match real.strip_prefix(self.project) {
            Ok(below) if below == Path::new("") => Ok(PathBuf::from(PROJECT)),
            Ok(below) => Ok(Path::new(PROJECT).join(below)),
            Err(_) => match self.in_bind(&real) {
                Some(path) => Ok(path),
                None => Err(self.outside(current, error)),
            },
        }
    }

    /// Returns where a step finds a host path without links, if that is in a bind.
    fn in_bind(&self, real: &Path) -> Option<PathBuf> {
        let binds = self.binds.iter();
        let mut inside: Vec<PathBuf> = binds
            .filter_map(|bind| Some(bind.target.join(real.strip_prefix(&bind.real).ok()?)))
            .map(|path| normal(&path))
            .collect();
        // What the step finds under the same name is meant before what it finds elsewhere too.
        inside.sort_by_key(|path| path != real);
        inside.into_iter().find(|path| self.has(path))
    }

    /// Says whether a step finds something at an absolute path when it starts.
    fn has(&self, path: &Path) -> bool {
        let path = normal(path);
        let around = self
            .binds
            .iter()
            .filter(|bind| path.starts_with(&bind.target));
        // The one in which the others are.
        if let Some(bind) = around.max_by_key(|bind| bind.target.components().count()) {
            let below = path.strip_prefix(&bind.target).unwrap_or(&path);
            return below == Path::new("") || fs::symlink_metadata(bind.real.join(below)).is_ok();
        }
        // What binds are mounted on, and in.
        if self.binds.iter().any(|bind| bind.target.starts_with(&path)) {
            return true;
        }
        if let Ok(below) = path.strip_prefix(PROJECT) {
            return fs::symlink_metadata(self.project.join(below)).is_ok();
        }
        if let Some(below) = EMPTY.iter().find_map(|empty| path.strip_prefix(empty).ok()) {
            return below == Path::new("");
        }
        if let Ok(below) = path.strip_prefix("/dev") {
            return has_device(below);
        }
        // What is in it differs from process to process anyway.
        path.starts_with("/proc") || has(self.rootfs, &path)
    }

    fn outside(
        &self,
        path: &Path,
        error: impl FnOnce(PathBuf, Option<PathBuf>) -> RunError,
    ) -> RunError {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let below = real.strip_prefix(self.project).ok();
        let guest = below.map(|below| Path::new(PROJECT).join(below));
        let guest = guest.or_else(|| self.in_bind(&real));
        error(path.to_path_buf(), guest)
    }
}

fn has_device(below: &Path) -> bool {
    let mut components = below.components();
    let Some(first) = components.next() else {
        return true;
    };
    match (first.as_os_str().to_str(), components.as_path().to_str()) {
        // Only the first three descriptors of the caller are the step's.
        (Some("fd"), Some(number)) => ["", "0", "1", "2"].contains(&number),
        (Some("zero"), Some("")) => true,
        (Some(name), Some("")) => DEVICES.contains(&name),
        _ => false,
    }
}

/// Says whether `path` is in the tree at `root`, with links as a step there would follow them.
fn has(root: &Path, path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let look = || {
        let root = openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty())?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(root, path, flags | OFlags::NOFOLLOW, Mode::empty(), resolve)
    };
    look().is_ok()
}

/// Resolves `.` and `..` by the text alone.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::Normal(name) => normal.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::record::EntryType;

    #[test]
    fn a_path_of_the_host_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let (rootfs, project) = (root.join("rootfs"), root.join("project"));
        fs::create_dir_all(rootfs.join("usr/bin")).unwrap();
        symlink("usr/bin", rootfs.join("bin")).unwrap();
        // Leads to the host's `/` unless it is followed as inside.
        symlink("/usr", rootfs.join("absolute")).unwrap();
        fs::create_dir(&project).unwrap();
        fs::write(project.join("data.csv"), "").unwrap();
        let bound = root.join("bound");
        fs::create_dir(&bound).unwrap();
        fs::write(bound.join("file"), "").unwrap();
        let bind = |target: &str| Bound {
            source: bound.clone(),
            real: bound.clone(),
            target: PathBuf::from(target),
            kind: EntryType::Directory,
            directory: true,
            writable: false,
            covers: false,
        };
        let binds = [bind("/etc/ssl"), bind("/no/such")];
        let guest = Guest {
            rootfs: &rootfs,
            project: &project,
            binds: &binds,
        };
        let check = |argument: &str| match guest.check_arguments([OsStr::new(argument)]) {
            Ok(()) => "fine".to_owned(),
            Err(RunError::OutsidePath { path, guest }) => {
                assert!(argument.ends_with(path.to_str().unwrap()));
                guest.map_or("refused".to_owned(), |guest| guest.display().to_string())
            }
            Err(error) => panic!("{error}"),
        };
        let data = project.join("data.csv");
        let data = data.to_str().unwrap();
        let there = rootfs.to_str().unwrap();
        let file = bound.join("file");
        let file = file.to_str().unwrap();
        let cases = [
            ("relative", "fine"),
            ("/", "fine"),
            ("/bin", "fine"),
            ("/usr/bin/../bin", "fine"),
            ("/absolute/bin", "fine"),
            ("/no/such/path", "fine"),
            ("--out=/no/such/path", "fine"),
            ("/proc/self/status", "fine"),
            ("/dev/null", "fine"),
            ("/dev/fd/1", "fine"),
            ("/tmp", "fine"),
            ("/tmp/", "fine"),
            ("/project/data.csv", "fine"),
            ("/etc", "fine"),
            ("/etc/ssl/certs", "refused"),
            ("/etc/passwd", "refused"),
            ("--config=/etc/passwd", "refused"),
            ("CONFIG=/etc/passwd", "refused"),
            (file, "/etc/ssl/file"),
            (there, "refused"),
            (data, "/project/data.csv"),
        ];
        for (argument, expected) in cases {
            assert_eq!(check(argument), expected, "{argument}");
        }
        assert_eq!(check(&format!("--data={data}")), "/project/data.csv");
    }

    #[test]
    fn the_working_directory_is_the_callers_inside_the_project() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let project = root.join("project");
        fs::create_dir_all(project.join("sub")).unwrap();
        fs::create_dir_all(root.join("work/sub")).unwrap();
        symlink(project.join("sub"), root.join("link")).unwrap();
        let guest = Guest {
            rootfs: &root,
            project: &project,
            binds: &[Bound {
                source: root.join("work"),
                real: root.join("work"),
                target: PathBuf::from("/mnt/work"),
                kind: EntryType::Directory,
                directory: true,
                writable: true,
                covers: false,
            }],
        };
        let choose = |current: &Path, asked: Option<&str>| {
            let chosen = guest.working_directory(current, asked.map(Path::new));
            chosen.map(|path| path.display().to_string()).ok()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(choose(&project, None), some("/project"));
        assert_eq!(choose(&project.join("sub"), None), some("/project/sub"));
        assert_eq!(choose(&root.join("link"), None), some("/project/sub"));
        assert_eq!(choose(&root.join("work/sub"), None), some("/mnt/work/sub"));
        assert_eq!(choose(&root, Some("/mnt/work/sub")), some("/mnt/work/sub"));
        assert_eq!(choose(&root, Some("/mnt/work/none")), None);
        assert_eq!(choose(&root, None), None);
        assert_eq!(choose(&root, Some("sub")), some("/project/sub"));
        assert_eq!(choose(&root, Some("/project/sub/..")), some("/project"));
        assert_eq!(choose(&root, Some("/tmp")), some("/tmp"));
        assert_eq!(choose(&project, Some("/etc")), None);
        assert_eq!(choose(&project, Some("missing")), None);
    }
}
