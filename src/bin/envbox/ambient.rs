//! Everything taken from the surroundings: environment, clock, current directory, terminal.
//!
//! The library takes none of it itself; it all goes into [`Context`] here.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where ambient input comes in"
)]

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use envbox::base::{
    Context, Explain, FsError, InvalidMirror, InvalidName, Kind, Mirror, Network, RegistryName,
    Reporter,
};
use envbox::manifest::{MANIFEST, PYPROJECT};
use envbox::ops::run::{BindError, InvalidVariable, MlflowRun};
use envbox::ops::verify::Variation;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open};

use crate::args::Global;
use crate::config::{Config, ImageRegistry, Registry};

/// The surroundings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AmbientError {
    /// There is no place for the store.
    #[error(
        "there is no directory for the store: neither `ENVBOX_STORE`, `XDG_CACHE_HOME` nor `HOME` is set to an absolute path"
    )]
    NoStore,
    /// The current directory is gone.
    #[error("failed to find the current directory")]
    NoCurrentDirectory(#[source] io::Error),
    /// The program's file cannot be found.
    #[error("failed to find the file of this program")]
    NoProgram(#[source] io::Error),
    /// `--registry` is malformed.
    #[error("`--registry {found}` is not NAME=URL")]
    Registry {
        /// What was typed.
        found: String,
        /// Why, when the name is wrong.
        #[source]
        source: Option<InvalidName>,
    },
    /// `--env` is malformed.
    #[error("`--env` needs NAME or NAME=VALUE")]
    Variable(#[source] InvalidVariable),
    /// `--manifest` names no manifest.
    #[error("`--manifest {}` does not end with `.toml`", file.display())]
    ManifestName {
        /// What was typed.
        file: PathBuf,
    },
    /// There is another manifest that was asked for.
    #[error("`--manifest {}` and `{other}` name two manifests", file.display())]
    TwoManifests {
        /// What was typed.
        file: PathBuf,
        /// The other.
        other: String,
    },
    /// The command has no use for `--manifest`.
    #[error("`envbox {verb}` does not take `--manifest`")]
    NoManifest {
        /// The command.
        verb: &'static str,
    },
    /// The process that started this one is gone already.
    #[error("the process that started envbox is gone, and `--die-with-parent` was asked for")]
    ParentGone,
    /// The process that started this one cannot be seen.
    #[error("`--die-with-parent` cannot watch the process that started envbox")]
    NoParent(#[source] io::Error),
    /// `--events` is malformed.
    #[error("`--events {found}` names no descriptor from 3 on")]
    Events {
        /// What was typed.
        found: String,
    },
    /// `--bind` is malformed.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// `--output` is malformed.
    #[error("`--output {found}` is not TRANSPORT:PATH or TRANSPORT:PATH:NAME")]
    Destination {
        /// What was typed.
        found: String,
    },
    /// `--vary` names nothing that can be varied.
    #[error("`--vary` cannot vary `{found}`")]
    Variation {
        /// What was typed.
        found: String,
    },
    /// `--mirror` or `--to` is malformed.
    #[error(transparent)]
    Mirror(#[from] InvalidMirror),
    /// The configuration file is malformed.
    #[error("failed to parse `{}`", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The configuration file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Explain for AmbientError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoCurrentDirectory(_)
            | Self::NoProgram(_)
            | Self::ParentGone
            | Self::NoParent(_)
            | Self::Fs(_) => Kind::Host,
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoStore => "set `ENVBOX_STORE` to a directory",
            Self::NoProgram(_) => "mount /proc",
            Self::NoCurrentDirectory(_) => "change to a directory that exists",
            Self::Registry { .. } => "write `--registry pypi=https://mirror.example/simple`",
            Self::Variable(_) => return Vec::new(),
            Self::ManifestName { .. } => {
                "name a file like `envbox.toml`; a script with a header is named with `--project`"
            }
            Self::TwoManifests { .. } => "leave one of them out",
            Self::NoManifest { .. } => {
                "write the manifest as `envbox.toml` into the project, or leave `--manifest` out"
            }
            Self::Events { .. } => "write `--events fd:3`, or the path of a file",
            Self::Bind(error) => return error.hints(),
            Self::ParentGone => return Vec::new(),
            Self::NoParent(_) => {
                "leave it out where the parent is in another container, as for the first process of one"
            }
            Self::Destination { .. } => {
                "write `oci:DIR`, `oci-archive:FILE` or `docker-archive:FILE`"
            }
            Self::Variation { .. } => {
                let names: Vec<&str> = Variation::names().collect();
                return vec![format!("choose of {}; or `none`", names.join(", "))];
            }
            Self::Mirror(_) => {
                "write `dir:PATH`, `https://mirror.example/envbox` or `registry.example/team/mirror`"
            }
            Self::Config { .. } => {
                "write `NAME = \"URL\"` or `NAME = { url = …, keyring = … }` below `[registries]`, \
                 and `\"HOST:PORT\" = { transport = \"http\" }` below `[image-registries]`"
            }
            Self::Fs(error) => return error.hints(),
        };
        vec![hint.to_owned()]
    }
}

/// Returns the context that the environment and the options make.
pub(crate) fn context(
    global: &Global,
    reporter: Arc<dyn Reporter>,
) -> Result<Context, AmbientError> {
    let store = match &global.store {
        Some(store) => absolute(store)?,
        None => default_store()?,
    };
    let mut context = Context::new(store, Timestamp::now());
    context.network = if global.offline {
        Network::Offline
    } else {
        Network::Online
    };
    configure(&mut context)?;
    if global.images.is_some() {
        context.images.clone_from(&global.images);
    }
    if let Some(mirror) = &global.mirror {
        context.mirror = Some(Mirror::parse(mirror, &current_directory()?)?);
    }
    for text in &global.registry {
        let (name, url) = registry(text)?;
        context.registries.insert(name, url);
    }
    context.certificates = absolute_variable("SSL_CERT_FILE");
    context.diffoscope = on_path("diffoscope");
    context.credentials = credentials();
    context.channel_credentials = channel_credentials();
    context.jobs = std::thread::available_parallelism().map_or(4, |cpus| cpus.get().max(4));
    context.reporter = reporter;
    Ok(context)
}

/// Returns the project's directory: the one given, or the nearest above that has a manifest.
pub(crate) fn project(global: &Global) -> Result<PathBuf, AmbientError> {
    let current = current_directory()?;
    if let Some(project) = &global.project {
        return Ok(current.join(project));
    }
    if global.manifest.is_some() {
        return Ok(current);
    }
    let has_manifest = |directory: &&Path| {
        directory.join(MANIFEST).is_file()
            || std::fs::read_to_string(directory.join(PYPROJECT))
                .is_ok_and(|text| text.contains("[tool.envbox"))
    };
    Ok(current
        .ancestors()
        .find(has_manifest)
        .unwrap_or(&current)
        .to_path_buf())
}

/// Returns the manifest's file, if one is named.
pub(crate) fn manifest(global: &Global) -> Result<Option<PathBuf>, AmbientError> {
    let Some(file) = &global.manifest else {
        return Ok(None);
    };
    match file.extension().is_some_and(|end| end == "toml") {
        true => absolute(file).map(Some),
        false => Err(AmbientError::ManifestName { file: file.clone() }),
    }
}

/// Refuses `--manifest` for a command that makes a manifest, or has no use for one.
pub(crate) fn no_manifest(global: &Global, verb: &'static str) -> Result<(), AmbientError> {
    match global.manifest {
        Some(_) => Err(AmbientError::NoManifest { verb }),
        None => Ok(()),
    }
}

/// Returns the current directory.
pub(crate) fn current_directory() -> Result<PathBuf, AmbientError> {
    env::current_dir().map_err(AmbientError::NoCurrentDirectory)
}

/// How long a step that lost its parent has to be taken down in order.
const GRACE: Duration = Duration::from_secs(2);

/// Returns a pidfd of the process that started this one, and sees to it that this one does not live
/// on without: also while nothing else watches it.
///
/// A death signal would come too early: it is sent when the *thread* that started this process ends,
/// and engines start theirs from pools of threads.
pub(crate) fn parent() -> Result<OwnedFd, AmbientError> {
    let no_parent = |error: Errno| AmbientError::NoParent(error.into());
    let parent = getppid().ok_or_else(|| no_parent(Errno::SRCH))?;
    let watched = match pidfd_open(parent, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Err(AmbientError::ParentGone),
        watched => watched.map_err(no_parent)?,
    };
    // Its number may be another's by now; then somebody else has adopted us.
    if getppid() != Some(parent) {
        return Err(AmbientError::ParentGone);
    }
    let copy = watched.try_clone().map_err(AmbientError::NoParent)?;
    thread::spawn(move || {
        let mut events = [PollFd::new(&copy, PollFlags::IN)];
        while let Ok(0) | Err(Errno::INTR) = poll(&mut events, None) {}
        thread::sleep(GRACE);
        // Who waits for us is gone. The store and the project are safe against this.
        let _gone = kill_process(getpid(), Signal::KILL);
    });
    Ok(watched)
}

/// Returns the time.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns the file of this program.
pub(crate) fn program() -> Result<PathBuf, AmbientError> {
    env::current_exe().map_err(AmbientError::NoProgram)
}

/// Returns the caller's whole environment.
pub(crate) fn variables() -> BTreeMap<OsString, OsString> {
    env::vars_os().collect()
}

/// Where distributions put the library that shows a program another date.
const FAKETIME: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
];

/// Returns the file of a program on the caller's path.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut files = env::split_paths(&path).map(|directory| directory.join(name));
    files.find(|file| file.is_absolute() && file.is_file())
}

