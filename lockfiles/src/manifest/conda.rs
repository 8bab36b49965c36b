//! `[conda]`.

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::{MatchSpec, PackageNameMatcher, ParseMatchSpecOptions, Version};

use crate::base::{CondaName, PythonName, RegistryName};
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::python::RESERVED;
use crate::manifest::scalar::{time, url_or_directory};
use crate::manifest::schema::{Conda, CondaChannel, Python};
use crate::manifest::table::{Table, Value};

/// Reads the table. Its channels and the registries of `python` have different names.
pub(super) fn conda(value: Value<'_>, python: &Python) -> Result<Conda, ManifestError> {
    let table = value.table(&keys::CONDA)?;
    let others = python.extra_indexes.iter().chain(&python.find_links);
    let mut taken = others.map(|other| other.name.clone()).collect();
    table.need("channels")?;
    let channels = table.list("channels", |value| channel(value, &mut taken))?;
    let spec = |value: Value<'_>| match_spec(value, &channels);
    let (dependencies, constraints) = (
        table.list("dependencies", spec)?,
        table.list("constraints", spec)?,
    );
    let priority = table.map("channel-priority", |value| {
        value.word(&["strict", "flexible", "disabled"])
    })?;
    Ok(Conda {
        dependencies,
        constraints,
        channel_priority: priority.unwrap_or_default(),
        exclude_newer: table.map("exclude-newer", time)?,
        virtual_packages: free(&table, "virtual-packages", virtual_package)?,
        python_names: free(&table, "python-names", python_names)?,
        link_scripts: table.map("link-scripts", link_scripts)?.unwrap_or_default(),
        base: table
            .map("base", |value| value.word(&["debian", "glibc"]))?
            .unwrap_or_default(),
        channels,
    })
}

/// Reads the name of a channel, or `{ name, url }`.
fn channel(
    value: Value<'_>,
    taken: &mut BTreeSet<RegistryName>,
) -> Result<CondaChannel, ManifestError> {
    const TABLE: &str = "write `{ name = \"…\", url = \"…\" }`: the lockfile knows it by its name";
    let channel = if value.is_table() {
        let table = value.table(&keys::REGISTRY)?;
        CondaChannel {
            name: table.need("name")?.name()?,
            url: Some(channel_place(table.need("url")?)?),
        }
    } else {
        let text = value.str()?;
        if text.contains(['/', ':', '.']) {
            return Err(value.invalid_with(text, "the name of a channel", TABLE));
        }
        if text == "defaults" {
            const ONE: &str = "name each of its channels as `{ name = \"…\", url = \"…\" }`";
            return Err(value.invalid_with(text, "one channel", ONE));
        }
        CondaChannel {
            name: value.name()?,
            url: None,
        }
    };
    let name = channel.name.as_str();
    if RESERVED.contains(&name) || !taken.insert(channel.name.clone()) {
        return Err(value.invalid_with(
            name,
            "a name of its own",
            "give it another `name`: the lockfile tells registries apart by it",
        ));
    }
    Ok(channel)
}

/// As other registries, or in a registry of images (`oci`).
fn channel_place(value: Value<'_>) -> Result<String, ManifestError> {
    match value.str()?.starts_with("oci://") {
        true => Ok(value.parse::<url::Url>("a URL")?.to_string()),
        false => url_or_directory(value),
    }
}

/// Returns the grammar of MatchSpecs: all of it, and nothing guessed.
pub(crate) fn match_spec_options() -> ParseMatchSpecOptions {
    ParseMatchSpecOptions::strict()
        .with_extras(true)
        .with_conditionals(true)
        .with_flags(true)
}

fn match_spec(value: Value<'_>, channels: &[CondaChannel]) -> Result<String, ManifestError> {
    let text = value.str()?;
    let spec = MatchSpec::from_str(text, match_spec_options()).map_err(|source| {
        value.error(Problem::MatchSpec {
            found: text.to_owned(),
            instead: instead(text),
            source: Box::new(source),
        })
    })?;
    let channel = spec
        .channel
        .as_ref()
        .and_then(|channel| channel.name.as_deref());
    if let Some(channel) = channel
        && !channels.iter().any(|known| known.name.as_str() == channel)
    {
        return Err(value.error(Problem::OtherChannel {
            found: text.to_owned(),
            channel: channel.to_owned(),
        }));
    }
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns what a text that conda's own programs would guess about means.
fn instead(text: &str) -> Option<String> {
    let guessed = MatchSpec::from_str(text, ParseMatchSpecOptions::lenient()).ok()?;
    let PackageNameMatcher::Exact(name) = &guessed.name else {
        return None;
    };
    let mut words = vec![name.as_normalized().to_owned()];
    words.extend(guessed.version.as_ref().map(ToString::to_string));
    words.extend(guessed.build.as_ref().map(ToString::to_string));
    let written = words.join(" ");
    let same = MatchSpec::from_str(&written, match_spec_options());
    (same.ok()? == guessed).then_some(written)
}

/// Reads a table whose keys are names of packages.
fn free<T>(
    table: &Table<'_>,
    key: &str,
    convert: fn(&CondaName, Value<'_>) -> Result<T, ManifestError>,
) -> Result<BTreeMap<CondaName, T>, ManifestError> {
    let Some(table) = table.get(key) else {
        return Ok(BTreeMap::new());
    };
    let entries = table.free_table()?.into_iter().map(|(key, value)| {
        let name: CondaName = key
            .parse()
            .map_err(|error: crate::base::InvalidName| value.error(error.into()))?;
        Ok((name.clone(), convert(&name, value)?))
    });
    entries.collect()
}

fn virtual_package(name: &CondaName, value: Value<'_>) -> Result<String, ManifestError> {
    if !name.as_str().starts_with("__") {
        let expected = "the name of a virtual package like `__cuda`";
        return Err(value.invalid(name.as_str(), expected));
    }
    let text = value.str_of("a version like `12.4`")?;
    let valid = match name.as_str() {
        "__archspec" => text
            .parse::<CondaName>()
            .is_ok_and(|name| name.as_str() == text),
        _ => text.parse::<Version>().is_ok(),
    };
    match valid {
        true => Ok(text.to_owned()),
        false if name.as_str() == "__archspec" => {
            Err(value.invalid(text, "a microarchitecture like `x86_64_v3`"))
        }
        false => Err(value.invalid(text, "a version like `12.4`")),
    }
}

/// Reads the name of a distribution, or a list of them, which may be empty.
fn python_names(_: &CondaName, value: Value<'_>) -> Result<Vec<PythonName>, ManifestError> {
    match (value.str(), value.array()) {
        (Ok(_), _) => Ok(vec![value.name()?]),
        (_, Ok(items)) => items.into_iter().map(Value::name).collect(),
        _ => Err(value.wrong_type("a name or a list of names")),
    }
}

fn link_scripts(value: Value<'_>) -> Result<Vec<CondaName>, ManifestError> {
    match value.str() {
        Ok("refuse") => Ok(Vec::new()),
        Ok(other) => Err(value.invalid(other, "`refuse` or a list of packages")),
        Err(_) => value.array()?.into_iter().map(Value::name).collect(),
    }
}
