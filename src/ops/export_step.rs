//! `envbox export` of a step, as an engine's template.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use envbox_lockfiles::base::{Context, Event};
use envbox_lockfiles::lock::{BuiltImage, Lockfile};
use envbox_lockfiles::manifest::StepNetwork;

use crate::engines::{
    Claim, Code, EngineError, EngineGpu, EngineStep, Memory, Network, NextflowPipeline, StepName,
    Supervision, airflow_dag, argo_workflow, kubeflow_pipeline, kubernetes_job, lost,
    nextflow_pipeline,
};
use crate::image::ImageManifest;
use crate::ops::publish::tag_of_id;
use crate::ops::run::{Locking, RunError, Variable, gpu_determinism, is_ours, up_to_date};
use crate::ops::{Error, Project};
use crate::registry::{ImageName, manifest};

/// Whose template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A Job of Kubernetes.
    KubernetesJob,
    /// A Workflow of Argo.
    Argo,
    /// A DAG of Airflow.
    Airflow,
    /// A pipeline of Kubeflow Pipelines.
    Kubeflow,
}

/// What is said of a step besides the manifest and the lockfile.
#[derive(Debug, Clone)]
pub struct StepOptions {
    /// Whether the lockfile may be written.
    pub locking: Locking,
    /// The image: by its digest, or a repository that has the one of the lockfile.
    pub image: Option<ImageName>,
    /// What the engine calls the step; by default the environment's name.
    pub name: Option<String>,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Whether envbox is in the image.
    pub supervision: Supervision,
    /// Variables for the step.
    pub variables: Vec<Variable>,
    /// Where the command begins.
    pub directory: String,
    /// Where the project's files come from.
    pub code: Code,
    /// Volumes, as `CLAIM:PATH[:ro]`.
    pub claims: Vec<String>,
    /// How much memory the step gets, as `8Gi`.
    pub memory: Option<String>,
    /// How many GPUs it gets, if any.
    pub gpus: Option<u32>,
    /// How many seconds pass between SIGTERM and SIGKILL.
    pub grace_seconds: u32,
}

/// Returns the template of a step for an engine.
///
/// # Errors
/// Returns [`Error::Engine`] for a step that the engine cannot run, and what finding the image returns.
pub fn engine_template(
    context: &Context,
    project: &Project,
    engine: Engine,
    options: &StepOptions,
) -> Result<Vec<u8>, Error> {
    let (step, _) = step(context, project, options)?;
    let write = match engine {
        Engine::KubernetesJob => kubernetes_job,
        Engine::Argo => argo_workflow,
        Engine::Airflow => airflow_dag,
        Engine::Kubeflow => kubeflow_pipeline,
    };
    let text = write(&step)?;
    if engine != Engine::Argo {
        warn_of_lost(context, &step);
    }
    Ok(text.into_bytes())
}

/// Returns the two files of a step for Nextflow.
///
/// # Errors
/// As [`engine_template`].
pub fn nextflow_template(
    context: &Context,
    project: &Project,
    options: &StepOptions,
) -> Result<NextflowPipeline, Error> {
    let (step, lock) = step(context, project, options)?;
    // An image that the environment stands on may have it: then Nextflow will tell.
    let mut packages = lock.debian.packages.iter();
    let has_bash = lock.base.is_some() || packages.any(|package| package.name.as_str() == "bash");
    Ok(nextflow_pipeline(&step, has_bash)?)
}

fn warn_of_lost(context: &Context, step: &EngineStep) {
    let lost = lost(step);
    if !lost.is_empty() {
        let message = format!(
            "{} will be lost with the pod: mount a volume, as `--volume CLAIM:/project`",
            lost.join(", ")
        );
        context.report(Event::Warning { message });
    }
}

