//! CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>).
//!
//! The shapes are our own: the crate that reads them in the tests comes in the version that the
//! Python resolver takes, and bytes must not change with it.

use envbox_lockfiles::lock::Origin;
use jiff::Timestamp;
use serde::Serialize;

use crate::attest::inventory::{Component, Inventory, Kind};
use crate::attest::sbom::identity;
use crate::attest::{Licence, Licences};

const ENVIRONMENT: &str = "environment";

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BomWire {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: MetadataWire,
    components: Vec<ComponentWire>,
    dependencies: Vec<DependencyWire>,
}

#[derive(Debug, Clone, Serialize)]
struct MetadataWire {
    timestamp: String,
    tools: ToolsWire,
    component: ComponentWire,
}

#[derive(Debug, Clone, Serialize)]
struct ToolsWire {
    components: Vec<ComponentWire>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentWire {
    r#type: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<HashWire>,
    #[serde(rename = "licenses", skip_serializing_if = "Vec::is_empty")]
    licences: Vec<LicenceChoiceWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pedigree: Option<PedigreeWire>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<PropertyWire>,
}

/// What a component was made from.
#[derive(Debug, Clone, Serialize)]
struct PedigreeWire {
    ancestors: Vec<ComponentWire>,
}

#[derive(Debug, Clone, Serialize)]
struct HashWire {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenceChoiceWire {
    Expression(String),
    #[serde(rename = "license")]
    Licence(LicenceWire),
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenceWire {
    Id(String),
    Name(String),
}

#[derive(Debug, Clone, Serialize)]
struct ExternalWire {
    r#type: &'static str,
    url: String,
}

#[derive(Debug, Clone, Serialize)]
struct PropertyWire {
    name: &'static str,
    value: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct DependencyWire {
    r#ref: String,
    depends_on: Vec<String>,
}

/// Returns the document of an inventory.
pub(super) fn bom(inventory: &Inventory<'_>, licences: &Licences, created: Timestamp) -> BomWire {
    let components = inventory.components.iter();
    let mut bom = BomWire {
        schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: String::new(),
        version: 1,
        metadata: metadata(inventory, created),
        components: components
            .map(|one| component(inventory, one, licences))
            .collect(),
        dependencies: dependencies(inventory),
    };
    bom.serial_number = identity(&bom).urn().to_string();
    bom
}

fn metadata(inventory: &Inventory<'_>, created: Timestamp) -> MetadataWire {
    let tool = ComponentWire {
        r#type: "application",
        name: "envbox".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ComponentWire::default()
    };
    MetadataWire {
        timestamp: created.to_string(),
        tools: ToolsWire {
            components: vec![tool],
        },
        component: ComponentWire {
            r#type: "container",
            reference: Some(ENVIRONMENT.to_owned()),
            name: inventory.lock.request.name.to_string(),
            version: inventory.lock.digest().to_string(),
            properties: vec![PropertyWire {
                name: "envbox:platform",
                value: inventory.platform.to_string(),
            }],
            ..ComponentWire::default()
        },
    }
}

fn component(
    inventory: &Inventory<'_>,
    component: &Component<'_>,
    licences: &Licences,
) -> ComponentWire {
    let artifact = component.artifact;
    let mut properties = vec![PropertyWire {
        name: "envbox:file",
        value: artifact.file.clone(),
    }];
    let mut external_references = Vec::new();
    match &artifact.origin {
        Origin::Registry(name) => properties.push(PropertyWire {
            name: "envbox:registry",
            value: name.to_string(),
        }),
        Origin::Url(url) => external_references.push(ExternalWire {
            r#type: "distribution",
            url: url.clone(),
        }),
        Origin::Built => {}
    }
    ComponentWire {
        r#type: match component.kind {
            Kind::Layer => "container",
            Kind::Interpreter => "application",
            Kind::Debian | Kind::Conda | Kind::Wheel | Kind::Source | Kind::BuildTool => "library",
        },
        reference: Some(component.purl.clone()),
        name: component.name.to_owned(),
        version: component.version.to_owned(),
        scope: (!component.kind.is_installed()).then_some("excluded"),
        hashes: vec![hash(component)],
        licences: licence(licences.of(&artifact.digest)),
        purl: Some(component.purl.clone()),
        external_references,
        pedigree: pedigree(inventory, component),
        properties,
    }
}

fn hash(component: &Component<'_>) -> HashWire {
    HashWire {
        alg: "SHA-256",
        content: component.artifact.digest.hex(),
    }
}

/// Says what a wheel was built from.
fn pedigree(inventory: &Inventory<'_>, component: &Component<'_>) -> Option<PedigreeWire> {
    let mut made = inventory.made.iter();
    let made = made.find(|made| made.wheel == component.artifact.digest)?;
    let source = inventory.with_digest(made.source.digest)?;
    Some(PedigreeWire {
        ancestors: vec![ComponentWire {
            r#type: "library",
            name: source.name.to_owned(),
            version: source.version.to_owned(),
            hashes: vec![hash(source)],
            purl: Some(source.purl.clone()),
            ..ComponentWire::default()
        }],
    })
}

fn licence(licence: Licence) -> Vec<LicenceChoiceWire> {
    let choice = match (licence.expression, licence.words) {
        (Some(text), _) if spdx::license_id(&text).is_some() => {
            LicenceChoiceWire::Licence(LicenceWire::Id(text))
        }
        (Some(text), _) => LicenceChoiceWire::Expression(text),
        (None, Some(words)) => LicenceChoiceWire::Licence(LicenceWire::Name(words)),
        (None, None) => return Vec::new(),
    };
    vec![choice]
}

fn dependencies(inventory: &Inventory<'_>) -> Vec<DependencyWire> {
    let components = inventory.components.iter();
    let direct = components.clone().filter(|one| one.is_direct());
    let root = DependencyWire {
        r#ref: ENVIRONMENT.to_owned(),
        depends_on: direct.map(|one| one.purl.clone()).collect(),
    };
    let others = components.map(|one| {
        // A source needs what it is built with.
        let made = inventory.made.iter();
        let made = made.filter(|made| made.source.digest == one.artifact.digest);
        let tools = made.flat_map(|made| inventory.tools(made));
        let needed = inventory.required_by(one).chain(tools);
        DependencyWire {
            r#ref: one.purl.clone(),
            depends_on: needed.map(|needed| needed.purl.clone()).collect(),
        }
    });
    [root].into_iter().chain(others).collect()
}
