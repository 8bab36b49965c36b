//! What can be typed. No input or output happens here.

mod attest;
mod choices;
mod engine;
mod export;
mod gpu;
mod parse;
mod records;
mod step;
mod verify;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use envbox::base::{GroupName, Platform};
use envbox::registry::ImageName;

pub(crate) use attest::{Key, KeyCommand, Provenance, Sbom, SbomFormat, VerifyAttestation};
pub(crate) use choices::with_choices;
pub(crate) use engine::{ExportNextflow, ExportStep, ExportTemplate};
pub(crate) use export::{ExportBundle, ExportCommand, ExportDocument, ExportRun};
pub(crate) use gpu::{GpuCommand, Gpus};
pub(crate) use parse::{may_run, parse};
pub(crate) use records::{DataCommand, Replay, Report, Runs, RunsCommand, Show};
pub(crate) use step::{
    Audit, CommandLine, Conditions, Inside, Run, RunAnywhere, Shell, Sight, Step, StepWorld,
};
pub(crate) use verify::{Vary, Verify};

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
    /// The project's directory, or a script whose header is a manifest (PEP 723); by default the
    /// nearest directory at or above the current one that has a manifest.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// The manifest, wherever it is, instead of the one in the project, which is not looked at: an
    /// `envbox.toml` by any name that ends with `.toml`. Its lockfile is beside it: `NAME.lock` for
    /// `NAME.toml`, and `envbox.lock` for `envbox.toml` and `pyproject.toml`. The project is --project
    /// then, or the current directory.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// The store's directory [default: $ENVBOX_STORE, or envbox in the cache directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Where a registry lies, whatever the manifest says: `pypi=https://mirror.example/simple`.
    /// May be given several times.
    #[arg(long, global = true, value_name = "NAME=URL")]
    pub(crate) registry: Vec<String>,
    /// Take environments from images in this repository, where it has the one that the lockfile
    /// names: `registry.example/team/environments`.
    #[arg(long, global = true, value_name = "REPOSITORY")]
    pub(crate) images: Option<String>,
    /// Take what is downloaded from this mirror, where it has it, instead of from its registry:
    /// a directory or URL that `envbox mirror` wrote, or a repository of images.
    #[arg(long, global = true, value_name = "DIR|URL|REPOSITORY")]
    pub(crate) mirror: Option<String>,
    /// Do not use the network.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Print one JSON document to standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write what happens, as it happens, to this file or to a descriptor that the caller opened: a
    /// JSON object a line, the first `hello`, the last the `result`, also after a failure.
    #[arg(long, global = true, value_name = "fd:NUMBER|FILE")]
    pub(crate) events: Option<String>,
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
    Init(Init),
    /// Resolve the manifest into `envbox.lock`.
    ///
    /// What did not change in the manifest is not resolved again.
    Lock(Lock),
    /// Ask for more in the manifest, and lock it.
    ///
    /// Requirements go to `[python] requirements` of `envbox.toml`; in a `pyproject.toml`, to
    /// `project.dependencies` unless `[tool.envbox.python]` has requirements of its own. One that
    /// names no version gets the locked one as its lower bound: `numpy` becomes `numpy>=2.1.3`, and
    /// with --conda `numpy >=2.1.3`. One of the same name is replaced. Comments and layout stay. Nothing is written before everything was
    /// resolved.
    Add(Edit),
    /// Ask for something no longer in the manifest, and lock what is left.
    Remove(Edit),
    /// Show what the lockfile has, and who asks for it, as a tree.
    ///
    /// Below `manifest`, `interpreter` and `base`, what each of them asks for: packages of all kinds.
    /// A package that stands in several places is taken apart in the first; `(*)` marks the others.
    Tree(Tree),
    /// Say why the lockfile has a package.
    ///
    /// For each package that asks for it, the shortest way there from the manifest, the interpreter
    /// or the base.
    Why(Why),
    /// Show what changed between two lockfiles, or between two runs.
    ///
    /// Of two runs: which blocks of the tower differ (code, parameters, libraries, compute, data,
    /// entropy), the lowest of them, and which outputs. The status is 1 when what came out differs.
    ///
    /// Versions, files and sizes, and licences where the packages are unpacked in the store. Each
    /// lockfile is a file, a directory that has one, or a revision of Git's: `HEAD~1:envbox.lock`,
    /// or `HEAD~1` for the one of this directory.
    Diff(Diff),
    /// Take over what another tool has locked: make `envbox.lock` with its exact pins.
    ///
    /// Reads `uv.lock`, `pylock.toml`, `pixi.lock`, `conda-lock.yml` and requirements files. Versions, and files where the other
    /// lockfile names them, are kept; the registry must have those files, with the same size and
    /// digest. What the environment needs besides is resolved as by `lock`. What could not be kept
    /// is listed. Where there is no manifest, one is written that asks for the same.
    Import(Import),
    /// Download what the lockfile names into the store.
    Fetch,
    /// Keep everything that the lockfile names in a mirror.
    ///
    /// An old lockfile then still builds when a registry no longer serves a file: name the mirror
    /// with --mirror, or as `mirror` in the user's `config.toml`. Several lockfiles share a mirror;
    /// what is there is checked, replaced where it is damaged, and never removed. In a directory the
    /// registries are below `registries`, for pip, uv and `envbox lock` too: `--registry
    /// pypi=DIR/registries/pypi`.
    Mirror(Mirror),
    /// Build the environment as an OCI image.
    ///
    /// Locks, downloads and builds first what is missing. The same lockfile and manifest give the
    /// same image, to the bit, on every machine. Without `--output` the image stays in the store,
    /// and its digests are printed.
    Build(Build),
    /// Bring an image from a registry into the store.
    Pull(Pull),
    /// Write the environment, or a run, for other programs.
    #[command(subcommand)]
    Export(ExportCommand),
    /// Run a command in the sandbox.
    ///
    /// Locks, downloads and builds first what is missing. The project is at /project inside; what
    /// the command writes there is brought back when it ends. The command's status is passed
    /// through; 125, 126 and 127 say that envbox failed, that the command cannot be executed, and
    /// that there is no such command.
    ///
    /// A command that is a script, `train.py`, with a header that says what it requires (PEP 723)
    /// runs in an environment of its own, whatever the project's is. Its lockfile is `train.py.lock`
    /// beside it; where that cannot be written, or is uv's, it is kept in the store.
    Run(RunAnywhere),
    /// Run a command and say which sources of nondeterminism it drew from.
    ///
    /// Runs the command as `run` does, slower, and with the same result. Then says of each source
    /// (clocks, random bytes, the order of directories, the network and so on) how often it was
    /// drawn from, by which program and, for Python, on which line first, and whether the sandbox
    /// held it. The report goes to standard error; with --json it is a document on standard output.
    Audit(Audit),
    /// Run a command several times while the host is varied, and say whether it does the same.
    ///
    /// Each run is in a fresh copy of the project, which is not written to. The first is as on any
    /// day; for the others everything is varied that the sandbox hides: path, order and times of
    /// the project's files, umask, locale, time zone, home, environment, path of the store,
    /// processors, load, priority, time, and for root also host name and user. Outputs are what
    /// the command writes to the project, standard output and error, and its exit status. When runs
    /// differ, further ones find which variation matters, or that threads race, and the sources of
    /// nondeterminism that can be behind it are named, for Python with file and line. Exits with 0
    /// when all runs are identical, 1 when they diverged, and 2 when nothing can be said: envbox
    /// could not run the command, or it failed in the same way each time.
    Verify(Verify),
    #[command(hide = true)]
    Vary(Vary),
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
    /// Declare the data that steps read, and verify it.
    #[command(subcommand)]
    Data(DataCommand),
    /// List the runs on record.
    ///
    /// The newest first, of this project or of all. A run is called `@1` for the newest, `@2` for the
    /// one before, by the first or last digits of its id, by a tag, or by a file with its record.
    Runs(Runs),
    /// Show the record of a run: what it stood on, what came out, what it used.
    Show(Show),
    /// Make a page of runs, to read: what each stood on, what came out, and how they differ.
    ///
    /// One HTML file that needs nothing else: the tower block by block, environment, inputs,
    /// outputs, what was drawn from chance and where. Each run after the first is compared with
    /// the first, and outputs that differ are opened: which element, line or member, and how far
    /// apart.
    Report(Report),
    /// Do a run once more, from what its record kept, and compare.
    ///
    /// Code, lockfile, command, variables and policy are those of the run; its project is not
    /// touched. The status is 0 when the same came out, and 1 when not.
    Replay(Replay),
    /// List what the environment is made of: an SBOM.
    ///
    /// Every package of the lockfile with version, package URL, digest and licence, and which package
    /// asks for which. The same lockfile, packages and epoch give the same bytes. Licences are what
    /// the packages say; for that they are downloaded and unpacked if they are not in the store.
    Sbom(Sbom),
    /// State how an image was built: SLSA provenance.
    ///
    /// An in-toto statement that the image was built from the lockfile, with every artifact. With
    /// --key it is signed, in a DSSE envelope.
    Provenance(Provenance),
    /// Check a signed statement about an image, without a network.
    ///
    /// The signature must be by the key and the statement about the image; if it is provenance, it
    /// must name the project's lockfile and exactly the artifacts in it.
    VerifyAttestation(VerifyAttestation),
    /// Print the digest that decides whether a step must run again; or make keys to sign with.
    ///
    /// `envbox key -- COMMAND` prints one digest for all that `envbox run -- COMMAND` could see: the
    /// command, the project's files, the lockfile, declared data, variables, binds, the policy and
    /// the platform. It is the same on every machine and in every directory, and another when any of
    /// these is. Nothing is run, downloaded or built. With --json it shows the parts, and what a step
    /// could see besides.
    Key(Key),
    /// Print the versions of envbox and of its interface for programs.
    Version,
    /// Say what this host can do, and what to do where it cannot.
    Doctor,
    /// Say which GPU drivers this host has, every place that was looked at, and why it was taken or
    /// not.
    ///
    /// Loads no library of the driver, runs no program and makes no device node. The status is 1 when
    /// no step could use a GPU of NVIDIA's.
    #[command(args_conflicts_with_subcommands = true)]
    Gpu {
        #[command(subcommand)]
        command: Option<GpuCommand>,
    },
    /// Look after the store.
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Ask for what this file asks for: `pyproject.toml`, a requirements file, a script with a header
    /// (PEP 723), `environment.yml`, `pixi.toml`, or a lockfile that `envbox import` reads.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

