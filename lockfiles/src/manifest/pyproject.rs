//! Requirements of a `pyproject.toml`: PEP 621 dependencies and extras, PEP 735 groups.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use uv_normalize::{ExtraName, GroupName, PackageName};
use uv_pep440::VersionSpecifiers;
use uv_pep508::MarkerTree;

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::parse::{lookup, read_named};
use crate::manifest::python::{Gathered, RequiresPython};
use crate::manifest::requirement;
use crate::manifest::table::{Source, Value};

/// A part of a `pyproject.toml` beyond `project.dependencies`, and where it is asked for.
pub(super) enum Part<'a> {
    Extra(ExtraName, Value<'a>),
    Group(GroupName, Value<'a>),
}

impl<'a> Part<'a> {
    pub(super) fn extra(value: Value<'a>) -> Result<Self, ManifestError> {
        Ok(Self::Extra(value.parse("the name of an extra")?, value))
    }

    pub(super) fn group(value: Value<'a>) -> Result<Self, ManifestError> {
        Ok(Self::Group(
            value.parse("the name of a dependency group")?,
            value,
        ))
    }

    pub(super) fn value(&self) -> Value<'a> {
        match self {
            Self::Extra(_, value) | Self::Group(_, value) => *value,
        }
    }
}

/// Takes in what the project of the `pyproject.toml` around the manifest needs.
pub(super) fn own(
    source: Source<'_>,
    root: &DeTable<'_>,
    gathered: &mut Gathered,
) -> Result<(), ManifestError> {
    Project::new(source, root, gathered)?.dependencies()
}

