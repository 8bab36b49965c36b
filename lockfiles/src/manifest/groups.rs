//! `[groups.NAME]`: what is asked for at times only.

use std::collections::BTreeMap;

use crate::base::GroupName;
use crate::manifest::conda::match_spec;
use crate::manifest::environment_yml::dependencies;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::python::{Gathered, from_file};
use crate::manifest::requirement::requirement;
use crate::manifest::schema::{BaseImage, Conda, Group, Manifest};
use crate::manifest::table::Value;

/// Reads all groups. What their files say of constraints and of Python goes to `gathered`: all is
/// resolved together.
pub(super) fn groups(
    value: Value<'_>,
    base: Option<&BaseImage>,
    conda: Option<&Conda>,
    gathered: &mut Gathered,
) -> Result<BTreeMap<GroupName, Group>, ManifestError> {
    let mut groups = BTreeMap::new();
    for (name, value) in value.free_table()? {
        let parsed: Result<GroupName, _> = name.parse();
        let parsed = parsed.map_err(|error| value.error(error.into()))?;
        let group = group(value, base, conda, gathered)?;
        if groups.insert(parsed, group).is_some() {
            return Err(value.invalid(name, "a name of its own: `-`, `_` and `.` are the same"));
        }
    }
    Ok(groups)
}

fn group(
    value: Value<'_>,
    base: Option<&BaseImage>,
    conda: Option<&Conda>,
    gathered: &mut Gathered,
) -> Result<Group, ManifestError> {
    let table = value.table(&keys::GROUP)?;
    let mut requirements = table.list("requirements", requirement)?;
    table.list("requirements-from", |value| from_file(value, gathered))?;
    requirements.append(&mut gathered.requirements);
    if let (Some(packages), Some(_)) = (table.get("debian"), base) {
        return Err(packages.error(Problem::TwoBases));
    }
    let spec = |value: Value<'_>| match conda {
        Some(conda) => match_spec(value, &conda.channels),
        None => Err(value.invalid_with(
            value.str()?,
            "of use without the table `[conda]`",
            "add `[conda]` and its `channels`",
        )),
    };
    let mut specs = table.list("conda", spec)?;
    specs.extend(dependencies(std::mem::take(&mut gathered.conda), conda)?);
    Ok(Group {
        requirements,
        conda: specs,
        debian: table.list("debian", Value::name)?,
    })
}

impl Manifest {
    /// Returns a manifest that asks always for what this one asks for in groups.
    pub(crate) fn with_all_groups(&self) -> Self {
        let mut whole = self.clone();
        for group in std::mem::take(&mut whole.groups).into_values() {
            whole.python.requirements.extend(group.requirements);
            whole.debian.packages.extend(group.debian);
            if let Some(conda) = &mut whole.conda {
                conda.dependencies.extend(group.conda);
            }
        }
        whole
    }
}
