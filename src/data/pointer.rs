//! Pointers that stand for data under version control: those of Git LFS and of DVC.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Begins a pointer of Git LFS: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
const LFS: &str = "version https://git-lfs.github.com/spec/v1\n";

/// The size below which its specification has every pointer stay.
const LFS_SIZE: u64 = 1024;

/// Where a tool keeps what a pointer stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    /// Git LFS; with the object, if it is here.
    Lfs(Option<PathBuf>),
    /// DVC; with the object, if it is here.
    Dvc(Option<PathBuf>),
}

/// Returns the pointer that stands at `path` of the project, or, where nothing is, beside it.
pub(super) fn pointer(project: &Path, path: &Path) -> Option<Pointer> {
    let place = project.join(path);
    if let Ok(metadata) = fs::metadata(&place) {
        return match metadata.is_file() && metadata.len() < LFS_SIZE {
            true => lfs(project, &fs::read_to_string(&place).ok()?),
            false => None,
        };
    }
    let mut beside = place.into_os_string();
    beside.push(".dvc");
    let mut text = String::new();
    let read = File::open(beside)
        .ok()?
        .take(1 << 16)
        .read_to_string(&mut text);
    read.ok()?;
    Some(Pointer::Dvc(dvc(project, &text)))
}

fn lfs(project: &Path, text: &str) -> Option<Pointer> {
    let rest = text.strip_prefix(LFS)?;
    let oid = rest
        .lines()
        .find_map(|line| line.strip_prefix("oid sha256:"))?;
    let parts = (oid.get(..2)?, oid.get(2..4)?);
    let object = |top: &Path| {
        let objects = top.join(".git/lfs/objects");
        Some(objects.join(parts.0).join(parts.1).join(oid)).filter(|path| path.is_file())
    };
    Some(Pointer::Lfs(project.ancestors().find_map(object)))
}

/// The file is written by a program, one key a line. DVC 3 keeps objects in `files/md5`, and those of
/// earlier versions right in the cache.
fn dvc(project: &Path, text: &str) -> Option<PathBuf> {
    let key = |line: &str| {
        let line = line.trim_start_matches([' ', '-']);
        Some(line.strip_prefix("md5:")?.trim().to_owned())
    };
    let md5 = text.lines().find_map(key)?;
    // A directory's object is a list of files, which would have to be laid out first.
    if md5.len() != 32 || !md5.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let (head, tail) = md5.split_at(2);
    let top = project.ancestors().find(|top| top.join(".dvc").is_dir())?;
    let cache = cache(&top.join(".dvc"));
    let places = [cache.join("files/md5"), cache];
    let mut objects = places.iter().map(|place| place.join(head).join(tail));
    objects.find(|object| object.is_file())
}

/// Returns the directory of DVC's cache: `[cache] dir` of its configuration, relative to that, if
/// there is one.
fn cache(directory: &Path) -> PathBuf {
    for file in ["config.local", "config"] {
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            if let ("[cache]", Some((key, value))) = (section, line.split_once('='))
                && key.trim() == "dir"
            {
                return directory.join(value.trim());
            }
        }
    }
    directory.join("cache")
}
