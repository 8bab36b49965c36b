//! The packages' trees.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use envbox_lockfiles::base::{Context, Event, FsError};

use crate::fetch::Closure;
use crate::layers::{LayerError, Limits, unpack_deb, unpack_standalone, unpack_wheel};
use crate::rootfs::RootfsError;
use crate::rootfs::parts::{Contents, Part, Parts};
use crate::store::{Tree, TreeManifest};

/// The name of the stage in events.
const STAGE: &str = "unpack";

/// A package's tree in the store, and what is in it.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) contents: Contents,
    pub(super) path: PathBuf,
    pub(super) manifest: TreeManifest,
}

/// Returns the tree of every part, in order; those that the store lacks are unpacked, several side
/// by side.
pub(super) fn unpack_all(
    context: &Context,
    closure: &Closure,
    parts: &Parts<'_>,
) -> Result<Vec<Package>, RootfsError> {
    context.report(Event::StageStarted {
        stage: STAGE.to_owned(),
        total: Some(parts.parts.len() as u64),
    });
    // Greatest first: one that takes long and begins last would leave the others idle.
    let mut order: Vec<usize> = (0..parts.parts.len()).collect();
    order.sort_by_key(|&part| std::cmp::Reverse(parts.parts[part].artifact.size));
    let next = AtomicUsize::new(0);
    let unpacked: Vec<_> = order.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..context.jobs.clamp(1, order.len().max(1)) {
            scope.spawn(|| {
                while let Some(&part) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let package = unpack(closure, parts, &parts.parts[part]);
                    if package.is_err() {
                        // The others would be thrown away.
                        next.store(order.len(), Ordering::Relaxed);
                    }
                    context.report(Event::ItemFinished {
                        stage: STAGE.to_owned(),
                        item: parts.parts[part].name.clone(),
                    });
                    *unpacked[part].lock().expect("no holder panics") = Some(package);
                }
            });
        }
    });
    let unpacked = unpacked
        .into_iter()
        .filter_map(|package| package.into_inner().expect("no holder panicked"));
    let packages = unpacked.collect::<Result<Vec<_>, _>>()?;
    context.report(Event::StageFinished {
        stage: STAGE.to_owned(),
    });
    Ok(packages)
}

fn unpack(closure: &Closure, parts: &Parts<'_>, part: &Part<'_>) -> Result<Package, RootfsError> {
    let mut built = None;
    let tree = closure.store().tree(part.key, |directory| {
        let unpacked = unpack_part(closure, parts, part, directory);
        let manifest = unpacked.map_err(|source| RootfsError::Unpack {
            artifact: part.artifact.file.clone(),
            source,
        })?;
        write_manifest(directory, &manifest)?;
        built = Some(manifest);
        Ok::<(), RootfsError>(())
    })?;
    Ok(Package {
        name: part.name.clone(),
        contents: part.contents.clone(),
        manifest: match built {
            Some(manifest) => manifest,
            None => read_manifest(&tree)?,
        },
        path: tree.path(),
    })
}

fn unpack_part(
    closure: &Closure,
    parts: &Parts<'_>,
    part: &Part<'_>,
    directory: &Path,
) -> Result<TreeManifest, LayerError> {
    let archive = closure.path(part.artifact);
    let limits = Limits::default();
    match (&part.contents, parts.python) {
        (Contents::Debian(name), _) => {
            unpack_deb(&archive, name, parts.platform, directory, limits)
        }
        (Contents::Wheel { name, .. }, Some(python)) => {
            unpack_wheel(&archive, name, python, directory, limits)
        }
        _ => unpack_standalone(&archive, &part.artifact.file, directory, limits),
    }
}

/// Writes a tree's list to where the store looks for it while the tree is built.
pub(super) fn write_manifest(directory: &Path, manifest: &TreeManifest) -> Result<(), FsError> {
    let path = directory.with_added_extension("manifest");
    fs::write(&path, manifest.to_text()).map_err(FsError::at("write", &path))
}

fn read_manifest(tree: &Tree) -> Result<TreeManifest, RootfsError> {
    let path = tree.manifest_path();
    let text = fs::read_to_string(&path).map_err(FsError::at("read", &path))?;
    match TreeManifest::parse(&text) {
        Ok(manifest) => Ok(manifest),
        // Somebody changed it; the tree itself still says what is in it.
        Err(_) => Ok(TreeManifest::of(&tree.path())?),
    }
}
