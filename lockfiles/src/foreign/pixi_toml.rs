//! `pixi.toml`, as pixi reads it: what its environments need.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::base::Platform;
use crate::foreign::channels::channel;
use crate::foreign::outline::{Outline, OutlineConda};
use crate::foreign::reading::Reading;
use crate::foreign::{Choice, ForeignError, ForeignLock, Format, LeftOut, LeftOutReason};
use crate::resolve::Pins;

const DEFAULT: &str = "default";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PixiWire {
    #[serde(alias = "project")]
    workspace: WorkspaceWire,
    #[serde(flatten)]
    feature: FeatureWire,
    #[serde(default, rename = "feature")]
    features: BTreeMap<String, FeatureWire>,
    #[serde(default)]
    environments: BTreeMap<String, EnvironmentWire>,
    #[serde(default)]
    tasks: toml::Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WorkspaceWire {
    name: Option<String>,
    #[serde(default)]
    channels: Vec<ChannelWire>,
    #[serde(default)]
    platforms: Vec<toml::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ChannelWire {
    Name(String),
    Table { channel: String },
}

/// A set of dependencies; the one without a name is everybody's.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct FeatureWire {
    channels: Vec<ChannelWire>,
    dependencies: BTreeMap<String, SpecWire>,
    pypi_dependencies: BTreeMap<String, SpecWire>,
    system_requirements: BTreeMap<String, toml::Value>,
    activation: ActivationWire,
    target: BTreeMap<String, FeatureWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ActivationWire {
    env: BTreeMap<String, String>,
    scripts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EnvironmentWire {
    Features(Vec<String>),
    #[serde(rename_all = "kebab-case")]
    Table {
        #[serde(default)]
        features: Vec<String>,
        #[serde(default)]
        no_default_feature: bool,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpecWire {
    Version(String),
    Table(TableWire),
}

impl SpecWire {
    /// Returns it as a table.
    fn table(&self) -> Cow<'_, TableWire> {
        match self {
            Self::Version(version) => Cow::Owned(TableWire {
                version: Some(version.clone()),
                ..TableWire::default()
            }),
            Self::Table(table) => Cow::Borrowed(table),
        }
    }
}

#[derive(Clone, Deserialize, Default)]
#[serde(default)]
struct TableWire {
    version: Option<String>,
    build: Option<String>,
    channel: Option<String>,
    extras: Vec<String>,
    url: Option<String>,
    git: Option<String>,
    path: Option<String>,
    index: Option<String>,
}

/// Reads the text of the `pixi.toml` at `file`.
pub(super) fn read(text: &str, file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let format = Format::PixiToml;
    let reading = Reading { file, format };
    let wire: PixiWire = reading.toml(text)?;
    let mut gathering = Gathering::default();
    let chosen = choice.environment.as_deref().unwrap_or(DEFAULT);
    let (features, with_default) = match wire.environments.get(chosen) {
        Some(EnvironmentWire::Features(features)) => (features.as_slice(), true),
        Some(EnvironmentWire::Table {
            features,
            no_default_feature,
        }) => (features.as_slice(), !no_default_feature),
        None if chosen == DEFAULT => (&[][..], true),
        None => {
            let known = wire.environments.keys().cloned();
            return Err(reading.unknown("environment", chosen, known));
        }
    };
    gathering.platforms(&wire.workspace.platforms);
    if with_default {
        gathering.feature(&wire.feature);
    }
    for name in features {
        let known = wire.features.keys().cloned();
        let feature = wire.features.get(name);
        gathering.feature(feature.ok_or_else(|| reading.unknown("feature", name, known))?);
    }
    for name in wire.environments.keys().filter(|name| *name != chosen) {
        gathering.leave(format!("environment {name}"), LeftOutReason::NotChosen);
    }
    for name in wire.tasks.keys() {
        gathering.leave(format!("task {name}"), LeftOutReason::NoCounterpart);
    }
    gathering.channels(&wire.workspace.channels);
    gathering.outline.name = wire.workspace.name;
    Ok(ForeignLock {
        format,
        outline: gathering.outline,
        pins: Pins::default(),
        left_out: gathering.left_out,
    })
}

#[derive(Default)]
struct Gathering {
    outline: Outline,
    left_out: Vec<LeftOut>,
}

impl Gathering {
    fn leave(&mut self, what: String, reason: LeftOutReason) {
        self.left_out.push(LeftOut { what, reason });
    }

    fn conda(&mut self) -> &mut OutlineConda {
        &mut self.outline.conda
    }

    fn platforms(&mut self, platforms: &[toml::Value]) {
        for name in platforms {
            let name = name.as_str().unwrap_or_default();
            let known = Platform::ALL.into_iter();
            match known.into_iter().find(|known| known.conda_subdir() == name) {
                Some(platform) => self.outline.platforms.push(platform),
                None => self.leave(format!("platform {name}"), LeftOutReason::OtherPlatform),
            }
        }
        self.outline.platforms.sort();
    }

    fn channels(&mut self, channels: &[ChannelWire]) {
        for given in channels {
            let (ChannelWire::Name(name) | ChannelWire::Table { channel: name }) = given;
            let channel = channel(name);
            if !self.conda().channels.contains(&channel) {
                self.conda().channels.push(channel);
            }
        }
    }

    fn feature(&mut self, feature: &FeatureWire) {
        self.channels(&feature.channels);
        for (name, spec) in &feature.dependencies {
            self.dependency(name, spec);
        }
        for (name, spec) in &feature.pypi_dependencies {
            self.distribution(name, spec);
        }
        for (name, version) in &feature.system_requirements {
            let version = version
                .as_str()
                .map_or_else(|| version.to_string(), str::to_owned);
            match name.as_str() {
                "cuda" => drop(
                    self.conda()
                        .virtual_packages
                        .insert("__cuda".to_owned(), version),
                ),
                "libc" => drop(
                    self.conda()
                        .virtual_packages
                        .insert("__glibc".to_owned(), version),
                ),
                // Declared for every environment, or of another system.
                _ => self.leave(
                    format!("system requirement {name}"),
                    LeftOutReason::NoCounterpart,
                ),
            }
        }
        let env = feature.activation.env.clone();
        self.outline.variables.extend(env);
        for script in &feature.activation.scripts {
            self.leave(
                format!("activation script {script}"),
                LeftOutReason::NoCounterpart,
            );
        }
        for (target, feature) in &feature.target {
            match target.as_str() {
                "linux" | "unix" => self.feature(feature),
                // `[conda]` has no dependencies for one platform alone.
                _ => self.leave(format!("target {target}"), LeftOutReason::NoCounterpart),
            }
        }
    }

    fn dependency(&mut self, name: &str, spec: &SpecWire) {
        let spec = spec.table();
        if spec.git.is_some() || spec.path.is_some() || spec.url.is_some() {
            let reason = match spec.git {
                Some(_) => LeftOutReason::Repository,
                None => LeftOutReason::File,
            };
            return self.leave(name.to_owned(), reason);
        }
        let mut text = match &spec.channel {
            Some(channel) => format!("{channel}::{name}"),
            None => name.to_owned(),
        };
        let version = spec.version.as_deref().unwrap_or("*");
        if version != "*" || spec.build.is_some() {
            text += &format!(" {version}");
        }
        if let Some(build) = &spec.build {
            text += &format!(" {build}");
        }
        self.conda().dependencies.push(text);
    }

    fn distribution(&mut self, name: &str, spec: &SpecWire) {
        let spec = spec.table();
        if spec.git.is_some() {
            return self.leave(name.to_owned(), LeftOutReason::Repository);
        }
        if spec.path.is_some() {
            return self.leave(name.to_owned(), LeftOutReason::Directory);
        }
        if let Some(index) = &spec.index {
            self.outline.extra_indexes.push(index.clone());
        }
        let mut text = name.to_owned();
        if !spec.extras.is_empty() {
            text += &format!("[{}]", spec.extras.join(","));
        }
        match (&spec.url, spec.version.as_deref()) {
            (Some(url), _) => text += &format!(" @ {url}"),
            (None, None | Some("*")) => {}
            (None, Some(version)) => text += version,
        }
        self.outline.requirements.push(text);
    }
}
