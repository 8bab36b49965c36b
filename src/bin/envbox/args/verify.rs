//! What can be typed about verifying.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{CommandLine, Gpus, Groups, Sight, StepWorld};

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// How many runs are compared [default: 2, or 1 with --against].
    #[arg(long, short = 'n', value_name = "NUMBER")]
    pub(crate) runs: Option<u32>,
    /// Vary only these, by name, separated by commas; `none` to repeat the command as it is. The
    /// report names all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) vary: Vec<String>,
    /// Compare with a recorded run: a file of `envbox run --record FILE`, kept under version control;
    /// `@1`, the newest run on this machine; the first or last digits of its id; a tag.
    #[arg(long, value_name = "FILE|RUN")]
    pub(crate) against: Option<OsString>,
    /// When all runs are identical, write the record of one to this file: as `envbox run --record`
    /// does, with the digests of what it printed, which --against then compares too.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Do not compare this: `stdout`, `stderr`, or a path of the project with all that is below it.
    /// May be given several times.
    #[arg(long, value_name = "OUTPUT")]
    pub(crate) ignore: Vec<String>,
    /// When runs differ, do not look for the cause by further runs.
    #[arg(long)]
    pub(crate) no_bisect: bool,
    /// When runs differ, copy what differs to `first` and `then` in this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Write the result to this file as JUnit XML, a test case for each output.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write the result to this file as SARIF 2.1.0, a result for each line of the command's code
    /// that can be the cause.
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Print annotations for GitHub Actions, and add a summary to $GITHUB_STEP_SUMMARY.
    #[arg(long, conflicts_with = "json")]
    pub(crate) github: bool,
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// As with `run`; a lockfile that does not answer the manifest is an error anyway.
    #[arg(long, hide = true)]
    pub(crate) frozen: bool,
    #[command(flatten)]
    pub(crate) sight: Sight,
    #[command(flatten)]
    pub(crate) gpus: Gpus,
    #[command(flatten)]
    pub(crate) world: StepWorld,
    #[command(flatten)]
    pub(crate) command: CommandLine,
}

/// What `verify` starts its runs with. Nobody types it.
#[derive(Debug, clap::Args)]
pub(crate) struct Vary {
    #[arg(long, value_parser = octal)]
    pub(crate) umask: Option<u32>,
    #[arg(long)]
    pub(crate) priority: Option<i32>,
    #[arg(long)]
    pub(crate) processor: Option<usize>,
    #[arg(long)]
    pub(crate) hostname: Option<OsString>,
    #[arg(long)]
    pub(crate) user: Option<u32>,
    #[arg(long)]
    pub(crate) directory: PathBuf,
    #[arg(long)]
    pub(crate) variable: Vec<OsString>,
    #[arg(long, num_args = 2)]
    pub(crate) bind: Vec<PathBuf>,
    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

fn octal(text: &str) -> Result<u32, std::num::ParseIntError> {
    u32::from_str_radix(text, 8)
}
