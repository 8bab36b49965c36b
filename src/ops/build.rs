//! `envbox build`: the environment as an OCI image.
//!
//! Comes in: a project and [`BuildOptions`]. Goes out: an image in the store, and where the caller
//! wants it; a [`BuildReport`] names it.

mod check;
mod gpu;
mod supervised;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, FsError, Platform};
use envbox_lockfiles::lock::{BuiltImage, Lockfile};
use serde::Serialize;

use crate::attest::Licences;
use crate::image::{
    ArchiveKind, Codec, DEFAULT_LAYERS, ENTRYPOINT, Image, ImageError, ImageSet, ImageSettings,
    LOCK_LABEL, LayerOptions, POLICY_LABEL, build as build_image, image_id,
};
use crate::ops::build::check::check;
use crate::ops::build::gpu::GpuMarks;
use crate::ops::build::supervised::runs_inside;
use crate::ops::closure::closure;
use crate::ops::compiler::compiler;
use crate::ops::inside::InsidePolicy;
use crate::ops::publish::{Publication, PublishReport, Published, publish};
use crate::ops::run::{Locking, image_environment, up_to_date};
use crate::ops::sbom::licences;
use crate::ops::{Error, Project};
use crate::rootfs::{Rootfs, activation, prepare};
use crate::store::Store;

/// How an image is built, and where to.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// For which platforms; none means all of the lock's.
    pub platforms: Vec<Platform>,
    /// How layers are compressed.
    pub codec: Codec,
    /// How many layers there may be.
    pub layers: usize,
    /// Whether the lockfile may be written.
    pub locking: Locking,
    /// Whether to build a second time, from the downloads on, and compare.
    pub check: bool,
    /// Whether the image's identity is written to the lockfile.
    pub record: bool,
    /// envbox's own program, if it is to be in the image and to hold there what needs no
    /// namespaces.
    pub supervisor: Option<PathBuf>,
    /// Whether the supervisor is in the image without being its entrypoint.
    pub no_entrypoint: bool,
    /// Where the image is written.
    pub destination: Option<Destination>,
    /// Which registry it is pushed to.
    pub publication: Option<Publication>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            platforms: Vec::new(),
            codec: Codec::default(),
            layers: DEFAULT_LAYERS,
            locking: Locking::default(),
            check: false,
            record: false,
            supervisor: None,
            no_entrypoint: false,
            destination: None,
            publication: None,
        }
    }
}

/// Where an image is written: a file or directory, and the name that it gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI layout.
    Layout {
        /// Its directory.
        directory: PathBuf,
        /// The tag; that of the environment without one.
        tag: Option<String>,
    },
    /// A tar archive.
    Archive {
        /// Its file.
        file: PathBuf,
        /// Who is to read it.
        kind: ArchiveKind,
        /// The reference; the environment's name without one.
        reference: Option<String>,
    },
}

/// What was built.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BuildReport {
    /// The lockfile's digest.
    pub lock: Digest,
    /// The digest of the image manifest, or of the index of several.
    pub digest: Digest,
    /// The images.
    pub images: Vec<ImageReport>,
    /// Where they were written.
    pub written: Option<PathBuf>,
    /// Where it was pushed.
    pub pushed: Option<PublishReport>,
    /// Whether a second build gave the same.
    pub checked: bool,
}

/// One image.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ImageReport {
    /// What it runs on.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest of its config: its identity, however layers are compressed.
    pub image_id: Digest,
    /// Its layers, lowest first.
    pub layers: Vec<LayerReport>,
    /// The size of all layers as they are moved.
    pub bytes: u64,
}

/// One layer.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// The digest of the blob.
    pub digest: Digest,
    /// The digest of the tar stream.
    pub diff_id: Digest,
    /// The size of the blob.
    pub size: u64,
    /// The size of the tar stream.
    pub unpacked: u64,
    /// The packages in it, `name=version`.
    pub packages: Vec<String>,
}

/// Builds the image of the project's environment and writes it where the options say.
///
/// # Errors
/// Returns [`Error`]; layers that were finished stay in the store.
pub fn build(
    context: &Context,
    project: &Project,
    options: &BuildOptions,
) -> Result<BuildReport, Error> {
    let context = &project.context(context);
    let lock = up_to_date(context, project, options.locking)?;
    let store = Store::open(&context.store)?;
    let images = build_all(context, project, &lock, &store, options)?;
    if options.record {
        record(project, &images)?;
    } else if options.locking == Locking::Frozen && options.supervisor.is_none() {
        as_recorded(&lock, &images)?;
    }
    store.pin(&project.lockfile())?;
    if options.check {
        check(context, project, &lock, &store, options, &images)?;
    }
    let set = ImageSet::new(images);
    let written = match &options.destination {
        Some(destination) => Some(write(&set, destination, lock.request.name.as_str())?),
        None => None,
    };
    let pushed = match &options.publication {
        Some(publication) => Some(push(context, project, &lock, &store, &set, publication)?),
        None => None,
    };
    store.settle_in_background();
    Ok(BuildReport {
        lock: lock.digest(),
        digest: set.descriptor().digest,
        images: set.images().iter().map(described).collect(),
        written,
        pushed,
        checked: options.check,
    })
}

