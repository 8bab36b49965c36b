//! What the paths mean that a step looks at.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Places;
use crate::sys::memory;
use crate::sys::notify::Notification;

/// What a file is to the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The project's.
    Project,
    /// The environment's: pinned, whether it is there or not.
    Environment,
    /// In a directory that was empty at the start.
    Private,
    /// What `/proc` has of the step's own processes.
    Process,
    /// What `/proc` and `/sys` have of the machine.
    Machine,
    /// Random bytes.
    Random,
    /// A device.
    Device,
    /// Anything else.
    Outside,
}

/// Directories that are the environment's alone.
const ENVIRONMENT: [&str; 10] = [
    "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/sbin", "/usr", "/var",
];
/// Directories that are empty at the start.
const PRIVATE: [&str; 3] = ["/tmp", "/run", "/dev/shm"];
/// Devices that say nothing, and the terminal.
const QUIET: [&str; 9] = [
    "/dev/full",
    "/dev/null",
    "/dev/zero",
    "/dev/tty",
    "/dev/pts",
    "/dev/ptmx",
    "/dev/fd",
    "/dev/stdout",
    "/dev/stderr",
];
/// Where the project is.
const PROJECT: &str = "/project";
/// Where envbox talks to code of its own.
const OURS: &str = "/run/envbox";
const RANDOM: [&str; 3] = ["/dev/random", "/dev/urandom", "/proc/sys/kernel/random"];
/// What of `/proc` is not a process and not the machine.
const SETTINGS: [&str; 3] = ["/proc/sys", "/proc/filesystems", "/proc/mounts"];

/// Says what a path means.
pub fn kind(path: &str, places: &Places) -> Kind {
    let path = Path::new(path);
    let below = |roots: &[&str]| roots.iter().any(|root| path.starts_with(root));
    if below(&[OURS]) {
        return Kind::Environment;
    }
    if bind_of(path, places).is_some() {
        return Kind::Outside;
    }
    if below(&[PROJECT]) {
        return Kind::Project;
    }
    if below(&PRIVATE) || path.starts_with(&places.home) || path == Path::new("/") {
        return Kind::Private;
    }
    if below(&RANDOM) {
        return Kind::Random;
    }
    if below(&ENVIRONMENT) || below(&QUIET) {
        return Kind::Environment;
    }
    let of_process = |path: &Path| {
        let first = path.components().next().map(Component::as_os_str);
        let first = first.and_then(|name| name.to_str()).unwrap_or_default();
        let number = first.bytes().all(|byte| byte.is_ascii_digit());
        number || ["self", "thread-self"].contains(&first)
    };
    match (path.strip_prefix("/proc"), below(&["/sys"])) {
        (Ok(rest), _) if of_process(rest) || below(&SETTINGS[1..]) => Kind::Process,
        (Ok(_), _) | (_, true) => Kind::Machine,
        _ if below(&["/dev"]) => Kind::Device,
        _ => Kind::Outside,
    }
}

/// The name under which a path is counted: for one of the host's, what of the host is mounted.
pub fn what(path: String, places: &Places) -> String {
    let bind = bind_of(Path::new(&path), places);
    let bind = bind.map(|bind| bind.to_string_lossy().into_owned());
    bind.unwrap_or(path)
}

/// Returns the part of the host that is mounted there. What is mounted in the project belongs to it.
fn bind_of<'a>(path: &Path, places: &'a Places) -> Option<&'a PathBuf> {
    let mut binds = places.binds.iter();
    binds.find(|bind| path.starts_with(bind) && !bind.starts_with(PROJECT))
}

/// Reads a path that a call names, relative to a directory; absolute, without dots.
pub fn read(call: &Notification, directory: u64, address: u64) -> Option<String> {
    let text = text(call.thread, address)?;
    let path = match text.as_slice() {
        [b'/', ..] => PathBuf::from(std::ffi::OsStr::from_bytes(&text)),
        // The directory itself.
        [] => return of_descriptor(call, directory),
        _ => base(call, directory)?.join(std::ffi::OsStr::from_bytes(&text)),
    };
    Some(normal(&path))
}

/// The path of an open file; nothing for one that has none, and for standard input, output and
/// error, which are the caller's and may have a path of the host.
pub fn of_descriptor(call: &Notification, descriptor: u64) -> Option<String> {
    if descriptor <= libc::STDERR_FILENO as u64 {
        return None;
    }
    let link = format!("/proc/{}/fd/{}", call.thread, descriptor as i32);
    let path = fs::read_link(link).ok()?;
    path.is_absolute().then(|| normal(&path))
}

fn base(call: &Notification, directory: u64) -> Option<PathBuf> {
    let thread = call.thread;
    let link = match directory as i32 {
        libc::AT_FDCWD => format!("/proc/{thread}/cwd"),
        descriptor => format!("/proc/{thread}/fd/{descriptor}"),
    };
    fs::read_link(link).ok()
}

fn normal(path: &Path) -> String {
    let mut whole = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => drop(whole.pop()),
            _ => {}
        }
    }
    whole.to_string_lossy().into_owned()
}

/// Reads a text of a process that ends with a zero byte.
fn text(thread: u32, address: u64) -> Option<Vec<u8>> {
    /// A read must not cross into a page that is not there.
    const PAGE: u64 = 4096;
    const MOST: usize = 4096;
    let (mut text, mut at) = (Vec::new(), address);
    while text.len() < MOST {
        // Most paths are short, and most reads then one.
        let size = (PAGE - at % PAGE).min(256);
        let mut part = vec![0; size as usize];
        memory::read(thread, at, &mut part).ok()?;
        match part.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend(&part[..end]);
                return Some(text);
            }
            None => text.extend(part),
        }
        at += size;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Kind, kind, normal};
    use crate::answer::audit::Places;

    #[test]
    fn every_path_is_something_to_the_step() {
        let places = Places {
            home: PathBuf::from("/home/envbox"),
            binds: vec![PathBuf::from("/etc/resolv.conf")],
        };
        for (path, expected) in [
            ("/project/train.py", Kind::Project),
            ("/projects/train.py", Kind::Outside),
            ("/usr/lib/python3/x.py", Kind::Environment),
            ("/etc/hosts", Kind::Environment),
            ("/etc/resolv.conf", Kind::Outside),
            ("/tmp/x", Kind::Private),
            ("/run/envbox/held", Kind::Environment),
            ("/home/envbox/.cache", Kind::Private),
            ("/home/alice/data.csv", Kind::Outside),
            ("/data/train.csv", Kind::Outside),
            ("/dev/urandom", Kind::Random),
            ("/proc/sys/kernel/random/uuid", Kind::Random),
            ("/dev/null", Kind::Environment),
            ("/dev/nvidia0", Kind::Device),
            ("/proc/self/stat", Kind::Process),
            ("/proc/17/maps", Kind::Process),
            ("/proc/cpuinfo", Kind::Machine),
            ("/sys/devices/system/cpu/online", Kind::Machine),
        ] {
            assert_eq!(kind(path, &places), expected, "{path}");
        }
    }

    #[test]
    fn dots_are_resolved() {
        assert_eq!(normal(Path::new("/project/./a/../../data")), "/data");
        assert_eq!(normal(Path::new("/..")), "/");
    }
}
