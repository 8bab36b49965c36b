//! Requirements files with exact versions: what `pip freeze`, `pip-compile` and `uv pip compile`
//! write.

use std::path::Path;
use std::str::FromStr as _;

use uv_pep440::Operator;
use uv_pep508::{VerbatimUrl, VersionOrUrl};

use crate::base::{Digest, PythonName};
use crate::foreign::{
    ForeignError, ForeignLock, Format, LeftOut, LeftOutReason, Outline, python_choice,
};
use crate::manifest::{HashedRequirement, read_requirements};
use crate::resolve::{PinSource, PinnedFile, Pins, PythonPin};

/// Reads the requirements file at `file`, with those that it names.
pub(super) fn read(file: &Path) -> Result<ForeignLock, ForeignError> {
    let mut pins = Pins::default();
    let mut left_out = Vec::new();
    let mut requirements = Vec::new();
    for line in read_requirements(file)? {
        pins.python.extend(pin(&line, &mut left_out));
        requirements.push(line.requirement);
    }
    Ok(ForeignLock {
        format: Format::Requirements,
        outline: Outline {
            python: python_choice::python(None, &pins),
            requirements,
            ..Outline::default()
        },
        pins,
        left_out,
    })
}

/// Returns the pin that a line is, if it names one version or one URL.
fn pin(line: &HashedRequirement, left_out: &mut Vec<LeftOut>) -> Option<PythonPin> {
    let requirement = uv_pep508::Requirement::<VerbatimUrl>::from_str(&line.requirement)
        .expect("the manifest's reader has parsed it");
    let name: PythonName = requirement
        .name
        .as_str()
        .parse()
        .expect("uv's names are normalized as PEP 503 says");
    let (version, source) = match requirement.version_or_url? {
        VersionOrUrl::VersionSpecifier(specifiers) => {
            let [exact] = &*specifiers else { return None };
            if !matches!(exact.operator(), Operator::Equal | Operator::ExactEqual) {
                return None;
            }
            (exact.version().to_string(), PinSource::Index(None))
        }
        // The requirement itself says where it is; only its digest is worth a pin.
        VersionOrUrl::Url(url) => (String::new(), PinSource::Url(url.to_string())),
    };
    let digests = line.hashes.iter().map(|hash| hash.parse::<Digest>());
    let digests: Vec<_> = digests.filter_map(Result::ok).collect();
    if digests.is_empty() && !line.hashes.is_empty() {
        left_out.push(LeftOut {
            what: format!("digests of {name}"),
            reason: LeftOutReason::OtherDigest,
        });
    }
    let file = |digest| PinnedFile {
        file: None,
        size: None,
        digest,
    };
    Some(PythonPin {
        name,
        version,
        marker: requirement.marker,
        source,
        files: digests.into_iter().map(file).collect(),
    })
}
