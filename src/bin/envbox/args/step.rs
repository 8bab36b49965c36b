//! What can be typed about steps.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;
use envbox::registry::ImageName;

use super::{Gpus, Groups};

#[derive(Debug, clap::Args)]
pub(crate) struct RunAnywhere {
    /// Run in this image, named by its digest, instead of the project's environment. Neither a
    /// manifest nor a lockfile is needed.
    #[arg(long, value_name = "IMAGE@DIGEST", conflicts_with_all = ["frozen", "group", "all_groups"])]
    pub(crate) image: Option<ImageName>,
    /// With --image: only if it is signed with this public key.
    #[arg(long, value_name = "FILE", requires = "image")]
    pub(crate) verify_key: Option<PathBuf>,
    /// What is between the command and the host: namespaces of its own; with `none`, what is around
    /// already, which must be a container of the image that was built from this lockfile; with `auto`,
    /// namespaces where the host allows them, and else `none`, with a warning. What is not held is on
    /// record.
    #[arg(
        long,
        value_name = "KIND",
        value_parser = ["auto", "namespaces", "none"],
        default_value = "namespaces",
        conflicts_with_all = ["image", "audit"]
    )]
    pub(crate) isolation: String,
    /// Write what the command drew to this file: for `envbox verify`.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "image")]
    pub(crate) audit: Option<PathBuf>,
    /// Count reads of the time-stamp counter with that.
    #[arg(long, hide = true, requires = "audit")]
    pub(crate) counter: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// Count reads of the processor's time-stamp counter (RDTSC) too.
    ///
    /// They are made to fault: a thread that blocks SIGSEGV dies of one.
    #[arg(long)]
    pub(crate) counter: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) step: Step,
    /// The name the command sees as its own.
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<OsString>,
    #[command(flatten)]
    pub(crate) command: CommandLine,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inside {
    /// The policy's file [default: /etc/envbox/policy.json, or a manifest's defaults if there is
    /// none].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Pass on every variable of the container's that the policy does not set. By default the
    /// command gets those that `pass-env` and --env name.
    #[arg(long)]
    pub(crate) keep_env: bool,
    /// Run the command also where the container refuses what the policy needs; the report says what
    /// is not held then.
    #[arg(long)]
    pub(crate) best_effort: bool,
    /// Say which sources of nondeterminism the command drew from, as `envbox audit` does.
    #[arg(long)]
    pub(crate) audit: bool,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
    #[command(flatten)]
    pub(crate) command: CommandLine,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shell {
    #[command(flatten)]
    pub(crate) step: Step,
}

/// What is run. All that follows the options is it, with options of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct CommandLine {
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) argv: Vec<OsString>,
}

/// How a step runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Step {
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// Refuse to touch the lockfile: fail when it does not answer the manifest.
    #[arg(long)]
    pub(crate) frozen: bool,
    /// Let the command write to the project itself instead of an overlay.
    #[arg(long)]
    pub(crate) direct: bool,
    #[command(flatten)]
    pub(crate) sight: Sight,
    /// Write the run's record to this file as well: what `envbox verify --against` and `envbox diff`
    /// take, to be kept under version control.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Keep no record of the run.
    #[arg(long, conflicts_with_all = ["record", "tag"])]
    pub(crate) no_record: bool,
    /// Call the run by this name. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    #[command(flatten)]
    pub(crate) gpus: Gpus,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

/// What of the host a step sees, and where it begins.
#[derive(Debug, clap::Args)]
pub(crate) struct Sight {
    /// Let the command see this file or directory of the host's as well, at this path inside or the
    /// same as outside, and not write to it. What is in it is on record by its path, and not held
    /// unless the manifest's `[data]` declares it. May be given several times.
    #[arg(long, value_name = "SOURCE[:TARGET]")]
    pub(crate) bind: Vec<OsString>,
    /// As --bind, and let the command write to it: what it writes is on the host at once, also when
    /// the command fails, and is no output.
    #[arg(long, value_name = "SOURCE[:TARGET]")]
    pub(crate) bind_rw: Vec<OsString>,
    /// What of the network the command sees: instead of what the manifest says.
    #[arg(long, value_name = "NETWORK", value_parser = ["none", "loopback", "host"])]
    pub(crate) network: Option<String>,
    /// The directory inside in which the command begins, also relative to /project [default: the
    /// caller's, which is in the project or in a bind].
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
}

/// Which world a step sees.
#[derive(Debug, clap::Args)]
pub(crate) struct StepWorld {
    /// Set a variable, or pass on the caller's when there is no value. May be given several times.
    #[arg(long, value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    pub(crate) env: Vec<OsString>,
    /// Another seed than the manifest's or policy's: another world, as reproducible as the first.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u32>,
    /// How the clocks move: instead of what the manifest or policy says.
    #[arg(long, value_name = "CLOCK", value_parser = ["frozen", "logical", "ticking", "real"])]
    pub(crate) clock: Option<String>,
    /// How many processors the command sees and uses: instead of what the manifest or policy says.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) cpus: Option<u32>,
}

/// What a step can be told wherever it runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Conditions {
    #[command(flatten)]
    pub(crate) world: StepWorld,
    /// Give the command a terminal of its own; by default it has one when standard input and output
    /// are terminals.
    #[arg(long, overrides_with = "no_pty")]
    pub(crate) pty: bool,
    /// Connect the command to standard input, output and error as they are.
    #[arg(long)]
    pub(crate) no_pty: bool,
    /// End the command, and all that it started, when the process that started envbox is gone: also
    /// when that is killed, and not when one of its threads ends. What the command wrote to the
    /// project is then discarded.
    #[arg(long)]
    pub(crate) die_with_parent: bool,
    /// Write what happened to this file as JSON, on success and on failure.
    #[arg(long, value_name = "FILE")]
    pub(crate) result_file: Option<PathBuf>,
}