fn build_all(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
    store: &Store,
    options: &BuildOptions,
) -> Result<Vec<Image>, Error> {
    let platforms: BTreeSet<Platform> = match options.platforms.as_slice() {
        [] => lock.request.platforms.iter().copied().collect(),
        asked => asked.iter().copied().collect(),
    };
    platforms
        .into_iter()
        .map(|platform| {
            let closure = closure(context, lock, platform, store)?;
            let compiler = compiler(context, project, lock, platform, store)?;
            let rootfs = prepare(context, &closure, compiler.as_ref())?;
            let mut settings = settings(project, lock, &rootfs)?;
            if let Some(program) = &options.supervisor {
                runs_inside(program, &rootfs, platform)?;
                let policy = policy_of(project, lock).to_bytes();
                settings.supervisor = Some((program.clone(), policy));
                if !options.no_entrypoint {
                    settings.entrypoint = ENTRYPOINT.map(str::to_owned).to_vec();
                }
            }
            let layers = LayerOptions {
                codec: options.codec,
                budget: options.layers,
            };
            Ok(build_image(context, &closure, &rootfs, layers, &settings)?)
        })
        .collect()
}

/// Writes the identities of the images to the lockfile, beside those of other platforms.
fn record(project: &Project, images: &[Image]) -> Result<(), Error> {
    let mut lock = project.whole_lock()?;
    for image in images {
        lock.built
            .retain(|built| built.platform != image.platform());
        lock.built.push(BuiltImage {
            platform: image.platform(),
            image_id: image_id(image.config()),
        });
    }
    lock.sort();
    Ok(lock.write(&project.lockfile())?)
}

/// Compares the images with those that the lockfile says must be.
fn as_recorded(lock: &Lockfile, images: &[Image]) -> Result<(), ImageError> {
    for image in images {
        let recorded = lock.built.iter();
        let recorded = recorded.filter(|built| built.platform == image.platform());
        for BuiltImage {
            image_id: recorded, ..
        } in recorded
        {
            let found = image_id(image.config());
            if *recorded != found {
                return Err(ImageError::NotRecorded {
                    recorded: *recorded,
                    found,
                });
            }
        }
    }
    Ok(())
}

/// What the image of `rootfs`, which is made of `lock`, says of itself: nothing that does not follow
/// from the manifest and the lock.
pub(in crate::ops) fn settings(
    project: &Project,
    lock: &Lockfile,
    rootfs: &Rootfs,
) -> Result<ImageSettings, Error> {
    let policy = &project.manifest().sandbox;
    let created = policy.epoch.to_string();
    let command = rootfs.interpreter().unwrap_or("/bin/sh").to_owned();
    let activation = activation(&rootfs.path())?;
    let text = String::from_utf8(policy_of(project, lock).to_bytes()).expect("JSON is UTF-8");
    let marks = GpuMarks::of(lock);
    let mut labels = BTreeMap::from([
        (LOCK_LABEL, lock.digest().to_string()),
        (POLICY_LABEL, text),
        ("org.opencontainers.image.created", created.clone()),
        (
            "org.opencontainers.image.title",
            lock.request.name.to_string(),
        ),
    ]);
    labels.extend(marks.labels);
    let mut environment = image_environment(policy, &activation, &lock.digest())?;
    environment.extend(marks.environment);
    environment.sort();
    Ok(ImageSettings {
        entrypoint: Vec::new(),
        command: vec![command],
        environment,
        working_directory: "/project".to_owned(),
        labels: labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        supervisor: None,
        created,
    })
}

fn policy_of(project: &Project, lock: &Lockfile) -> InsidePolicy {
    InsidePolicy {
        sandbox: project.manifest().sandbox.clone(),
        lock: Some(lock.digest()),
    }
}

fn push(
    context: &Context,
    project: &Project,
    lock: &Lockfile,
    store: &Store,
    set: &ImageSet,
    publication: &Publication,
) -> Result<PublishReport, Error> {
    let platforms = set.images().iter().map(Image::platform);
    let licences: Vec<(Platform, Licences)> = platforms
        .filter(|_| publication.attest)
        .map(|platform| Ok((platform, licences(context, project, lock, platform)?)))
        .collect::<Result<_, Error>>()?;
    let published = Published {
        set,
        lock,
        licences: &licences,
        created: project.manifest().sandbox.epoch,
        store,
    };
    publish(context, &published, publication)
}

fn write(set: &ImageSet, destination: &Destination, name: &str) -> Result<PathBuf, Error> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|error| FsError::at("open", path)(error))
    };
    match destination {
        Destination::Layout { directory, tag } => {
            set.write_directory(directory, tag.as_deref().unwrap_or(name))?;
            Ok(absolute(directory)?)
        }
        Destination::Archive {
            file,
            kind,
            reference,
        } => {
            let default = format!("{name}:latest");
            set.write_archive(file, *kind, reference.as_deref().unwrap_or(&default))?;
            Ok(absolute(file)?)
        }
    }
}

fn described(image: &Image) -> ImageReport {
    let layers: Vec<LayerReport> = image
        .layers()
        .iter()
        .map(|layer| LayerReport {
            digest: layer.stored.digest,
            diff_id: layer.stored.diff_id,
            size: layer.stored.size,
            unpacked: layer.stored.unpacked,
            packages: layer.packages.clone(),
        })
        .collect();
    ImageReport {
        platform: image.platform(),
        digest: image.descriptor().digest,
        image_id: image_id(image.config()),
        bytes: layers.iter().map(|layer| layer.size).sum(),
        layers,
    }
}