/// Which part of another tool's file is wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// With this extra of the project. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) extra: Vec<String>,
    /// With this dependency group of the project, or this category of `conda-lock.yml`. May be given
    /// several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Vec<String>,
    /// This environment of pixi's [default: default].
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
}

impl From<&Choice> for envbox::foreign::Choice {
    fn from(choice: &Choice) -> Self {
        Self {
            extras: choice.extra.clone(),
            groups: choice.group.clone(),
            environment: choice.environment.clone(),
        }
    }
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
    /// Pin the NVIDIA driver and the GPU of this host, in place of those that are pinned: as
    /// `driver` and `device` of `[gpu]` in the manifest say, by default the exact driver, and the GPU
    /// as a record. Without this they stay as they are, also with --upgrade.
    ///
    /// The number is that of the GPU by its place on the bus, from 0; without one, all GPUs must be
    /// alike. `--gpu=none` takes the pinned driver and GPU out. What the packages need of a driver is
    /// locked on every host, also on one without a GPU.
    #[arg(
        long,
        value_name = "NUMBER|none",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        conflicts_with = "check"
    )]
    pub(crate) gpu: Option<LockGpu>,
}

/// Which GPU is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockGpu {
    /// That of all, which are alike.
    All,
    /// The one with this number.
    Number(usize),
    /// None any more.
    None,
}

