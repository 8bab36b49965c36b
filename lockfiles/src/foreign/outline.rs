//! A first manifest, as another tool's file gives rise to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::base::Platform;
use crate::manifest::environment_name;

/// What the manifest of another tool's environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// A name for the environment, in any spelling.
    pub name: Option<String>,
    /// The Python; none gives an environment without one.
    pub python: Option<String>,
    /// Files whose requirements the environment has, relative to the manifest.
    pub requirements_from: Vec<RequirementsFrom>,
    /// PEP 508 texts.
    pub requirements: Vec<String>,
    /// PEP 508 texts.
    pub constraints: Vec<String>,
    /// PEP 508 texts.
    pub overrides: Vec<String>,
    /// A time with its offset.
    pub exclude_newer: Option<String>,
    /// URLs of indexes beside the default one, in order of preference.
    pub extra_indexes: Vec<String>,
    /// The platforms, when they are not the default.
    pub platforms: Vec<Platform>,
    /// Conda packages.
    pub conda: OutlineConda,
    /// Variables of a step.
    pub variables: BTreeMap<String, String>,
}

/// What `[conda]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutlineConda {
    /// The channels, the most wanted first.
    pub channels: Vec<OutlineChannel>,
    /// MatchSpecs.
    pub dependencies: Vec<String>,
    /// Virtual packages that are declared, with their versions.
    pub virtual_packages: BTreeMap<String, String>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineChannel {
    /// Its name in the lock.
    pub name: String,
    /// Where it lies, unless that is where channels lie by default.
    pub url: Option<String>,
}

/// An entry of `requirements-from`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequirementsFrom {
    /// The file, relative to the manifest.
    pub file: String,
    /// Extras of a `pyproject.toml`.
    pub extras: Vec<String>,
    /// Dependency groups of a `pyproject.toml`.
    pub groups: Vec<String>,
}

impl Outline {
    /// Returns the text of a manifest, headed by `comment`, for an environment that is called
    /// `name` if nothing else gives it one.
    pub fn manifest(&self, comment: &str, name: &str) -> String {
        let name = environment_name(self.name.as_deref().unwrap_or(name));
        let mut text = format!("# {comment}\n[environment]\nname = {}\n", quoted(&name));
        if let Some(python) = &self.python {
            let _ = writeln!(text, "python = {}", quoted(python));
        }
        if !self.platforms.is_empty() {
            let platforms = self
                .platforms
                .iter()
                .map(|platform| quoted(&platform.to_string()));
            list(&mut text, "platforms", &platforms.collect::<Vec<_>>());
        }
        text.push_str(&self.python_table());
        text.push_str(&self.conda_table());
        if !self.variables.is_empty() {
            text.push_str("\n[sandbox.env]\n");
            for (name, value) in &self.variables {
                let _ = writeln!(text, "{} = {}", quoted(name), quoted(value));
            }
        }
        text
    }

    fn python_table(&self) -> String {
        let mut text = String::new();
        let from: Vec<_> = self.requirements_from.iter().map(from).collect();
        list(&mut text, "requirements-from", &from);
        let lists = [
            ("requirements", &self.requirements),
            ("constraints", &self.constraints),
            ("overrides", &self.overrides),
            ("extra-index-urls", &self.extra_indexes),
        ];
        for (key, values) in lists {
            let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            list(&mut text, key, &values);
        }
        if let Some(time) = &self.exclude_newer {
            let _ = writeln!(text, "exclude-newer = {}", quoted(time));
        }
        match text.is_empty() {
            true => text,
            false => format!("\n[python]\n{text}"),
        }
    }
}

impl Outline {
    fn conda_table(&self) -> String {
        let conda = &self.conda;
        if conda.channels.is_empty() && conda.dependencies.is_empty() {
            return String::new();
        }
        let mut text = "\n[conda]\n".to_owned();
        let channel = |channel: &OutlineChannel| match &channel.url {
            None => quoted(&channel.name),
            Some(url) => format!(
                "{{ name = {}, url = {} }}",
                quoted(&channel.name),
                quoted(url)
            ),
        };
        list(
            &mut text,
            "channels",
            &conda.channels.iter().map(channel).collect::<Vec<_>>(),
        );
        let dependencies = conda.dependencies.iter().map(|spec| quoted(spec));
        list(&mut text, "dependencies", &dependencies.collect::<Vec<_>>());
        if !conda.virtual_packages.is_empty() {
            let declared = conda.virtual_packages.iter();
            let declared = declared.map(|(name, version)| format!("{name} = {}", quoted(version)));
            let declared: Vec<_> = declared.collect();
            let _ = writeln!(text, "virtual-packages = {{ {} }}", declared.join(", "));
        }
        text
    }
}

fn from(from: &RequirementsFrom) -> String {
    if from.extras.is_empty() && from.groups.is_empty() {
        return quoted(&from.file);
    }
    let mut text = format!("{{ file = {}", quoted(&from.file));
    for (key, names) in [("extras", &from.extras), ("groups", &from.groups)] {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
            let _ = write!(text, ", {key} = [{}]", names.join(", "));
        }
    }
    text + " }"
}

/// Writes a list, one entry a line where there are several.
fn list(text: &mut String, key: &str, values: &[String]) {
    let written = match values {
        [] => return,
        [one] => writeln!(text, "{key} = [{one}]"),
        several => writeln!(text, "{key} = [\n    {},\n]", several.join(",\n    ")),
    };
    written.expect("writing to a String cannot fail");
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
