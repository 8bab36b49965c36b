//! One file a verb: arguments → options → `ops` → `render`.

mod audit;
mod build;
mod data;
mod diff;
mod doctor;
mod document;
mod edit;
mod export;
mod export_step;
mod fetch;
mod gpu;
mod import;
mod init;
mod inside;
mod key;
mod lock;
mod mirror;
mod provenance;
mod pull;
mod report;
mod run;
mod runs;
mod sbom;
mod script;
mod store;
mod tree;
mod verify;
mod verify_attestation;
mod version;
mod why;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anstream::ColorChoice;
use envbox::attest::PrivateKey;
use envbox::base::{Context, Reporter, Silent};
use envbox::ops::Project;
use envbox::ops::provenance::private_key;
use envbox::ops::run::Locking;
use envbox_sandbox::HeadStart;
use serde::Serialize;

use crate::ambient::AmbientError;
use crate::args::{self, Args, Color, Command, Global};
use crate::render::{self, Failure, progress::Progress};
use crate::{ambient, password};

/// What a command works with.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) context: Context,
}

impl Session {
    fn new(global: Global) -> Result<Self, Failure> {
        let reporter = reporter(&global)?;
        let context = ambient::context(&global, reporter)?;
        Ok(Self { global, context })
    }

    fn project(&self) -> Result<Project, Failure> {
        let manifest = ambient::manifest(&self.global)?;
        match (script::named(self)?, manifest) {
            (Some(script), Some(file)) => Err(AmbientError::TwoManifests {
                file,
                other: format!("--project {}", script.below().display()),
            }
            .into()),
            (Some(script), None) => script.open(self),
            (None, Some(file)) => {
                let directory = ambient::project(&self.global)?;
                Ok(Project::open_manifest(&directory, &file)?)
            }
            (None, None) => Ok(Project::open(&ambient::project(&self.global)?)?),
        }
    }

    /// Returns the project with groups chosen.
    fn project_with(&self, groups: &args::Groups) -> Result<Project, Failure> {
        Ok(self.project()?.with_groups(groups.chosen())?)
    }

    /// Prints what was asked for: as a document, or in words.
    fn print<T: Serialize>(
        &self,
        schema: &str,
        report: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        render::events::result(&render::Document { schema, report });
        match self.global.json {
            true => render::document(schema, report),
            false => render::result(&text(report)),
        }
    }

    /// Prints what was done: as a document, or in words unless those are not wanted.
    fn tell<T: Serialize>(
        &self,
        schema: &str,
        report: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.global.quiet && !self.global.json {
            true => {
                render::events::result(&render::Document { schema, report });
                Ok(())
            }
            false => self.print(schema, report, text),
        }
    }
}

/// Returns who is told of progress, and opens what `--events` names.
fn reporter(global: &Global) -> Result<Arc<dyn Reporter>, AmbientError> {
    if let Some(named) = &global.events {
        render::events::open(named)?;
    }
    Ok(render::events::reporter(match global.quiet {
        true => Arc::new(Silent),
        false => Arc::new(Progress::new(ambient::stderr_is_terminal())),
    }))
}

/// Reads the private key in a file, and asks for its password when it is sealed.
fn signing_key(file: &Path) -> Result<PrivateKey, Failure> {
    let file = ambient::absolute(file)?;
    let ask = || password::ask("password of the key");
    Ok(private_key(&file, ask)?)
}

fn locking(frozen: bool) -> Locking {
    match frozen {
        true => Locking::Frozen,
        false => Locking::Update,
    }
}

/// Runs the command, and returns the code to exit with. Only a step can use a head start.
pub(crate) fn dispatch(args: Args, head_start: Option<HeadStart>) -> ExitCode {
    let Args { global, command } = args;
    match global.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
    .write_global();
    let json = global.json;
    let command = match command {
        // A container has no store and no project.
        Command::Inside(args) => return inside::inside(&global, args),
        Command::Vary(args) => return verify::vary(args),
        command => command,
    };
    let session = Session::new(global);
    let done = match command {
        // A step's status is passed through, so these have codes of their own.
        Command::Run(args) => return run::run(session, args, head_start, json),
        Command::Audit(args) => return audit::audit(session, args, json),
        Command::Shell(args) => return run::shell(session, args, json),
        Command::Verify(args) => return verify::verify(session, args, json),
        Command::Inside(_) | Command::Vary(_) => unreachable!("were returned above"),
        Command::Init(args) => session.and_then(|session| init::init(&session, &args)),
        Command::Import(args) => session.and_then(|session| import::import(&session, &args)),
        Command::Lock(args) => session.and_then(|session| lock::lock(&session, &args)),
        Command::Add(args) => session.and_then(|session| edit::add(&session, &args)),
        Command::Remove(args) => session.and_then(|session| edit::remove(&session, &args)),
        Command::Tree(args) => session.and_then(|session| tree::tree(&session, &args)),
        Command::Why(args) => session.and_then(|session| why::why(&session, &args)),
        Command::Diff(args) => session.and_then(|session| diff::diff(&session, &args)),
        Command::Runs(args) => session.and_then(|session| runs::runs(&session, &args)),
        Command::Show(args) => session.and_then(|session| runs::show(&session, &args)),
        Command::Report(args) => session.and_then(|session| report::report(&session, &args)),
        Command::Replay(args) => session.and_then(|session| runs::replay(&session, &args)),
        Command::Data(command) => session.and_then(|session| data::data(&session, &command)),
        Command::Build(args) => session.and_then(|session| build::build(&session, &args)),
        Command::Export(args) => session.and_then(|session| export::export(&session, &args)),
        Command::Pull(args) => session.and_then(|session| pull::pull(&session, &args)),
        Command::Fetch => session.and_then(|session| fetch::fetch(&session)),
        Command::Mirror(args) => session.and_then(|session| mirror::mirror(&session, &args)),
        Command::Gpu { command } => {
            session.and_then(|session| gpu::gpu(&session, command.as_ref()))
        }
        Command::Doctor => session.and_then(|session| doctor::doctor(&session)),
        Command::Sbom(args) => session.and_then(|session| sbom::sbom(&session, &args)),
        Command::Provenance(args) => {
            session.and_then(|session| provenance::provenance(&session, &args))
        }
        Command::VerifyAttestation(args) => {
            session.and_then(|session| verify_attestation::verify_attestation(&session, &args))
        }
        Command::Key(args) => session.and_then(|session| key::key(&session, args)),
        Command::Version => session.and_then(|session| version::version(&session)),
        Command::Store(args) => session.and_then(|session| store::store(&session, &args)),
    };
    done.unwrap_or_else(|failure| render::error::failure(&failure, json))
}
