//! `envbox sbom`.

use std::process::ExitCode;

use envbox::attest::SbomFormat;
use envbox::ops::sbom::{LicenceSource, SbomVerbOptions, sbom as list};

use crate::args;
use crate::commands::{Session, document};
use crate::render::Failure;

pub(super) fn sbom(session: &Session, args: &args::Sbom) -> Result<ExitCode, Failure> {
    let options = SbomVerbOptions {
        format: match args.format {
            args::SbomFormat::Spdx => SbomFormat::Spdx,
            args::SbomFormat::Cyclonedx => SbomFormat::CycloneDx,
        },
        platform: args.platform,
        licences: match args.lock_only {
            true => LicenceSource::Nowhere,
            false => LicenceSource::Packages,
        },
    };
    let bytes = list(
        &session.context,
        &session.project_with(&args.groups)?,
        &options,
    )?
    .to_bytes();
    document::write(session, "envbox.sbom/1", &bytes, args.output.as_deref())
}