fn step(
    context: &Context,
    project: &Project,
    options: &StepOptions,
) -> Result<(EngineStep, Lockfile), Error> {
    let context = &project.context(context);
    // Before anything is asked of a registry.
    let command = options
        .command
        .iter()
        .map(text_of)
        .collect::<Result<Vec<_>, _>>()?;
    if command.first().is_none_or(String::is_empty) {
        return Err(EngineError::NoCommand.into());
    }
    let lock = up_to_date(context, project, options.locking)?;
    let policy = &project.manifest().sandbox;
    let outputs = policy.outputs.iter();
    let step = EngineStep {
        name: name(&lock, options)?,
        lock: lock.digest(),
        command,
        supervision: options.supervision,
        variables: variables(project, options)?,
        directory: options.directory.clone(),
        code: options.code,
        claims: options
            .claims
            .iter()
            .map(|text| text.parse::<Claim>())
            .collect::<Result<_, _>>()?,
        outputs: outputs.map(|path| path.display().to_string()).collect(),
        hostname: policy.hostname.clone(),
        network: match policy.network {
            StepNetwork::Host => Network::Container,
            _ => Network::None,
        },
        cpus: policy.cpus,
        memory: options
            .memory
            .as_ref()
            .map(|text| text.parse::<Memory>())
            .transpose()?,
        gpu: options
            .gpus
            .map(|count| EngineGpu::of(&lock, count))
            .transpose()?,
        architectures: lock
            .request
            .platforms
            .iter()
            .map(|platform| platform.debian())
            .collect(),
        grace_seconds: options.grace_seconds,
        image: image(context, &lock, options)?,
    };
    Ok((step, lock))
}

/// Text alone can be written to a template.
fn text_of(word: &OsString) -> Result<String, EngineError> {
    let text = word.to_str().map(str::to_owned);
    text.filter(|text| !text.contains('\0'))
        .ok_or_else(|| EngineError::NoText { word: word.clone() })
}

fn name(lock: &Lockfile, options: &StepOptions) -> Result<StepName, EngineError> {
    match &options.name {
        Some(name) => name.parse(),
        None => {
            let name = lock.request.name.as_str();
            StepName::like(name).ok_or_else(|| EngineError::Name {
                found: name.to_owned(),
                alike: None,
            })
        }
    }
}

/// Returns what the image does not have: what was asked for, and what a step with a GPU gets.
fn variables(project: &Project, options: &StepOptions) -> Result<BTreeMap<String, String>, Error> {
    let manifest = &project.manifest().sandbox.env;
    let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
    if options.gpus.is_some() {
        // What the manifest sets is the image's.
        all.extend(
            manifest
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        gpu_determinism(&mut all);
        all.retain(|name, value| {
            let theirs = name.to_str().and_then(|name| manifest.get(name));
            theirs.is_none_or(|theirs| OsStr::new(theirs) != value)
        });
    }
    for variable in &options.variables {
        let Variable::Set(name, value) = variable else {
            return Err(EngineError::NoValue.into());
        };
        if name.to_str().is_some_and(is_ours) {
            let name = name.clone();
            return Err(RunError::Reserved { name }.into());
        }
        all.insert(name.clone(), value.clone());
    }
    let text = all
        .iter()
        .map(|(name, value)| Ok((text_of(name)?, text_of(value)?)));
    Ok(text.collect::<Result<_, EngineError>>()?)
}

/// Returns the image by its digest: the one that was given, or else the one that the lockfile says must
/// be built of it, as the repository has it. That one is without envbox: with it, an image depends on
/// more than the lockfile.
fn image(context: &Context, lock: &Lockfile, options: &StepOptions) -> Result<ImageName, Error> {
    let given = options.image.as_ref().ok_or(EngineError::NoImage)?;
    if let Some(digest) = given.digest() {
        return Ok(given.with_digest(digest));
    }
    let (Supervision::Plain, [BuiltImage { image_id, .. }]) =
        (options.supervision, lock.built.as_slice())
    else {
        let (image, supervision) = (Box::new(given.clone()), options.supervision);
        return Err(EngineError::NoDigest { image, supervision }.into());
    };
    let place = given.with_tag(tag_of_id(*image_id));
    let (descriptor, bytes) = manifest(context, &place)?;
    let found = ImageManifest::parse(&bytes).map(|found| found.config.digest);
    match found {
        Ok(found) if found == *image_id => Ok(given.with_digest(descriptor.digest)),
        found => Err(Error::WrongImage {
            reference: Box::new(place),
            expected: *image_id,
            found: found.unwrap_or(descriptor.digest),
        }),
    }
}
