//! `envbox tree`.

use std::process::ExitCode;

use envbox::ops::tree::tree as list;

use crate::args;
use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn tree(session: &Session, args: &args::Tree) -> Result<ExitCode, Failure> {
    let report = list(&session.project()?, args.platform)?;
    session.print("envbox.tree/1", &report, |report| {
        render::tree::text(report, args.depth)
    })?;
    Ok(ExitCode::SUCCESS)
}
