//! What can be typed about steps for engines.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;
use envbox::registry::ImageName;

use super::Groups;

/// A step for an engine.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportStep {
    /// The image, by its digest, as `envbox build --supervised --push` prints it. With --unsupervised
    /// the repository alone will do, when `build --record` wrote the image to the lockfile: its digest
    /// is looked up there then.
    #[arg(long, value_name = "REPOSITORY@DIGEST")]
    pub(crate) image: Option<ImageName>,
    /// What the engine calls the step: at most 63 lower-case letters, digits and `-` [default: the
    /// environment's name].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The image was built without --supervised: the command runs without envbox, and clock and
    /// randomness are the cluster's.
    #[arg(long)]
    pub(crate) unsupervised: bool,
    /// Ask for GPUs of the lockfile's vendor, on nodes with a driver that it allows: 1 or more.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "1",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) gpu: Option<u32>,
    /// How much memory the step gets, as `512Mi` or `8Gi` [default: what the cluster gives].
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Mount a PersistentVolumeClaim of the cluster's. At `/project` it brings the project's files, and
    /// keeps what the step writes. May be given several times.
    #[arg(long, value_name = "CLAIM:PATH[:ro]")]
    pub(crate) volume: Vec<String>,
    /// Where the project's files come from: a `volume` at `/project`, without which it is empty; or
    /// the `image`, which was made on top of envbox's [default: volume].
    #[arg(long, value_name = "PLACE", value_parser = ["volume", "image"])]
    pub(crate) code: Option<String>,
    /// Where the command begins.
    #[arg(long, value_name = "DIR", default_value = "/project")]
    pub(crate) workdir: String,
    /// Set a variable of the step's. May be given several times. Secrets do not belong here: the
    /// template is text.
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(crate) env: Vec<OsString>,
    /// How many seconds the step has to end after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) grace: u32,
    /// Refuse to touch the lockfile: fail when it does not answer the manifest.
    #[arg(long)]
    pub(crate) frozen: bool,
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// What runs, and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// A step for an engine that has one file for it.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportTemplate {
    #[command(flatten)]
    pub(crate) step: ExportStep,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A step for Nextflow.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportNextflow {
    /// The directory of the pipeline; files of the same names in it are replaced.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) step: ExportStep,
}
