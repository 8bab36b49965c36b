//! How an image came to be: SLSA provenance (<https://slsa.dev/spec/v1.0/provenance>).

use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::Platform;
use envbox_lockfiles::lock::{Artifact, Lockfile, Origin};
use serde::{Deserialize, Serialize};

use crate::attest::inventory::Inventory;
use crate::attest::statement::{DigestSet, ResourceWire};
use crate::attest::{AttestError, PREDICATE_PROVENANCE, Statement, Subject};

/// Names the way of building that [`ParametersWire`] describes. Raise its number when a parameter
/// changes its meaning.
const BUILD_TYPE: &str = "urn:envbox:image:1";

const WHAT: &str = "provenance";

/// Who builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// A URI for who can be held to account for the build: a CI system and its trust.
    pub id: String,
    /// The version of envbox.
    pub version: String,
}

impl Default for Builder {
    /// Says no more than that it was some envbox, this one.
    fn default() -> Self {
        Self {
            id: "urn:envbox:builder".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProvenanceWire {
    build_definition: DefinitionWire,
    run_details: RunDetailsWire,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DefinitionWire {
    build_type: String,
    external_parameters: ParametersWire,
    resolved_dependencies: Vec<ResourceWire>,
}

/// All that decides what is built.
#[derive(Serialize, Deserialize)]
struct ParametersWire {
    environment: String,
    platform: String,
    lock: DigestSet,
    manifest: DigestSet,
}

#[derive(Serialize, Deserialize)]
struct RunDetailsWire {
    builder: BuilderWire,
}

#[derive(Serialize, Deserialize)]
struct BuilderWire {
    id: String,
    version: BTreeMap<String, String>,
}

/// Returns the statement that `subject` was built from `lock` for `platform`, with every artifact.
///
/// It holds no time and no name of the run: the same build says the same. It names no host: an
/// artifact is a package URL, a registry's name and a digest; only an artifact that the lock has
/// from a URL has that URL.
///
/// # Errors
/// Returns [`AttestError::Platform`] when the lock has nothing for the platform.
pub fn provenance(
    lock: &Lockfile,
    platform: Platform,
    subject: &Subject,
    builder: &Builder,
) -> Result<Vec<u8>, AttestError> {
    let predicate = ProvenanceWire {
        build_definition: DefinitionWire {
            build_type: BUILD_TYPE.to_owned(),
            external_parameters: ParametersWire {
                environment: lock.request.name.to_string(),
                platform: platform.to_string(),
                lock: lock.digest().into(),
                manifest: lock.request.digest().into(),
            },
            resolved_dependencies: dependencies(lock, platform)?,
        },
        run_details: RunDetailsWire {
            builder: BuilderWire {
                id: builder.id.clone(),
                version: [("envbox".to_owned(), builder.version.clone())].into(),
            },
        },
    };
    Ok(Statement::write(subject, PREDICATE_PROVENANCE, &predicate))
}

/// Checks that a statement, whose signature was verified, says that its subject was built from
/// `lock` for `platform` and from the lock's artifacts alone.
///
/// # Errors
/// Returns [`AttestError::Lock`] or [`AttestError::Artifacts`] when it says something else, and
/// [`AttestError::Type`] when it is another kind of statement.
pub fn check_provenance(
    statement: &Statement,
    lock: &Lockfile,
    platform: Platform,
) -> Result<(), AttestError> {
    expect(&statement.predicate_type, PREDICATE_PROVENANCE, "predicate")?;
    let said = ProvenanceWire::deserialize(&statement.predicate)
        .map_err(|source| AttestError::Document { what: WHAT, source })?
        .build_definition;
    expect(&said.build_type, BUILD_TYPE, "build")?;
    expect(
        &said.external_parameters.platform,
        &platform.to_string(),
        "platform",
    )?;
    let signed = said.external_parameters.lock.sha256();
    if signed != Some(lock.digest()) {
        return Err(AttestError::Lock {
            lock: lock.digest(),
            signed,
        });
    }
    // The lock's digest covers them; this tells of a builder that took something else all the same.
    let locked: BTreeSet<ResourceWire> = dependencies(lock, platform)?.into_iter().collect();
    let named: BTreeSet<ResourceWire> = said.resolved_dependencies.into_iter().collect();
    let only = |these: &BTreeSet<ResourceWire>, those: &BTreeSet<ResourceWire>| -> Vec<String> {
        let names = these.difference(those).map(|one| one.name.clone());
        names.map(Option::unwrap_or_default).collect()
    };
    let (missing, unknown) = (only(&locked, &named), only(&named, &locked));
    match missing.is_empty() && unknown.is_empty() {
        true => Ok(()),
        false => Err(AttestError::Artifacts { missing, unknown }),
    }
}

fn expect(found: &str, expected: &str, what: &'static str) -> Result<(), AttestError> {
    match found == expected {
        true => Ok(()),
        false => Err(AttestError::Type {
            what,
            found: found.to_owned(),
            expected: expected.to_owned(),
        }),
    }
}

fn dependencies(lock: &Lockfile, platform: Platform) -> Result<Vec<ResourceWire>, AttestError> {
    let inventory = Inventory::of(lock, platform)?;
    let components = inventory.components.into_iter();
    Ok(components
        .map(|component| resource(component.artifact, component.purl))
        .collect())
}

fn resource(artifact: &Artifact, purl: String) -> ResourceWire {
    let size = ("size".to_owned(), artifact.size.to_string());
    let origin = match &artifact.origin {
        Origin::Registry(name) => ("registry".to_owned(), name.to_string()),
        Origin::Url(url) => ("url".to_owned(), url.clone()),
        Origin::Built => ("built".to_owned(), "of the lock's source".to_owned()),
    };
    ResourceWire {
        name: Some(artifact.file.clone()),
        uri: Some(purl),
        digest: artifact.digest.into(),
        annotations: [origin, size].into(),
    }
}