/// Returns the library that shows a program another date, if it is installed.
pub(crate) fn faketime() -> Option<PathBuf> {
    let mut places = FAKETIME.iter().map(PathBuf::from);
    places.find(|path| path.is_file())
}

/// Returns the file that GitHub Actions shows as a step's summary.
pub(crate) fn step_summary() -> Option<PathBuf> {
    absolute_variable("GITHUB_STEP_SUMMARY")
}

/// Returns where below its repository a directory is; of GitHub Actions or GitLab's, the variable
/// that they have for it says.
pub(crate) fn place_in_repository(directory: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let directory = real(directory);
    let root = absolute_variable("GITHUB_WORKSPACE")
        .or_else(|| absolute_variable("CI_PROJECT_DIR"))
        .map(|root| real(&root))
        .filter(|root| directory.starts_with(root))
        .or_else(|| {
            let mut above = directory.ancestors();
            above
                .find(|above| above.join(".git").exists())
                .map(PathBuf::from)
        });
    let below = root.and_then(|root| directory.strip_prefix(root).ok().map(PathBuf::from));
    below.unwrap_or_default()
}

/// Adds text at the end of a file, which is made if there is none.
pub(crate) fn append(file: &Path, text: &str) -> Result<(), AmbientError> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.append(true).create(true).open(file);
    let written = opened.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    Ok(written.map_err(FsError::at("write", file))?)
}

