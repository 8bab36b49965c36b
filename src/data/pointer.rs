//! Pointers that stand for data under version control: those of Git LFS and of DVC.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::dvc::{Dvc, dvc};

/// Begins a pointer of Git LFS: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
const LFS: &str = "version https://git-lfs.github.com/spec/v1\n";

/// The size below which its specification has every pointer stay.
const LFS_SIZE: u64 = 1024;

/// Where a tool keeps what a pointer stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    /// Git LFS; with the object, if it is here.
    Lfs(Option<PathBuf>),
    /// DVC.
    Dvc(Dvc),
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
    dvc(project, path).map(Pointer::Dvc)
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
