//! `envbox key`: the key of a step, and keys to sign with.

use std::process::ExitCode;

use envbox::ops::key::generate;
use envbox::ops::run::{Access, KeyCode, RunOptions, step_key};
use p256::elliptic_curve::rand_core::OsRng;

use crate::args::{Key, KeyCommand};
use crate::commands::Session;
use crate::commands::run::{binds, clock, network, opened, variables};
use crate::render::Failure;
use crate::{ambient, password};

pub(super) fn key(session: &Session, args: Key) -> Result<ExitCode, Failure> {
    match args.command {
        Some(command) => make(session, &command),
        None => print(session, args),
    }
}

/// Prints the key of a step.
fn print(session: &Session, args: Key) -> Result<ExitCode, Failure> {
    let mut options = RunOptions {
        argv: args.argv,
        argv0: args.argv0,
        env: variables(args.world.env)?,
        host_env: ambient::variables(),
        current_directory: ambient::current_directory()?,
        access: match args.direct {
            true => Access::Direct,
            false => Access::Overlay,
        },
        seed: args.world.seed.map(u64::from),
        clock: args.world.clock.as_deref().map(clock),
        cpus: args.world.cpus,
        network: args.sight.network.as_deref().map(network),
        binds: binds(&args.sight)?,
        working_directory: args.sight.workdir,
        ..RunOptions::default()
    };
    let project = opened(session, args.groups.chosen(), &mut options)?;
    let code = match args.without_code {
        true => KeyCode::None,
        false => KeyCode::Project,
    };
    let key = step_key(&session.context, &project, &options, code)?;
    session.print("envbox.key/1", &key, |key| format!("{}\n", key.key))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes keys to sign with.
fn make(session: &Session, command: &KeyCommand) -> Result<ExitCode, Failure> {
    let KeyCommand::Generate {
        output_key_prefix,
        unencrypted,
    } = command;
    let prefix = ambient::absolute(output_key_prefix)?;
    let password = match unencrypted {
        true => None,
        false => Some(password::choose()?),
    };
    let report = generate(&prefix, password.as_ref(), &mut OsRng)?;
    session.tell("envbox.key.generate/1", &report, |report| {
        let (private, public) = (report.private_key.display(), report.public_key.display());
        let digest = report.digest;
        format!("wrote `{private}` and `{public}`: the key {digest}\n")
    })?;
    Ok(ExitCode::SUCCESS)
}
