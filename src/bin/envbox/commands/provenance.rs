//! `envbox provenance`.

use std::process::ExitCode;

use envbox::attest::Builder;
use envbox::ops::provenance::{ProvenanceOptions, provenance as state};

use crate::args;
use crate::commands::{Session, document, signing_key};
use crate::render::Failure;

pub(super) fn provenance(session: &Session, args: &args::Provenance) -> Result<ExitCode, Failure> {
    let mut builder = Builder::default();
    if let Some(id) = &args.builder_id {
        builder.id.clone_from(id);
    }
    let options = ProvenanceOptions {
        subject: args.subject.clone(),
        platform: args.platform,
        builder,
    };
    let key = args.key.as_deref().map(signing_key).transpose()?;
    let mut bytes = state(&session.project_with(&args.groups)?, &options, key.as_ref())?;
    if args.output.is_none() {
        bytes.push(b'\n');
    }
    document::write(
        session,
        "envbox.provenance/1",
        &bytes,
        args.output.as_deref(),
    )
}
