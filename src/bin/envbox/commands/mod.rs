//! One file a verb: arguments → options → `ops` → `render`.

mod doctor;
mod fetch;
mod init;
mod lock;
mod run;
mod store;

use std::process::ExitCode;
use std::sync::Arc;

use envbox::base::{Context, Reporter, Silent};
use envbox::ops::Project;

use crate::ambient;
use crate::args::{Args, Command, Global};
use crate::render::{self, Failure, progress::Progress};

/// What a command works with.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) context: Context,
}

impl Session {
    fn project(&self) -> Result<Project, Failure> {
        Ok(Project::open(&ambient::project(&self.global)?)?)
    }
}

/// Runs the command and returns the code to exit with.
pub(crate) fn dispatch(args: Args) -> ExitCode {
    let Args { global, command } = args;
    let json = global.json;
    let failed = |failure: Failure| render::error::failure(&failure, json);
    let reporter: Arc<dyn Reporter> = match global.quiet {
        true => Arc::new(Silent),
        false => Arc::new(Progress::new(ambient::stderr_is_terminal())),
    };
    let context = match ambient::context(&global, reporter) {
        Ok(context) => context,
        Err(error) => return failed(error.into()),
    };
    let session = Session { global, context };
    let done = match command {
        Command::Init => init::init(&session),
        Command::Lock(args) => lock::lock(&session, &args),
        Command::Fetch => fetch::fetch(&session),
        Command::Doctor => doctor::doctor(&session),
        Command::Store(args) => store::store(&session, &args),
        // A step's status is passed through, so these two have codes of their own.
        Command::Run(args) => return run::run(&session, args),
        Command::Shell(args) => return run::shell(&session, args),
    };
    done.unwrap_or_else(failed)
}
