//! What the projects of a `uv.lock` ask for, as requirements of a manifest.

use std::collections::{BTreeMap, BTreeSet};

use uv_normalize::{ExtraName, GroupName};
use uv_pep508::MarkerTree;

use crate::foreign::reading::Reading;
use crate::foreign::uv_lock::wire::{LockWire, OverrideWire, PackageWire, RequirementWire};
use crate::foreign::{Choice, ForeignError, LeftOut, LeftOutReason};

/// What is asked for.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) name: Option<String>,
    pub(super) requirements: Vec<String>,
    pub(super) constraints: Vec<String>,
    pub(super) overrides: Vec<String>,
}

impl Asked {
    /// Gathers what the project beside the lockfile asks for; where there is none, what all
    /// projects of the workspace ask for.
    pub(super) fn of(
        reading: Reading<'_>,
        wire: &LockWire,
        choice: &Choice,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Self, ForeignError> {
        let members = wire.packages.iter().filter(|package| package.is_member());
        let members: BTreeMap<_, _> = members
            .map(|member| (member.name.as_str(), member))
            .collect();
        let root = members.values().copied().find(|member| member.is_root());
        let begin: Vec<&PackageWire> = match root {
            Some(root) => vec![root],
            None => members.values().copied().collect(),
        };
        let mut gathering = Gathering {
            reading,
            members,
            extras: reading.names("extra", &choice.extras)?,
            groups: reading.names("dependency group", &choice.groups)?,
            taken: BTreeSet::new(),
            requirements: BTreeSet::new(),
        };
        gathering.check(wire, &begin, left_out)?;
        for project in begin {
            gathering.project(project)?;
        }
        let manifest = &wire.manifest;
        gathering.all(&manifest.requirements)?;
        gathering.groups(&manifest.dependency_groups)?;
        let taken = std::mem::take(&mut gathering.taken);
        left_out.extend(taken.into_iter().map(|project| LeftOut {
            what: project.to_owned(),
            reason: LeftOutReason::Member,
        }));
        let requirements = std::mem::take(&mut gathering.requirements);
        gathering.all(&manifest.constraints)?;
        let constraints = std::mem::take(&mut gathering.requirements);
        for given in &manifest.overrides {
            match given {
                OverrideWire::All(requirement) => gathering.one(requirement)?,
                OverrideWire::OfPackage { package } => left_out.push(LeftOut {
                    what: format!("overrides of {package}"),
                    reason: LeftOutReason::NoCounterpart,
                }),
            }
        }
        left_out.extend(manifest.excludes.iter().map(|excluded| LeftOut {
            what: format!("exclusion of {excluded}"),
            reason: LeftOutReason::NoCounterpart,
        }));
        Ok(Self {
            name: root.map(|root| root.name.clone()),
            requirements: requirements.into_iter().collect(),
            constraints: constraints.into_iter().collect(),
            overrides: gathering.requirements.into_iter().collect(),
        })
    }
}

struct Gathering<'a> {
    reading: Reading<'a>,
    members: BTreeMap<&'a str, &'a PackageWire>,
    extras: BTreeSet<ExtraName>,
    groups: BTreeSet<GroupName>,
    /// The projects whose requirements were gathered.
    taken: BTreeSet<&'a str>,
    requirements: BTreeSet<String>,
}

impl<'a> Gathering<'a> {
    /// Checks that what is chosen is there, and tells of what is not chosen.
    fn check(
        &self,
        wire: &LockWire,
        projects: &[&PackageWire],
        left_out: &mut Vec<LeftOut>,
    ) -> Result<(), ForeignError> {
        let extras = projects
            .iter()
            .flat_map(|project| &project.metadata.provides_extras);
        let extras = self.reading.names("extra", extras)?;
        let own = projects
            .iter()
            .flat_map(|project| project.metadata.requires_dev.keys());
        let groups = own.chain(wire.manifest.dependency_groups.keys());
        let groups = self.reading.names("dependency group", groups)?;
        if let Some(extra) = self.extras.iter().find(|extra| !extras.contains(*extra)) {
            let known = extras.iter().map(ToString::to_string);
            return Err(self.reading.unknown("extra", extra.as_ref(), known));
        }
        if let Some(group) = self.groups.iter().find(|group| !groups.contains(*group)) {
            let known = groups.iter().map(ToString::to_string);
            return Err(self
                .reading
                .unknown("dependency group", group.as_ref(), known));
        }
        let extras = extras
            .difference(&self.extras)
            .map(|extra| format!("extra {extra}"));
        let groups = groups
            .difference(&self.groups)
            .map(|group| format!("dependency group {group}"));
        left_out.extend(extras.chain(groups).map(|what| LeftOut {
            what,
            reason: LeftOutReason::NotChosen,
        }));
        Ok(())
    }

    fn project(&mut self, project: &'a PackageWire) -> Result<(), ForeignError> {
        if !self.taken.insert(&project.name) {
            return Ok(());
        }
        self.all(&project.metadata.requires_dist)?;
        self.groups(&project.metadata.requires_dev)
    }

    fn groups(
        &mut self,
        groups: &BTreeMap<String, Vec<RequirementWire>>,
    ) -> Result<(), ForeignError> {
        for (name, requirements) in groups {
            let name = self.reading.value("dependency group", "a name", name)?;
            if self.groups.contains(&name) {
                self.all(requirements)?;
            }
        }
        Ok(())
    }

    fn all(&mut self, requirements: &[RequirementWire]) -> Result<(), ForeignError> {
        requirements
            .iter()
            .try_for_each(|requirement| self.one(requirement))
    }

    fn one(&mut self, requirement: &RequirementWire) -> Result<(), ForeignError> {
        let entry = format!("requirement `{}`", requirement.name);
        let marker = match &requirement.marker {
            Some(text) => self.reading.value(&entry, "a marker (PEP 508)", text)?,
            None => MarkerTree::TRUE,
        };
        let chosen = marker
            .simplify_extras_with(|extra| self.extras.contains(extra))
            .simplify_not_extras_with(|extra| !self.extras.contains(extra));
        if chosen == MarkerTree::FALSE {
            return Ok(());
        }
        // What lies in the project is in the sandbox anyway; what it requires is not.
        if let Some(member) = self.members.get(requirement.name.as_str()) {
            return self.project(member);
        }
        self.requirements.insert(text(requirement, chosen));
        Ok(())
    }
}

impl Reading<'_> {
    fn names<'t, T>(
        self,
        kind: &str,
        names: impl IntoIterator<Item = &'t String>,
    ) -> Result<BTreeSet<T>, ForeignError>
    where
        T: std::str::FromStr + Ord,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let names = names.into_iter();
        names.map(|name| self.value(kind, "a name", name)).collect()
    }
}

/// Returns the PEP 508 text.
fn text(requirement: &RequirementWire, marker: MarkerTree) -> String {
    let mut text = requirement.name.clone();
    if !requirement.extras.is_empty() {
        text += &format!("[{}]", requirement.extras.join(","));
    }
    let place = [
        &requirement.url,
        &requirement.path,
        &requirement.directory,
        &requirement.editable,
        &requirement.r#virtual,
    ];
    let git = requirement.git.as_ref().map(|url| format!("git+{url}"));
    if let Some(place) = git.or_else(|| place.into_iter().flatten().next().cloned()) {
        text += &format!(" @ {place}");
    } else if let Some(specifier) = &requirement.specifier {
        text += specifier;
    }
    match marker.try_to_string() {
        Some(marker) => format!("{text} ; {marker}"),
        None => text,
    }
}
