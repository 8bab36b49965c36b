//! The packages' trees.

use std::fs;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Event, FsError};
use envbox_lockfiles::lock::LockedLayer;

use crate::layers::{
    CondaPackage, ImageLayer, LayerError, Limits, unpack_conda, unpack_deb, unpack_layers,
    unpack_standalone, unpack_wheel,
};
use crate::rootfs::parallel::{Task, in_parallel};
use crate::rootfs::parts::{Contents, Part, Parts};
use crate::rootfs::{RootfsError, inside};
use crate::store::{Store, Tree, TreeKey, TreeManifest};

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
    store: &Store,
    parts: &Parts<'_>,
) -> Result<Vec<Package>, RootfsError> {
    let tasks: Vec<Task<'_>> = parts
        .parts
        .iter()
        .map(|part| Task {
            name: &part.name,
            weight: part.size(),
        })
        .collect();
    in_parallel(context, STAGE, &tasks, |part| {
        unpack(context, store, parts, &parts.parts[part])
    })
}

pub(super) fn unpack(
    context: &Context,
    store: &Store,
    parts: &Parts<'_>,
    part: &Part<'_>,
) -> Result<Package, RootfsError> {
    let (tree, manifest) = package_tree(store, part.key, |directory| {
        let unpacked = match &part.contents {
            Contents::Image(layers) => {
                let layers = image_layers(store, layers)?;
                unpack_image(context, &part.name, &layers, directory)
            }
            _ => unpack_part(store, parts, part, directory),
        };
        unpacked.map_err(|source| RootfsError::Unpack {
            artifact: part.file().to_owned(),
            source,
        })
    })?;
    Ok(Package {
        name: part.name.clone(),
        contents: part.contents.clone(),
        path: tree.path(),
        manifest,
    })
}

/// Returns the tree of `key` and its list; if the store has none, `build` makes it in an empty
/// directory.
pub(super) fn package_tree(
    store: &Store,
    key: TreeKey,
    build: impl FnOnce(&Path) -> Result<TreeManifest, RootfsError>,
) -> Result<(Tree, TreeManifest), RootfsError> {
    let mut built = None;
    let tree = store.tree(key, |directory| {
        let manifest = build(directory)?;
        write_manifest(directory, &manifest)?;
        built = Some(manifest);
        Ok::<(), RootfsError>(())
    })?;
    let manifest = match built {
        Some(manifest) => manifest,
        None => read_manifest(&tree)?,
    };
    Ok((tree, manifest))
}

/// Returns where the store has the layers of an image.
fn image_layers(store: &Store, layers: &[LockedLayer]) -> Result<Vec<ImageLayer>, RootfsError> {
    let place = |layer: &LockedLayer| {
        let digest = layer.artifact.digest;
        let path = store.blob(&digest).ok_or_else(|| RootfsError::NoLayer {
            file: layer.artifact.file.clone(),
        })?;
        Ok(ImageLayer {
            path,
            digest,
            compression: layer.compression,
            diff_id: layer.diff_id,
        })
    };
    layers.iter().map(place).collect()
}

fn unpack_image(
    context: &Context,
    name: &str,
    layers: &[ImageLayer],
    directory: &Path,
) -> Result<TreeManifest, LayerError> {
    let (manifest, notes) = unpack_layers(layers, directory, Limits::default(), context.jobs)?;
    for sentence in notes.sentences() {
        let message = format!("of the image `{name}`, {sentence}");
        context.report(Event::Warning { message });
    }
    Ok(manifest)
}

fn unpack_part(
    store: &Store,
    parts: &Parts<'_>,
    part: &Part<'_>,
    directory: &Path,
) -> Result<TreeManifest, LayerError> {
    let archive = part.artifact.map(|artifact| store.place(artifact.digest));
    let archive = archive.unwrap_or_default();
    let limits = Limits::default();
    match (&part.contents, parts.python) {
        (Contents::Inside(python, from), _) => inside::unpack(*python, *from, directory),
        (Contents::Debian(name), _) => {
            unpack_deb(&archive, name, parts.platform, directory, limits)
        }
        (Contents::Conda(package), python) => unpack_conda(
            &archive,
            &CondaPackage::of(package),
            python,
            directory,
            limits,
        ),
        (Contents::Wheel { name, .. }, Some(python)) => {
            unpack_wheel(&archive, name, python, directory, limits)
        }
        _ => unpack_standalone(&archive, part.file(), directory, limits),
    }
}

/// Writes a tree's list to where the store looks for it while the tree is built.
pub(super) fn write_manifest(directory: &Path, manifest: &TreeManifest) -> Result<(), FsError> {
    let path = directory.with_added_extension("manifest");
    fs::write(&path, manifest.to_text()).map_err(FsError::at("write", &path))
}

pub(super) fn read_manifest(tree: &Tree) -> Result<TreeManifest, RootfsError> {
    let path = tree.manifest_path();
    let text = fs::read_to_string(&path).map_err(FsError::at("read", &path))?;
    match TreeManifest::parse(&text) {
        Ok(manifest) => Ok(manifest),
        // Somebody changed it; the tree itself still says what is in it.
        Err(_) => Ok(TreeManifest::of(&tree.path())?),
    }
}
