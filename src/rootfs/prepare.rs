//! From a closure to a rootfs.

use std::fs;
use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, Event, FsError, Platform};
use envbox_lockfiles::lock::{LockedImage, Lockfile};

use crate::fetch::Closure;
use crate::layers::Limits;
use crate::layers::oci::{ImageLayer, unpack_layers};
use crate::rootfs::bytecode::{CompiledBy, add, compile_all};
use crate::rootfs::merge::Merged;
use crate::rootfs::packages::{read_manifest, unpack, unpack_all, write_manifest};
use crate::rootfs::parts::Parts;
use crate::rootfs::{Compiler, RootfsError, c_library, fixups, link_scripts, write};
use crate::store::{Store, Tree, TreeManifest};

/// A root filesystem in the store. It stays there while this value, or a clone of its store's
/// handle, lives.
#[derive(Debug, Clone)]
pub struct Rootfs {
    tree: Tree,
    interpreter: Option<String>,
}

impl Rootfs {
    /// Returns the directory that a step sees as `/`. It must be mounted read-only: its files are
    /// those of the store.
    pub fn path(&self) -> PathBuf {
        self.tree.path()
    }

    /// Returns the interpreter's path inside, when the environment has one.
    pub fn interpreter(&self) -> Option<&str> {
        self.interpreter.as_deref()
    }

    /// Returns the tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the digest of the list of everything in it. Reads that list.
    ///
    /// # Errors
    /// Returns [`RootfsError`] when the list cannot be read.
    pub fn digest(&self) -> Result<Digest, RootfsError> {
        let path = self.tree.manifest_path();
        let text = fs::read(&path).map_err(FsError::at("read", &path))?;
        Ok(Digest::of(&text))
    }

    /// Returns the list of everything in it.
    ///
    /// # Errors
    /// Returns [`RootfsError`] when the list cannot be read.
    pub fn manifest(&self) -> Result<TreeManifest, RootfsError> {
        read_manifest(&self.tree)
    }
}

/// Returns the rootfs of `lock` for `platform` if the store has it: then nothing needs to be
/// fetched.
///
/// # Errors
/// Returns [`RootfsError`] when the lock has none for the platform or the store cannot be read.
pub fn find(
    store: &Store,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Option<Rootfs>, RootfsError> {
    let parts = Parts::of(lock, platform)?;
    let tree = store.find_tree(parts.key())?;
    Ok(tree.map(|tree| rootfs(tree, &parts)))
}

/// Returns the rootfs of `closure`: unpacks the packages that the store has not unpacked yet and
/// merges all, unless another process did. Modules are compiled by `compiler` where the closure's
/// own interpreter does not run.
///
/// # Errors
/// Returns [`RootfsError`] when a package cannot be unpacked, packages disagree or the store
/// cannot be written, and [`RootfsError::NoCompiler`]. Nothing half-made is left.
pub fn prepare(
    context: &Context,
    closure: &Closure,
    compiler: Option<&Compiler>,
) -> Result<Rootfs, RootfsError> {
    let parts = Parts::of(closure.lock(), closure.platform())?;
    build(context, closure.store(), &parts, compiler)
}

/// Returns the rootfs of an image alone, whose layers the store must have: the image's tree with
/// what every sandbox needs in it. `name` is what messages call the image.
///
/// # Errors
/// As [`prepare`], and [`RootfsError::NoLayer`].
pub fn image(
    context: &Context,
    store: &Store,
    name: &str,
    image: &LockedImage,
) -> Result<Rootfs, RootfsError> {
    build(context, store, &Parts::of_image(name, image), None)
}

/// Returns the version of an image's GNU C library; `None` when it has none. Unpacks the image.
///
/// # Errors
/// As [`image`].
pub fn image_library(
    context: &Context,
    store: &Store,
    name: &str,
    image: &LockedImage,
) -> Result<Option<(u16, u16)>, RootfsError> {
    let parts = Parts::of_image(name, image);
    let package = unpack(context, store, &parts, &parts.parts[0])?;
    c_library::version(package, image.platform)
}

/// Returns the rootfs of `lock`, made of the layers of the image that is made of it.
/// The caller has compared the image's identity with the lock's.
///
/// # Errors
/// Returns [`RootfsError`] when a layer is not what the image says or the store cannot be written.
pub fn from_layers(
    context: &Context,
    store: &Store,
    lock: &Lockfile,
    platform: Platform,
    layers: &[ImageLayer],
) -> Result<Rootfs, RootfsError> {
    let parts = Parts::of(lock, platform)?;
    let limits = Limits {
        entries: usize::MAX,
        bytes: u64::MAX,
        ..Limits::default()
    };
    let tree = store.tree(parts.key(), |directory| {
        let unpacked = unpack_layers(layers, directory, limits, context.jobs);
        let (manifest, _) = unpacked.map_err(RootfsError::Merge)?;
        write_manifest(directory, &manifest)?;
        Ok::<(), RootfsError>(())
    })?;
    store.settle_in_background();
    Ok(rootfs(tree, &parts))
}

fn build(
    context: &Context,
    store: &Store,
    parts: &Parts<'_>,
    compiler: Option<&Compiler>,
) -> Result<Rootfs, RootfsError> {
    if let Some(tree) = store.find_tree(parts.key())? {
        return Ok(rootfs(tree, parts));
    }
    let platform = parts.platform;
    if parts.interpreter.is_some() && compiler.is_none() && platform != Platform::host() {
        return Err(RootfsError::NoCompiler { platform });
    }
    let packages = unpack_all(context, store, parts)?;
    let scripts = link_scripts::allowed(&packages, parts.link_scripts)?;
    let mut warnings = Vec::new();
    let tree = store.tree(parts.key(), |directory| {
        let mut merged = Merged::of(&packages)?;
        warnings = merged.warnings(&packages);
        fixups::apply(&mut merged, &packages, parts)?;
        let mut tree = write::write(&merged, &packages, directory)?;
        link_scripts::run(context, store, &scripts, directory, &mut tree, &mut merged)?;
        let own = || CompiledBy {
            root: directory,
            interpreter: parts.interpreter.map_or("", |own| &own.path),
        };
        let by = compiler.map_or_else(own, Compiler::compiled_by);
        let bytecode = compile_all(context, store, &packages, parts, by)?;
        add(&mut tree, &merged, &bytecode).map_err(RootfsError::Merge)?;
        let manifest = tree.finish().map_err(RootfsError::Merge)?;
        write_manifest(directory, &manifest)?;
        Ok::<(), RootfsError>(())
    })?;
    for message in warnings {
        context.report(Event::Warning { message });
    }
    store.settle_in_background();
    Ok(rootfs(tree, parts))
}

fn rootfs(tree: Tree, parts: &Parts<'_>) -> Rootfs {
    Rootfs {
        tree,
        interpreter: parts
            .interpreter
            .map(|interpreter| interpreter.path.clone()),
    }
}