impl std::str::FromStr for LockGpu {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            number => number
                .parse()
                .map(Self::Number)
                .map_err(|_| "expected the number of a GPU, from 0, or `none`"),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// Python requirements (PEP 508), names of Debian packages with --debian, or MatchSpecs with
    /// --conda. To remove them, their names are enough.
    #[arg(required = true, value_name = "REQUIREMENT")]
    pub(crate) entries: Vec<String>,
    /// Debian packages: `[debian] packages`.
    #[arg(long, conflicts_with = "conda")]
    pub(crate) debian: bool,
    /// Conda packages, as MatchSpecs: `[conda] dependencies`.
    #[arg(long)]
    pub(crate) conda: bool,
    /// In this group, which is made if there is none: `[groups.NAME]`.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<GroupName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tree {
    /// For which of the lockfile's platforms [default: this host's, else the first].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// How many levels are shown; 1 is what is asked for directly.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) depth: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Why {
    /// The package; `debian/NAME` or `python/NAME` where several kinds have one of the name.
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: String,
    /// For which of the lockfile's platforms [default: this host's, else the first].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// The old lockfile [default: that of the last commit, `HEAD`], or a run.
    #[arg(value_name = "OLD")]
    pub(crate) old: Option<String>,
    /// The new lockfile [default: that of the project], or a run.
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The other tool's lockfile.
    #[arg(value_name = "LOCKFILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Mirror {
    /// The mirror: `dir:PATH` or a path that begins with `/` or `.`, a directory; or else a
    /// repository of images, as `registry.example/team/mirror`.
    #[arg(long, value_name = "DIR|REPOSITORY")]
    pub(crate) to: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// Where the image is written: `oci:DIR[:TAG]`, an OCI layout; `oci-archive:FILE[:NAME]`, a tar
    /// archive of one; `docker-archive:FILE[:NAME]`, an archive that `docker load` reads too.
    #[arg(long, short, value_name = "TRANSPORT:PATH[:NAME]")]
    pub(crate) output: Option<String>,
    /// Push the image to this repository, and put the tag on it: `registry.example/team/iris:v1`.
    /// What the registry has is not sent again.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) push: Option<ImageName>,
    /// With --push: another repository of the registry that has some of the layers, which need not
    /// be sent then: `team/base`. May be given several times.
    #[arg(long, value_name = "REPOSITORY", requires = "push")]
    pub(crate) mount_from: Vec<String>,
    /// With --push: put a parts list (SPDX) and the provenance (SLSA) beside the image.
    #[arg(long, requires = "push")]
    pub(crate) attest: bool,
    /// With --push: sign the image, and the provenance if it goes with it, with this private key:
    /// of `envbox key generate` or `cosign generate-key-pair`.
    #[arg(long, value_name = "FILE", requires = "push")]
    pub(crate) key: Option<PathBuf>,
    /// For this platform, which the lock must have. May be given several times; by default the
    /// image is for all platforms of the lock.
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Vec<Platform>,
    /// How layers are compressed; `gzip` is slower and larger, and read by everything.
    #[arg(long, value_name = "CODEC", default_value = "zstd")]
    pub(crate) compression: Compression,
    /// How many layers there may be: 1, or 3 to 100. One for each package, if that is enough.
    #[arg(long, value_name = "NUMBER", default_value_t = envbox::image::DEFAULT_LAYERS)]
    pub(crate) layers: usize,
    /// Put envbox itself into the image, as its entrypoint: wherever a container of it starts, the
    /// clock, randomness and the order of directories are held without namespaces of envbox's own
    /// (`envbox inside`). The image then depends on this program's bytes, too.
    #[arg(long, conflicts_with = "record")]
    pub(crate) supervised: bool,
    /// With --supervised: envbox is in the image, and nothing is its entrypoint. For engines that
    /// start more in a container than what is to be held, and call `envbox inside` for that.
    #[arg(long, requires = "supervised")]
    pub(crate) no_entrypoint: bool,
    /// Write the image's identity to the lockfile: `--frozen` builds must give it again, and runs
    /// take it from a registry of the user's where there is one.
    #[arg(long, conflicts_with_all = ["frozen", "group", "all_groups"])]
    pub(crate) record: bool,
    /// Build a second time, from the downloads on and in another place, and compare.
    #[arg(long)]
    pub(crate) check: bool,
    /// Refuse to touch the lockfile: fail when it does not answer the manifest.
    #[arg(long)]
    pub(crate) frozen: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Pull {
    /// The image: `registry.example/team/iris:v1`, or with `@sha256:…` for the bits and no others.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: ImageName,
    /// Only if the image is signed with this public key: of `envbox key generate` or cosign.
    #[arg(long, value_name = "FILE")]
    pub(crate) verify_key: Option<PathBuf>,
    /// For which platform [default: this host's].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Compression {
    Zstd,
    Gzip,
}

/// Which groups of the manifest an environment has.
#[derive(Debug, clap::Args)]
pub(crate) struct Groups {
    /// With the packages of this group of the manifest as well. May be given several times.
    #[arg(long, value_name = "NAME")]
    group: Vec<GroupName>,
    /// With the packages of every group.
    #[arg(long, conflicts_with = "group")]
    all_groups: bool,
}

impl Groups {
    /// Returns what is chosen.
    pub(crate) fn chosen(&self) -> envbox::lock::Groups {
        match (self.all_groups, self.group.is_empty()) {
            (true, _) => envbox::lock::Groups::All,
            (false, true) => envbox::lock::Groups::None,
            (false, false) => envbox::lock::Groups::Named(self.group.iter().cloned().collect()),
        }
    }
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
