//! `envbox run` and `envbox shell`: the step's status is the command's.

use std::ffi::OsString;
use std::process::ExitCode;

use envbox::base::Kind;
use envbox::ops::Project;
use envbox::ops::run::{
    Access, Locking, RunOptions, RunReport, Variable, run as run_step, write_failure,
};
use envbox_sandbox::{Exit, Terminal, mirror_signal};

use crate::ambient::{self, AmbientError};
use crate::args;
use crate::commands::Session;
use crate::exit;
use crate::render::{self, Failure};

pub(super) fn run(session: &Session, args: args::Run) -> ExitCode {
    let terminal = if ambient::is_interactive() {
        Terminal::Pty
    } else {
        Terminal::None
    };
    step(session, args.step, args.command, args.argv0, terminal)
}

pub(super) fn shell(session: &Session, args: args::Shell) -> ExitCode {
    let terminal = if ambient::is_interactive() {
        Terminal::Pty
    } else {
        Terminal::None
    };
    // `bash` is in every base; without `-l` it reads no profile that could differ.
    step(
        session,
        args.step,
        vec!["bash".into(), "--norc".into()],
        None,
        terminal,
    )
}

fn step(
    session: &Session,
    args: args::Step,
    argv: Vec<OsString>,
    argv0: Option<OsString>,
    terminal: Terminal,
) -> ExitCode {
    let mut options = match options(args, argv, argv0, terminal) {
        Ok(options) => options,
        Err(error) => return failed(session, &Failure::Ambient(error), 125),
    };
    let opened = ambient::project(&session.global).map_err(Failure::from);
    let opened = opened.and_then(|directory| Ok(Project::open(&directory)?));
    let project = match opened {
        Ok(project) => project,
        Err(failure) => {
            if let Failure::Verb(error) = &failure
                && let Err(error) = write_failure(error, &options)
            {
                return failed(session, &error.into(), 125);
            }
            return failed(session, &failure, 125);
        }
    };
    // `--project` from elsewhere: the step starts where the project is.
    if session.global.project.is_some()
        && !options.current_directory.starts_with(project.directory())
    {
        options.current_directory = project.directory().to_path_buf();
    }
    match run_step(&session.context, &project, &options) {
        Ok(report) => done(session, &report),
        Err(error) => {
            let status = error.run_exit_status();
            failed(session, &error.into(), status)
        }
    }
}

fn options(
    args: args::Step,
    argv: Vec<OsString>,
    argv0: Option<OsString>,
    terminal: Terminal,
) -> Result<RunOptions, AmbientError> {
    let variables: Result<Vec<Variable>, _> =
        args.env.into_iter().map(Variable::try_from).collect();
    Ok(RunOptions {
        argv,
        argv0,
        env: variables.map_err(AmbientError::Variable)?,
        host_env: ambient::variables(),
        current_directory: ambient::current_directory()?,
        locking: if args.frozen {
            Locking::Frozen
        } else {
            Locking::Update
        },
        access: if args.direct {
            Access::Direct
        } else {
            Access::Overlay
        },
        terminal,
        result_file: args
            .result_file
            .as_deref()
            .map(ambient::absolute)
            .transpose()?,
        ..RunOptions::default()
    })
}

fn failed(session: &Session, failure: &Failure, code: u8) -> ExitCode {
    render::error::failure_as(failure, session.global.json, code)
}

fn done(session: &Session, report: &RunReport) -> ExitCode {
    if session.global.json {
        render::json(&report.document());
    } else {
        for warning in report.warnings() {
            render::note(&format!("warning: {warning}"));
        }
        if let Some(summary) = report.summary().filter(|_| !session.global.quiet) {
            render::note(&format!("envbox: {summary}"));
        }
    }
    match report.exit_status() {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(signal) => {
            // Who waits for us sees the step's death as if there had been nothing between.
            mirror_signal(signal);
            ExitCode::from(exit::of_kind(Kind::Internal))
        }
    }
}