/// Returns the program's name and its arguments.
pub(crate) fn words() -> Vec<OsString> {
    env::args_os().collect()
}

/// Says whether `--json` stands on a command line that could not be parsed.
pub(crate) fn asks_for_json() -> bool {
    words()
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json")
}

/// Says whether a person sees the progress.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Says whether a person sits at both ends of a step.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Says whether a person can be asked.
pub(crate) fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Returns the password of a signing key, by the name that cosign gives it.
pub(crate) fn key_password() -> Option<Vec<u8>> {
    env::var_os("COSIGN_PASSWORD").map(OsString::into_vec)
}

/// Returns a path that the user typed, from the current directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, AmbientError> {
    Ok(current_directory()?.join(path))
}

fn absolute_variable(name: &str) -> Option<PathBuf> {
    // The XDG base directory specification has relative paths ignored.
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Returns the directory of the journal of runs, if there is a place for it.
pub(crate) fn journal() -> Option<PathBuf> {
    absolute_variable("XDG_STATE_HOME")
        .or_else(|| Some(absolute_variable("HOME")?.join(".local/state")))
        .map(|state| state.join("envbox").join("runs"))
}

/// Returns the run of MLflow's that this command is a part of, if it is one.
pub(crate) fn mlflow() -> Option<MlflowRun> {
    let text = |name| env::var(name).ok().filter(|text| !text.is_empty());
    Some(MlflowRun {
        tracking: text("MLFLOW_TRACKING_URI")?,
        run: text("MLFLOW_RUN_ID")?,
    })
}

fn default_store() -> Result<PathBuf, AmbientError> {
    if let Some(store) = env::var_os("ENVBOX_STORE").filter(|store| !store.is_empty()) {
        return absolute(Path::new(&store));
    }
    absolute_variable("XDG_CACHE_HOME")
        .or_else(|| Some(absolute_variable("HOME")?.join(".cache")))
        .map(|cache| cache.join("envbox"))
        .ok_or(AmbientError::NoStore)
}

/// Adds what the user's `envbox/config.toml` says, if there is one.
fn configure(context: &mut Context) -> Result<(), AmbientError> {
    let directory = absolute_variable("XDG_CONFIG_HOME")
        .or_else(|| Some(absolute_variable("HOME")?.join(".config")));
    let Some(directory) = directory.map(|directory| directory.join("envbox")) else {
        return Ok(());
    };
    let file = directory.join("config.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FsError::at("read", &file)(error).into()),
    };
    let config: Config = toml::from_str(&text).map_err(|source| AmbientError::Config {
        file,
        source: Box::new(source),
    })?;
    context.images = config.images;
    let mirror = config.mirror.as_deref();
    context.mirror = mirror
        .map(|mirror| Mirror::parse(mirror, &directory))
        .transpose()?;
    for (host, ImageRegistry { transport }) in config.image_registries {
        context.image_registries.insert(host, transport);
    }
    for (name, Registry { url, keyring }) in config.registries {
        if let Some(keyring) = keyring {
            let keyring = directory.join(keyring);
            context.keyrings.insert(name.clone(), keyring);
        }
        if let Some(url) = url {
            context.registries.insert(name, url);
        }
    }
    Ok(())
}

/// Returns the files where podman, skopeo and docker keep credentials. What a variable names goes
/// before the usual places.
fn credentials() -> Vec<PathBuf> {
    let home = |path| Some(absolute_variable("HOME")?.join(path));
    let below = |name, path| Some(absolute_variable(name)?.join(path));
    [
        absolute_variable("REGISTRY_AUTH_FILE"),
        below("DOCKER_CONFIG", "config.json"),
        below("XDG_RUNTIME_DIR", "containers/auth.json"),
        below("XDG_CONFIG_HOME", "containers/auth.json")
            .or_else(|| home(".config/containers/auth.json")),
        home(".docker/config.json"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the files where conda's programs and curl keep credentials. What a variable names goes
/// before the usual places.
fn channel_credentials() -> Vec<PathBuf> {
    let home = |path| Some(absolute_variable("HOME")?.join(path));
    [
        absolute_variable("RATTLER_AUTH_FILE"),
        home(".rattler/credentials.json"),
        absolute_variable("NETRC").or_else(|| home(".netrc")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn registry(text: &str) -> Result<(RegistryName, String), AmbientError> {
    let invalid = |source| AmbientError::Registry {
        found: text.to_owned(),
        source,
    };
    let (name, url) = text.split_once('=').ok_or_else(|| invalid(None))?;
    Ok((
        name.parse().map_err(|error| invalid(Some(error)))?,
        url.to_owned(),
    ))
}
