//! `envbox provenance`.

use std::process::ExitCode;

use envbox::attest::Builder;
use envbox::ops::provenance::{ProvenanceOptions, private_key, provenance as state};

use crate::args;
use crate::commands::{Session, document};
use crate::render::Failure;
use crate::{ambient, password};

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
    let key = args.key.as_deref().map(|file| {
        let file = ambient::absolute(file)?;
        Ok::<_, Failure>(private_key(&file, || password::ask("password of the key"))?)
    });
    let key = key.transpose()?;
    let mut bytes = state(&session.project()?, &options, key.as_ref())?;
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
