//! SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).

use std::collections::BTreeMap;

use envbox_lockfiles::lock::Origin;
use jiff::Timestamp;
use serde::Serialize;

use crate::attest::Licences;
use crate::attest::inventory::{Component, Inventory, Kind};
use crate::attest::sbom::identity;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const ENVIRONMENT: &str = "SPDXRef-Environment";

/// SPDX's word for what nobody has said.
const NO_ASSERTION: &str = "NOASSERTION";

/// Where SPDX has those put their documents' names who have no site of their own. Nothing is there.
const NAMESPACE: &str = "https://spdx.org/spdxdocs";

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentWire {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationWire,
    packages: Vec<PackageWire>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedWire>,
    relationships: Vec<RelationshipWire>,
}

#[derive(Debug, Clone, Serialize)]
struct CreationWire {
    created: String,
    creators: Vec<String>,
    #[serde(rename = "licenseListVersion")]
    licence_list_version: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackageWire {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    version_info: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    supplier: &'static str,
    download_location: String,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<ChecksumWire>,
    #[serde(rename = "licenseConcluded")]
    licence_concluded: &'static str,
    #[serde(rename = "licenseDeclared")]
    licence_declared: String,
    #[serde(rename = "licenseComments", skip_serializing_if = "Option::is_none")]
    licence_comments: Option<String>,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ReferenceWire>,
    primary_package_purpose: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChecksumWire {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceWire {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedWire {
    #[serde(rename = "licenseId")]
    licence_id: String,
    extracted_text: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct RelationshipWire {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// Returns the document of an inventory.
pub(super) fn document(
    inventory: &Inventory<'_>,
    licences: &Licences,
    created: Timestamp,
) -> DocumentWire {
    let environment = &inventory.lock.request.name;
    let mut extracted: BTreeMap<String, String> = BTreeMap::new();
    let mut packages = vec![root(inventory)];
    for component in &inventory.components {
        packages.push(package(component, licences, &mut extracted));
    }
    let extracted = extracted.into_iter();
    let mut document = DocumentWire {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: format!("{environment} for {}", inventory.platform),
        document_namespace: String::new(),
        creation_info: CreationWire {
            created: created.to_string(),
            creators: vec![format!("Tool: envbox-{}", env!("CARGO_PKG_VERSION"))],
            licence_list_version: list_version(),
        },
        packages,
        has_extracted_licensing_infos: extracted
            .map(|(licence_id, extracted_text)| ExtractedWire {
                licence_id,
                extracted_text,
            })
            .collect(),
        relationships: relationships(inventory),
    };
    let identity = identity(&document);
    document.document_namespace = format!("{NAMESPACE}/envbox-{environment}-{identity}");
    document
}

/// SPDX wants two numbers: `3.27`.
fn list_version() -> String {
    let version = ::spdx::license_version();
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn root(inventory: &Inventory<'_>) -> PackageWire {
    PackageWire {
        name: inventory.lock.request.name.to_string(),
        id: ENVIRONMENT.to_owned(),
        version_info: inventory.lock.digest().to_string(),
        package_file_name: None,
        supplier: NO_ASSERTION,
        download_location: NO_ASSERTION.to_owned(),
        files_analyzed: false,
        checksums: Vec::new(),
        licence_concluded: NO_ASSERTION,
        licence_declared: NO_ASSERTION.to_owned(),
        licence_comments: None,
        copyright_text: NO_ASSERTION,
        external_refs: Vec::new(),
        primary_package_purpose: "CONTAINER",
    }
}

fn package(
    component: &Component<'_>,
    licences: &Licences,
    extracted: &mut BTreeMap<String, String>,
) -> PackageWire {
    let artifact = component.artifact;
    let licence = licences.of(&artifact.digest);
    extracted.extend(licence.references);
    let download_location = match &artifact.origin {
        Origin::Registry(_) | Origin::Built => NO_ASSERTION.to_owned(),
        Origin::Url(url) => url.clone(),
    };
    PackageWire {
        name: component.name.to_owned(),
        id: id(component),
        version_info: component.version.to_owned(),
        package_file_name: Some(artifact.file.clone()),
        supplier: NO_ASSERTION,
        download_location,
        files_analyzed: false,
        checksums: vec![ChecksumWire {
            algorithm: "SHA256",
            checksum_value: artifact.digest.hex(),
        }],
        licence_concluded: NO_ASSERTION,
        licence_declared: licence
            .expression
            .unwrap_or_else(|| NO_ASSERTION.to_owned()),
        licence_comments: licence
            .words
            .map(|words| format!("The package says: {words}")),
        copyright_text: NO_ASSERTION,
        external_refs: vec![ReferenceWire {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: component.purl.clone(),
        }],
        primary_package_purpose: match component.kind {
            Kind::Layer => "CONTAINER",
            Kind::Interpreter => "APPLICATION",
            Kind::Debian | Kind::Conda | Kind::Wheel | Kind::BuildTool => "LIBRARY",
            Kind::Source => "SOURCE",
        },
    }
}

/// SPDX allows letters, digits, `.` and `-`: the digest keeps names apart that are alike without the
/// rest.
fn id(component: &Component<'_>) -> String {
    let kind = match component.kind {
        Kind::Layer => "layer",
        Kind::Debian => "deb",
        Kind::Conda => "conda",
        Kind::Interpreter => "interpreter",
        Kind::Wheel => "python",
        Kind::Source => "source",
        Kind::BuildTool => "build",
    };
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let name: String = component.name.chars().map(plain).collect();
    let hex = component.artifact.digest.hex();
    format!("SPDXRef-{kind}-{name}-{}", &hex[..12])
}

fn relationships(inventory: &Inventory<'_>) -> Vec<RelationshipWire> {
    let relation = |from: &str, relationship_type, to: &str| RelationshipWire {
        spdx_element_id: from.to_owned(),
        relationship_type,
        related_spdx_element: to.to_owned(),
    };
    let mut all = vec![relation(DOCUMENT, "DESCRIBES", ENVIRONMENT)];
    for component in &inventory.components {
        let own = id(component);
        if component.kind.is_installed() {
            all.push(relation(ENVIRONMENT, "CONTAINS", &own));
        }
        if component.is_direct() {
            all.push(relation(ENVIRONMENT, "DEPENDS_ON", &own));
        }
        for required in inventory.required_by(component) {
            all.push(relation(&own, "DEPENDS_ON", &id(required)));
        }
    }
    for made in &inventory.made {
        let Some(wheel) = inventory.with_digest(made.wheel).map(id) else {
            continue;
        };
        if let Some(source) = inventory.with_digest(made.source.digest) {
            all.push(relation(&wheel, "GENERATED_FROM", &id(source)));
        }
        for tool in inventory.tools(made) {
            all.push(relation(&id(tool), "BUILD_TOOL_OF", &wheel));
        }
    }
    all
}
