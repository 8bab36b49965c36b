//! `envbox inside`: the step's status is the command's, as with `run`.

use std::path::PathBuf;
use std::process::ExitCode;

use envbox::ops::Error;
use envbox::ops::inside::{
    InsideOptions, InsidePolicy, InsideReport, Refusals, State, inside as run_step,
};
use envbox::ops::run::{Rest, failure_document, write_document};
use envbox_sandbox::{Exit, Orphans};

use crate::ambient::{self, AmbientError};
use crate::args::{self, Global};
use crate::commands::reporter;
use crate::commands::run::{clock, parent, terminal, variables};
use crate::render::{self, Failure};

pub(super) fn inside(global: &Global, args: args::Inside) -> ExitCode {
    let file = args
        .conditions
        .result_file
        .as_deref()
        .map(ambient::absolute);
    let done = file.transpose().map_err(Failure::from).and_then(|file| {
        let audit = args.audit;
        let report = match run(global, args) {
            Ok(report) => report,
            Err(failure) => {
                let (kind, code) = (failure.kind(), failure.run_code());
                let document = failure_document(failure.error(), kind, code, failure.hints());
                write(&document, file)?;
                return Err(failure);
            }
        };
        write(&report.document(), file)?;
        tell(global, &report, audit)?;
        Ok(report)
    });
    match done {
        Ok(report) => passed_through(report.exit),
        Err(failure) => render::error::failure_as(&failure, global.json, failure.run_code()),
    }
}

fn write(document: &impl serde::Serialize, file: Option<PathBuf>) -> Result<(), Failure> {
    render::events::result(document);
    let written = file.map_or(Ok(()), |file| write_document(document, &file));
    written.map_err(|error| AmbientError::from(error).into())
}

fn run(global: &Global, args: args::Inside) -> Result<InsideReport, Failure> {
    let found = match &args.policy {
        Some(file) => Some(InsidePolicy::read(file)),
        None => InsidePolicy::of_image().transpose(),
    };
    let found = found.transpose().map_err(Error::from)?;
    let (policy, digest) = match found {
        Some((policy, digest)) => (policy, Some(digest)),
        None => (InsidePolicy::without_manifest(), None),
    };
    let options = InsideOptions {
        policy: digest,
        ..options(args)?
    };
    let reporter = reporter(global)?;
    Ok(run_step(&*reporter, &policy, &options)?)
}

fn options(args: args::Inside) -> Result<InsideOptions, AmbientError> {
    let conditions = args.conditions;
    Ok(InsideOptions {
        argv: args.command.argv,
        terminal: terminal(&conditions),
        parent: parent(&conditions)?,
        env: variables(conditions.world.env)?,
        host_env: ambient::variables(),
        rest: match args.keep_env {
            true => Rest::Kept,
            false => Rest::Cleared,
        },
        seed: conditions.world.seed.map(u64::from),
        clock: conditions.world.clock.as_deref().map(clock),
        cpus: conditions.world.cpus,
        refusals: match args.best_effort {
            true => Refusals::PassOver,
            false => Refusals::Fail,
        },
        current_directory: ambient::current_directory()?,
        orphans: match is_pid_1() {
            true => Orphans::Reap,
            false => Orphans::Leave,
        },
        audit: args.audit,
        started: ambient::now(),
        ..InsideOptions::default()
    })
}

fn is_pid_1() -> bool {
    std::process::id() == 1
}

/// Standard output is the step's, unless a document is asked for.
fn tell(global: &Global, report: &InsideReport, audit: bool) -> Result<(), Failure> {
    if global.json {
        return render::json(&report.document());
    }
    if let Some(sources) = &report.sources {
        render::note(render::audit::text(sources).trim_end());
    }
    if audit {
        render::note("\nin this container:");
        for hold in &report.holds {
            let state = match hold.state {
                State::Held => "held",
                State::Recorded => "recorded",
                State::NotHeld => "NOT HELD",
            };
            render::note(&format!("  {:<16} {state:<9} {}", hold.source, hold.by));
        }
    }
    Ok(())
}

fn passed_through(exit: Exit) -> ExitCode {
    match exit {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(signal) => {
            render::mirror(signal);
            // Pid 1 cannot die of a signal of its own; who waits for it knows this number.
            ExitCode::from(128_u8.wrapping_add(signal as u8))
        }
    }
}
