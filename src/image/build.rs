//! From a rootfs to an image in the store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, Platform};
use serde_json::json;

use crate::fetch::Closure;
use crate::image::layer::layer;
use crate::image::plan::{LayerPlan, STEP, plan};
use crate::image::pool::{Pool, with_pool};
use crate::image::supervisor::{self, Supervisor};
use crate::image::{
    Codec, Descriptor, ImageConfig, ImageError, ImageManifest, MediaType, RootFs, RuntimeConfig,
};
use crate::rootfs::{Rootfs, Task, in_parallel, package_trees};
use crate::store::{Store, StoredLayer};

/// The name of the stage in events.
const STAGE: &str = "layers";

/// The label that names the lock.
pub const LOCK_LABEL: &str = "dev.envbox.lock";

/// The label that holds the policy.
pub const POLICY_LABEL: &str = "dev.envbox.policy";

/// The annotation of a layer: what is in it.
const PACKAGES: &str = "dev.envbox.packages";

/// What an image says about itself and how its containers start.
#[derive(Debug, Clone, Default)]
pub struct ImageSettings {
    /// What is called with [`ImageSettings::command`].
    pub entrypoint: Vec<String>,
    /// What runs unless the user says otherwise.
    pub command: Vec<String>,
    /// The variables, sorted.
    pub environment: Vec<(String, String)>,
    /// Where a step starts.
    pub working_directory: String,
    /// Labels of the config and annotations of the manifest (image-spec, `annotations.md`).
    pub labels: BTreeMap<String, String>,
    /// What holds the policy where envbox did not start the container.
    pub supervisor: Option<(PathBuf, Vec<u8>)>,
    /// `created` as RFC 3339: the epoch, and never now.
    pub created: String,
}

/// How an image is made.
#[derive(Debug, Clone, Copy)]
pub struct LayerOptions {
    /// How layers are compressed.
    pub codec: Codec,
    /// How many layers there may be.
    pub budget: usize,
}

/// One layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// The digest and size of its tar stream.
    pub stored: StoredLayer,
    /// The packages in it.
    pub packages: Vec<String>,
}

/// An image, its layers in the store. They stay there while the value lives.
#[derive(Debug, Clone)]
pub struct Image {
    store: Store,
    platform: Platform,
    config: ImageConfig,
    manifest: ImageManifest,
    layers: Vec<Layer>,
}

impl Image {
    /// Returns what it runs on.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Returns the config. The digest of its bytes is the image's identity, however its layers are
    /// compressed.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Returns the image manifest.
    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// Returns the descriptor of the manifest, as an index has it.
    pub fn descriptor(&self) -> Descriptor {
        let mut descriptor = Descriptor::of(MediaType::MANIFEST, &self.manifest.to_bytes());
        descriptor.platform = Some(self.platform.into());
        descriptor
    }

    /// Returns the layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the file of a layer.
    pub fn layer_path(&self, layer: &Layer) -> PathBuf {
        self.store.place(layer.stored.digest)
    }
}

/// Makes the image of `rootfs`, which was made of `closure`. Layers that the store has are not
/// made again.
///
/// # Errors
/// Returns [`ImageError`]; the layers that were finished stay in the store.
pub fn build(
    context: &Context,
    closure: &Closure,
    rootfs: &Rootfs,
    options: LayerOptions,
    settings: &ImageSettings,
) -> Result<Image, ImageError> {
    let plans = {
        let packages = package_trees(context, closure)?;
        plan(&rootfs.manifest()?, &packages, options.budget)?
    };
    let layers = with_pool(options.codec, context.jobs, |pool| {
        let (store, root) = (closure.store(), rootfs.path());
        let mut layers = all_layers(context, plans, pool, |plan| layer(store, &root, plan, pool))?;
        if let Some((program, policy)) = &settings.supervisor {
            layers.push(supervisor_layer(
                store,
                Supervisor { program, policy },
                pool,
            )?);
        }
        Ok::<_, ImageError>(layers)
    })?;
    let config = config(closure.platform(), settings, &layers);
    let descriptors = layers
        .iter()
        .map(|layer| layer.descriptor.clone())
        .collect();
    let described = Descriptor::of(MediaType::CONFIG, &config.to_bytes());
    let mut manifest = ImageManifest::new(described, descriptors);
    manifest.annotations = settings.labels.clone();
    Ok(Image {
        store: closure.store().clone(),
        platform: closure.platform(),
        config,
        manifest,
        layers,
    })
}

fn supervisor_layer(
    store: &Store,
    supervisor: Supervisor<'_>,
    pool: &Pool,
) -> Result<Layer, ImageError> {
    let scratch = store.scratch()?;
    let plan = supervisor::plan(supervisor, scratch.path())?;
    let stored = layer(store, scratch.path(), &plan, pool)?;
    Ok(described(plan.packages, stored, pool.codec()))
}

fn described(packages: Vec<String>, stored: StoredLayer, codec: Codec) -> Layer {
    let mut descriptor = Descriptor::new(codec.media_type(), stored.digest, stored.size);
    let names = packages.join(" ");
    descriptor.annotations.insert(PACKAGES.to_owned(), names);
    Layer {
        descriptor,
        stored,
        packages,
    }
}

fn config(platform: Platform, settings: &ImageSettings, layers: &[Layer]) -> ImageConfig {
    let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let history = layers.iter().map(|layer| {
        let made_by = format!("envbox: {}", layer.packages.join(" "));
        json!({ "created": settings.created, "created_by": made_by })
    });
    let environment = settings.environment.iter();
    ImageConfig {
        architecture: platform.debian().to_owned(),
        config: RuntimeConfig {
            cmd: list(&settings.command),
            entrypoint: list(&settings.entrypoint),
            env: Some(
                environment
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            labels: Some(settings.labels.clone()),
            stop_signal: None,
            user: Some(format!("{STEP}:{STEP}")),
            working_dir: Some(settings.working_directory.clone()),
        },
        created: Some(settings.created.clone()),
        history: history.collect(),
        os: "linux".to_owned(),
        rootfs: RootFs {
            diff_ids: layers.iter().map(|layer| layer.stored.diff_id).collect(),
            kind: "layers".to_owned(),
        },
        variant: None,
    }
}

/// Makes all layers, several side by side, and returns them in order.
fn all_layers(
    context: &Context,
    plans: Vec<LayerPlan>,
    pool: &Pool,
    make: impl Fn(&LayerPlan) -> Result<StoredLayer, ImageError> + Sync,
) -> Result<Vec<Layer>, ImageError> {
    let names: Vec<String> = plans.iter().map(|plan| plan.packages.join(" ")).collect();
    let tasks: Vec<Task<'_>> = names
        .iter()
        .zip(&plans)
        .map(|(name, plan)| Task {
            name,
            weight: plan.bytes(),
        })
        .collect();
    let stored = in_parallel(context, STAGE, &tasks, |index| make(&plans[index]))?;
    let layers = plans.into_iter().zip(stored);
    Ok(layers
        .map(|(plan, stored)| described(plan.packages, stored, pool.codec()))
        .collect())
}

/// Returns the digest that names an image whatever its layers are compressed with.
pub fn image_id(config: &ImageConfig) -> Digest {
    Digest::of(&config.to_bytes())
}