/// Takes in the `pyproject.toml` at `file`, which `value` names: its project's dependencies, and
/// the parts asked for.
pub(super) fn gather(
    value: Value<'_>,
    file: &Path,
    parts: &[Part<'_>],
    gathered: &mut Gathered,
) -> Result<(), ManifestError> {
    let text = read_named(file, |problem| value.error(problem))?;
    let source = Source { file, text: &text };
    let document = source.parse()?;
    let root = document.get_ref();
    let has_groups = parts.iter().any(|part| matches!(part, Part::Group(..)));
    if root.get("project").is_none() && !has_groups {
        let file = file.to_path_buf();
        return Err(value.error(Problem::NoProject { file }));
    }
    let mut project = Project::new(source, root, gathered)?;
    project.dependencies()?;
    for part in parts {
        match part {
            Part::Extra(extra, value) => project.extra(extra, *value, MarkerTree::TRUE)?,
            Part::Group(group, value) => project.group(group, *value, &mut Vec::new())?,
        }
    }
    Ok(())
}

/// Returns `requires-python` of a `pyproject.toml`.
pub(super) fn requires_python(
    source: Source<'_>,
    root: &DeTable<'_>,
) -> Result<Option<VersionSpecifiers>, ManifestError> {
    lookup(root, &["project", "requires-python"])
        .map(|value| Value::new(source, value).parse("a PEP 440 version specifier"))
        .transpose()
}

struct Project<'a, 'g> {
    source: Source<'a>,
    root: &'a DeTable<'a>,
    name: Option<PackageName>,
    /// The extras already taken in: they may refer to each other in circles.
    extras: BTreeSet<(ExtraName, MarkerTree)>,
    gathered: &'g mut Gathered,
}

impl<'a, 'g> Project<'a, 'g> {
    fn new(
        source: Source<'a>,
        root: &'a DeTable<'a>,
        gathered: &'g mut Gathered,
    ) -> Result<Self, ManifestError> {
        if let Some(specifiers) = requires_python(source, root)? {
            let file = source.file.to_path_buf();
            gathered
                .requires_python
                .push(RequiresPython { file, specifiers });
        }
        let name = lookup(root, &["project", "name"])
            .map(|name| Value::new(source, name).parse("the name of a project"))
            .transpose()?;
        Ok(Self {
            source,
            root,
            name,
            extras: BTreeSet::new(),
            gathered,
        })
    }

    fn dependencies(&mut self) -> Result<(), ManifestError> {
        self.refuse_dynamic("dependencies")?;
        match lookup(self.root, &["project", "dependencies"]) {
            Some(list) => self.all(Value::new(self.source, list), MarkerTree::TRUE),
            None => Ok(()),
        }
    }

    /// Only a build backend could tell what a dynamic field holds, and it would have to be run.
    fn refuse_dynamic(&self, field: &'static str) -> Result<(), ManifestError> {
        let Some(dynamic) = lookup(self.root, &["project", "dynamic"]) else {
            return Ok(());
        };
        for item in Value::new(self.source, dynamic).array()? {
            if item.str()? == field {
                return Err(item.error(Problem::Dynamic { field }));
            }
        }
        Ok(())
    }

    /// Takes in every requirement of `list`, where `marker` holds.
    fn all(&mut self, list: Value<'a>, marker: MarkerTree) -> Result<(), ManifestError> {
        for item in list.array()? {
            self.one(item, marker)?;
        }
        Ok(())
    }

    fn one(&mut self, item: Value<'a>, marker: MarkerTree) -> Result<(), ManifestError> {
        let mut requirement = requirement::parsed(item)?;
        requirement.marker = requirement.marker.and(marker);
        // `own-name[extra]` stands for that extra, in the project that is here and not on an index.
        if self.name.as_ref() == Some(&requirement.name) && requirement.version_or_url.is_none() {
            for extra in &requirement.extras {
                self.extra(extra, item, requirement.marker)?;
            }
            return Ok(());
        }
        self.gathered.requirements.push(requirement.to_string());
        Ok(())
    }

    /// Takes in an extra that `value` asks for.
    fn extra(
        &mut self,
        extra: &ExtraName,
        value: Value<'_>,
        marker: MarkerTree,
    ) -> Result<(), ManifestError> {
        if !self.extras.insert((extra.clone(), marker)) {
            return Ok(());
        }
        self.refuse_dynamic("optional-dependencies")?;
        let table = lookup(self.root, &["project", "optional-dependencies"]);
        let is_it = |key: &str| ExtraName::from_str(key).is_ok_and(|key| key == *extra);
        match entry(table, is_it) {
            Some(list) => self.all(Value::new(self.source, list), marker),
            None => Err(self.unknown("extra", extra.as_str(), table, value)),
        }
    }

    /// Takes in a dependency group that `value` asks for; `open` are those that led to it.
    fn group(
        &mut self,
        name: &GroupName,
        value: Value<'_>,
        open: &mut Vec<GroupName>,
    ) -> Result<(), ManifestError> {
        if open.contains(name) {
            let name = name.to_string();
            return Err(value.error(Problem::GroupCycle { name }));
        }
        let table = lookup(self.root, &["dependency-groups"]);
        let is_it = |key: &str| GroupName::from_str(key).is_ok_and(|key| key == *name);
        let Some(list) = entry(table, is_it) else {
            return Err(self.unknown("dependency group", name.as_str(), table, value));
        };
        open.push(name.clone());
        for item in Value::new(self.source, list).array()? {
            if item.is_table() {
                let included = item.table(&keys::GROUP_ITEM)?.need("include-group")?;
                let name = included.parse("the name of a dependency group")?;
                self.group(&name, included, open)?;
            } else {
                self.one(item, MarkerTree::TRUE)?;
            }
        }
        open.pop();
        Ok(())
    }

    fn unknown(
        &self,
        kind: &'static str,
        name: &str,
        table: Option<&Spanned<DeValue<'_>>>,
        value: Value<'_>,
    ) -> ManifestError {
        let table = table.and_then(|table| table.get_ref().as_table());
        let known = table.into_iter().flat_map(|table| table.keys());
        value.error(Problem::UnknownName {
            file: self.source.file.to_path_buf(),
            kind,
            found: name.to_owned(),
            known: known.map(|key| key.get_ref().to_string()).collect(),
        })
    }
}

/// Finds the entry of a table whose normalized key is the one looked for (PEP 685, PEP 735).
fn entry<'a>(
    table: Option<&'a Spanned<DeValue<'a>>>,
    is_it: impl Fn(&str) -> bool,
) -> Option<&'a Spanned<DeValue<'a>>> {
    let table = table?.get_ref().as_table()?;
    let found = table.iter().find(|(key, _)| is_it(key.get_ref()));
    found.map(|(_, value)| value)
}
