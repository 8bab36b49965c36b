//! What can be typed about exports.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Subcommand;
use envbox::base::Platform;
use envbox::record::RunName;

use super::engine::{ExportNextflow, ExportTemplate};
use super::{Gpus, Groups};

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// Write an OCI runtime bundle, which `runc` and `crun` run.
    ///
    /// Made by root, it is for root; made by another user, it is for that user. The step's files go
    /// to `project` below the bundle's directory.
    Bundle(ExportBundle),
    /// Write a `pylock.toml` (PEP 751), which `pip install -r` and `uv pip sync` read.
    ///
    /// It has the wheels, and neither the interpreter nor Debian packages. It must say where the
    /// wheels lie: that is where they lie for whoever exports.
    Pylock(ExportDocument),
    /// Write a requirements file with hashes, for `pip install --require-hashes --no-deps -r`.
    ///
    /// It has the wheels, and neither the interpreter nor Debian packages.
    Requirements(ExportDocument),
    /// Write an explicit specification, which `conda create --file` reads.
    ///
    /// It has the conda packages, by URL and digest: where the channels lie for whoever exports.
    CondaExplicit(ExportDocument),
    /// Write a `conda-lock.yml` (CEP 37), which `conda-lock install` and `micromamba` read.
    ///
    /// It has the conda packages and the wheels, by URL and digest.
    CondaLock(ExportDocument),
    /// Write an `environment.yml` with every version and build, for `conda env create`.
    ///
    /// It has the conda packages and the wheels; digests it cannot hold.
    #[command(name = "environment.yml")]
    EnvironmentYml(ExportDocument),
    /// Write a Dockerfile that installs the same packages with `apt-get`, py-rattler and `pip`.
    ///
    /// For those who must build without envbox: versions are the same, and the digests of conda packages
    /// and wheels are checked, but the image is another one each time. `envbox build` makes one that is
    /// not.
    Dockerfile(ExportDocument),
    /// Write a step as a Job of Kubernetes (batch/v1).
    ///
    /// A pod that runs the command once, in the image by its digest, as an ordinary user without
    /// capabilities, on a read-only root. Where the manifest gives no network, a NetworkPolicy takes
    /// it. Outputs stay where a --volume is.
    #[command(name = "k8s-job")]
    K8sJob(ExportTemplate),
    /// Write a step as a Workflow of Argo (argoproj.io/v1alpha1).
    ///
    /// The manifest's `outputs` are artifacts, which go to the cluster's artifact repository.
    Argo(ExportTemplate),
    /// Write a step as a DAG of Airflow, with a KubernetesPodOperator.
    ///
    /// For Airflow 3 with apache-airflow-providers-cncf-kubernetes 10. Outputs stay where a --volume
    /// is.
    Airflow(ExportTemplate),
    /// Write a step as a pipeline of Kubeflow Pipelines, in Python.
    ///
    /// `kfp dsl compile` makes YAML of it; for kfp and kfp-kubernetes 2.17. Outputs stay where a
    /// --volume is.
    Kubeflow(ExportTemplate),
    /// Write a step as a pipeline of Nextflow: `main.nf` and `nextflow.config`.
    ///
    /// Nextflow brings the project's files into a directory of its own for each task, and publishes the
    /// manifest's `outputs`. The image needs `bash`, which is asked for with `[debian] packages`.
    Nextflow(ExportNextflow),
    /// Write the SLSA provenance of a run's outputs: an in-toto statement, for others to sign.
    Slsa(ExportRun),
    /// Write a run as an OpenLineage event.
    Openlineage(ExportRun),
    /// Write a run as a Workflow Run RO-Crate, with the outputs that the store keeps.
    RoCrate {
        /// The run.
        #[arg(value_name = "RUN")]
        run: RunName,
        /// The directory, which must be empty or absent.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportRun {
    /// The run.
    #[arg(value_name = "RUN")]
    pub(crate) run: RunName,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportBundle {
    /// The directory, which must be empty or absent.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Refuse to touch the lockfile: fail when it does not answer the manifest.
    #[arg(long)]
    pub(crate) frozen: bool,
    #[command(flatten)]
    pub(crate) groups: Groups,
    #[command(flatten)]
    pub(crate) gpus: Gpus,
    /// What runs, and its arguments; by default the interpreter.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportDocument {
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// For which of the lockfile's platforms [default: this host's, else the first].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
