//! `envbox init`.

use std::process::ExitCode;

use envbox::ops::init::{init as write_manifest, init_from as write_from};

use crate::commands::{Session, import};
use crate::render::Failure;
use crate::{ambient, args};

pub(super) fn init(session: &Session, args: &args::Init) -> Result<ExitCode, Failure> {
    ambient::no_manifest(&session.global, "init")?;
    // Not the nearest project above: this is where a new one begins.
    let directory = match &session.global.project {
        Some(project) => ambient::absolute(project)?,
        None => ambient::current_directory()?,
    };
    let report = match &args.from {
        None => write_manifest(&directory)?,
        Some(file) => write_from(
            &directory,
            &ambient::absolute(file)?,
            &(&args.choice).into(),
        )?,
    };
    session.tell("envbox.init/1", &report, |report| {
        let left_out = import::left_out(&report.left_out);
        left_out + &format!("wrote `{}`\n", report.manifest.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
