//! `envbox key`.

use std::process::ExitCode;

use envbox::ops::key::generate;
use p256::elliptic_curve::rand_core::OsRng;

use crate::args::KeyCommand;
use crate::commands::Session;
use crate::render::Failure;
use crate::{ambient, password};

pub(super) fn key(session: &Session, command: &KeyCommand) -> Result<ExitCode, Failure> {
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
