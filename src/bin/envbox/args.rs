//! What can be typed. No input or output happens here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

/// Builds hermetic environments for machine learning and runs steps in them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The project's directory; by default the nearest one at or above the current directory that
    /// has a manifest.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// The store's directory [default: $ENVBOX_STORE, or envbox in the cache directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Where a registry lies, whatever the manifest says: `pypi=https://mirror.example/simple`.
    /// May be given several times.
    #[arg(long, global = true, value_name = "NAME=URL")]
    pub(crate) registry: Vec<String>,
    /// Do not use the network.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Print one JSON document to standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but what was asked for, and errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Colour in messages; `auto` is on for terminals.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When messages have colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a first `envbox.toml`.
    ///
    /// Refers to the directory's `pyproject.toml` or `requirements.txt` when there is one.
    Init,
    /// Resolve the manifest into `envbox.lock`.
    ///
    /// What did not change in the manifest is not resolved again.
    Lock(Lock),
    /// Download what the lockfile names into the store.
    Fetch,
    /// Run a command in the sandbox.
    ///
    /// Locks, downloads and builds first what is missing. The project is at /project inside; what
    /// the command writes there is brought back when it ends. The command's status is passed
    /// through; 125, 126 and 127 say that envbox failed, that the command cannot be executed, and
    /// that there is no such command.
    Run(Run),
    /// Run a command and say which sources of nondeterminism it drew from.
    ///
    /// Runs the command as `run` does, slower, and with the same result. Then says of each source
    /// (clocks, random bytes, the order of directories, the network and so on) how often it was
    /// drawn from, by which program and, for Python, on which line first, and whether the sandbox
    /// held it. The report goes to standard error; with --json it is a document on standard output.
    Audit(Run),
    /// Run a command in the container that this is, with what can be held there.
    ///
    /// The entrypoint of images that envbox builds. Makes no namespace and no mount, and needs no
    /// privilege: clocks, random bytes, the order of directories, the machine and the environment
    /// are those of the policy; files, network and users are the container's. The report says of
    /// each what is held. The command's status is passed through; 125, 126 and 127 say that envbox
    /// failed, that the command cannot be executed, and that there is no such command.
    Inside(Inside),
    /// Open an interactive shell in the sandbox.
    Shell(Shell),
    /// Say what this host can do, and what to do where it cannot.
    Doctor,
    /// Look after the store.
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Lock {
    /// Only say whether the lockfile answers the manifest; exit with 11 when it does not.
    #[arg(long, conflicts_with_all = ["upgrade", "upgrade_package"])]
    pub(crate) check: bool,
    /// Let every package move to its newest version.
    #[arg(long)]
    pub(crate) upgrade: bool,
    /// Let this package move to its newest version. May be given several times.
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) upgrade_package: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) step: Step,
    /// The name the command sees as its own.
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<OsString>,
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inside {
    /// The policy's file [default: /etc/envbox/policy.json, or a manifest's defaults if there is
    /// none].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Set a variable, or pass on the container's when there is no value. May be given several
    /// times.
    #[arg(long, value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    pub(crate) env: Vec<OsString>,
    /// Pass on every variable of the container's that the policy does not set. By default the
    /// command gets those that `pass-env` and --env name.
    #[arg(long)]
    pub(crate) keep_env: bool,
    /// Another seed than the policy's.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u32>,
    /// How the clocks move: instead of what the policy says.
    #[arg(long, value_name = "CLOCK", value_parser = ["frozen", "logical", "ticking", "real"])]
    pub(crate) clock: Option<String>,
    /// How many processors the command sees and uses: instead of what the policy says.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) cpus: Option<u32>,
    /// Run the command also where the container refuses what the policy needs; the report says what
    /// is not held then.
    #[arg(long)]
    pub(crate) best_effort: bool,
    /// Say which sources of nondeterminism the command drew from, as `envbox audit` does.
    #[arg(long)]
    pub(crate) audit: bool,
    /// Give the command a terminal of its own; by default it has one when standard input and output
    /// are terminals.
    #[arg(long, overrides_with = "no_pty")]
    pub(crate) pty: bool,
    /// Connect the command to standard input, output and error as they are.
    #[arg(long)]
    pub(crate) no_pty: bool,
    /// Write what happened to this file as JSON, on success and on failure.
    #[arg(long, value_name = "FILE")]
    pub(crate) result_file: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shell {
    #[command(flatten)]
    pub(crate) step: Step,
}

/// How a step runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Step {
    /// Refuse to touch the lockfile: fail when it does not answer the manifest.
    #[arg(long)]
    pub(crate) frozen: bool,
    /// Let the command write to the project itself instead of an overlay.
    #[arg(long)]
    pub(crate) direct: bool,
    /// Set a variable, or pass on the caller's when there is no value. May be given several times.
    #[arg(long, value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    pub(crate) env: Vec<OsString>,
    /// Another seed than the manifest's: another world, as reproducible as the first.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u32>,
    /// How the clocks move: instead of what the manifest says.
    #[arg(long, value_name = "CLOCK", value_parser = ["frozen", "logical", "ticking", "real"])]
    pub(crate) clock: Option<String>,
    /// How many processors the command sees and uses: instead of what the manifest says.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) cpus: Option<u32>,
    /// Give the command a terminal of its own; by default it has one when standard input and output
    /// are terminals.
    #[arg(long, overrides_with = "no_pty")]
    pub(crate) pty: bool,
    /// Connect the command to standard input, output and error as they are.
    #[arg(long)]
    pub(crate) no_pty: bool,
    /// Write what happened to this file as JSON, on success and on failure.
    #[arg(long, value_name = "FILE")]
    pub(crate) result_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Say how much space each part takes.
    Du,
    /// Read everything in the store and compare it with its digests.
    Verify {
        /// Remove what is damaged; it is fetched or built again when it is needed
        #[arg(long)]
        discard: bool,
    },
    /// Remove what no lockfile in use and no running step needs.
    Gc {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}
