//! What can be typed about runs on record and data.

use std::path::PathBuf;

use clap::Subcommand;
use envbox::record::RunName;

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Declare data in the manifest's `[data]`, with its digest as it is now.
    ///
    /// A file or directory of the project, or what a URL names. A file under DVC or Git LFS may be a
    /// mere pointer as long as the tool has its content here. Steps see it read-only.
    Add {
        /// Paths, or URLs.
        #[arg(value_name = "PATH|URL", required = true)]
        data: Vec<String>,
        /// For a URL: where steps see it in the project [default: the last part of the URL].
        #[arg(long = "as", value_name = "PATH")]
        at: Option<PathBuf>,
    },
    /// Compare all declared data with its digests; download what is not here.
    Verify,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Runs {
    /// Runs of all projects.
    #[arg(long)]
    pub(crate) all: bool,
    /// How many [default: 20].
    #[arg(long, short, value_name = "NUMBER")]
    pub(crate) number: Option<usize>,
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Call a run by a name.
    Tag {
        /// The run.
        #[arg(value_name = "RUN")]
        run: RunName,
        /// The name. Another run that had it has it no more.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove the records of runs. What only they kept goes with the next `envbox store gc`.
    Remove {
        /// The runs.
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<RunName>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The run.
    #[arg(value_name = "RUN", default_value = "@1")]
    pub(crate) run: RunName,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The runs.
    #[arg(value_name = "RUN", default_value = "@1")]
    pub(crate) runs: Vec<RunName>,
    /// Tell the same in plain text.
    #[arg(long)]
    pub(crate) text: bool,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The run.
    #[arg(value_name = "RUN")]
    pub(crate) run: RunName,
    /// Leave the project's files and the outputs in this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}
