//! One solution for one platform.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use rattler_conda_types::{MatchSpec, RepoDataRecord};
use rattler_repodata_gateway::RepoData;
use rattler_solve::resolvo::Solver;
use rattler_solve::{ExcludeNewer, SolveError, SolverImpl as _, SolverTask};
use url::Url;

use crate::base::Platform;
use crate::lock::LockedConda;
use crate::manifest::{ChannelPriority, Conda, PythonVersion};
use crate::resolve::Upgrade;
use crate::resolve::conda::failure::Said;
use crate::resolve::conda::session::CondaSession;
use crate::resolve::conda::{CondaError, Unfulfilled, VirtualPackage, packages};

/// How many versions that there are are named.
const NAMED_VERSIONS: usize = 5;

/// What is to be resolved, and for what.
#[derive(Debug, Clone, Copy)]
pub struct CondaTask<'a> {
    /// `[conda]` of the manifest.
    pub conda: &'a Conda,
    /// The cut-off date.
    pub exclude_newer: Option<Timestamp>,
    /// The Python asked for, where it is to be one of the packages.
    pub python: Option<PythonVersion>,
    /// The platform.
    pub platform: Platform,
    /// What the platform offers.
    pub virtual_packages: &'a [VirtualPackage],
    /// What the Python requirements leave of the packages that bring distributions.
    pub borne: &'a [Borne],
    /// The packages of the old lock.
    pub previous: &'a LockedConda,
    /// Which of them may move although they still fit.
    pub upgrade: &'a Upgrade,
}

/// What Python requirements leave of a conda package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Borne {
    /// A MatchSpec: `numpy <2a0`.
    pub constraint: String,
    /// Who wants it: `` `pandas` 1.5.3 requires `numpy<2` ``.
    pub reason: String,
}

/// The packages of one platform, and who asked for those that nobody depends on.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) records: Vec<RepoDataRecord>,
    pub(super) roots: Vec<Root>,
}

/// A package that is asked for from outside.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) name: String,
    pub(super) required_by: &'static str,
}

impl CondaSession {
    /// Solves `task` and returns the packages, each with that one platform.
    ///
    /// # Errors
    /// Returns [`CondaError`]; its `Explain` tells whose turn it is.
    pub async fn resolve(
        &self,
        jobs: usize,
        task: CondaTask<'_>,
    ) -> Result<Vec<crate::lock::LockedCondaPackage>, CondaError> {
        let solution = self.solve(task).await?;
        packages::locked(self, jobs, task, &solution).await
    }

    pub(super) async fn solve(&self, task: CondaTask<'_>) -> Result<Solution, CondaError> {
        let asked = self.asked(task)?;
        let specs: Vec<_> = asked.iter().map(|(spec, _)| spec.clone()).collect();
        let repodata = self.records(task.platform, &specs).await?;
        let roots = asked.into_iter().filter_map(|(spec, required_by)| {
            let name = spec.name.as_exact()?.as_normalized().to_owned();
            Some(Root { name, required_by })
        });
        let roots = roots.collect();
        match self.run(task, specs.clone(), &repodata) {
            Ok(records) => Ok(Solution { records, roots }),
            Err(mut error) => {
                if let CondaError::NoSolution { hints, .. } = &mut error {
                    hints.extend(self.offered(task, &specs, &repodata).await);
                }
                Err(error)
            }
        }
    }

    /// Tells which versions there are of what is asked for in none of them. Best effort: it is for
    /// a hint.
    async fn offered(
        &self,
        task: CondaTask<'_>,
        specs: &[MatchSpec],
        repodata: &[RepoData],
    ) -> Vec<String> {
        let mut hints = Vec::new();
        for spec in specs.iter().filter(|spec| !spec.is_virtual()) {
            let found = |record: &RepoDataRecord| spec.name.matches(&record.package_record.name);
            if repodata.iter().flat_map(RepoData::iter).any(found) {
                continue;
            }
            let name = spec
                .name
                .as_exact()
                .and_then(|name| name.as_normalized().parse().ok());
            let Some(name) = name else { continue };
            let versions = self
                .versions(task.platform, &name)
                .await
                .unwrap_or_default();
            let newest = versions.iter().rev().take(NAMED_VERSIONS);
            let newest: Vec<_> = newest.map(String::as_str).collect();
            if !newest.is_empty() {
                hints.push(format!("of `{name}` there is: {}", newest.join(", ")));
            }
        }
        hints
    }

    /// Returns what must be there, and who wants it.
    fn asked(&self, task: CondaTask<'_>) -> Result<Vec<(MatchSpec, &'static str)>, CondaError> {
        // Sorted, because the solver looks at earlier ones first, and a lock's request is sorted.
        let dependencies: BTreeSet<_> = task.conda.dependencies.iter().collect();
        let dependencies = dependencies.into_iter();
        let mut asked = dependencies
            .map(|text| Ok((self.channels.spec(text)?, packages::BY_MANIFEST)))
            .collect::<Result<Vec<_>, CondaError>>()?;
        if let Some(python) = task.python {
            let text = match python.patch {
                Some(_) => format!("python =={python}"),
                None => format!("python {python}.*"),
            };
            asked.push((self.channels.spec(&text)?, packages::BY_INTERPRETER));
        }
        Ok(asked)
    }

    fn run(
        &self,
        task: CondaTask<'_>,
        specs: Vec<MatchSpec>,
        repodata: &[RepoData],
    ) -> Result<Vec<RepoDataRecord>, CondaError> {
        let borne = task.borne.iter().map(|borne| &borne.constraint);
        let constraints = task.conda.constraints.iter().chain(borne);
        let constraints: Result<_, _> = constraints.map(|text| self.channels.spec(text)).collect();
        let virtual_packages = task.virtual_packages.iter().map(VirtualPackage::generic);
        let mut problem: SolverTask<'_, Vec<_>> = repodata.iter().collect();
        problem.specs = specs;
        problem.constraints = constraints?;
        problem.virtual_packages = virtual_packages.collect::<Result<_, _>>()?;
        problem.locked_packages = self.kept(task, repodata);
        problem.excluded_candidates = in_other_subdirs(&problem, repodata).into_iter().collect();
        problem.exclude_newer = task.exclude_newer.map(ExcludeNewer::from_datetime);
        problem.channel_priority = match task.conda.channel_priority {
            ChannelPriority::Strict => rattler_solve::ChannelPriority::Strict,
            ChannelPriority::Flexible => rattler_solve::ChannelPriority::Flexible,
            ChannelPriority::Disabled => rattler_solve::ChannelPriority::Disabled,
        };
        match Solver.solve(problem) {
            Ok(solution) => Ok(solution.records),
            Err(SolveError::Unsolvable(reasons)) => Err(self.unfulfilled(task, &reasons)),
            Err(error) => Err(CondaError::Solver {
                platform: task.platform,
                source: Box::new(Said::of(&error)),
            }),
        }
    }

    /// Returns the packages of the old lock that the channels still list.
    fn kept<'a>(&self, task: CondaTask<'_>, repodata: &'a [RepoData]) -> Vec<&'a RepoDataRecord> {
        let previous = task.previous.packages.iter();
        let kept: BTreeSet<_> = previous
            .filter(|package| {
                package.platforms.contains(&task.platform)
                    && !task.upgrade.includes_conda(package.name.as_str())
            })
            .map(|package| (&package.artifact.origin, package.artifact.file.as_str()))
            .collect();
        let names: BTreeSet<_> = task
            .previous
            .packages
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        let records = repodata.iter().flat_map(RepoData::iter);
        let records = records.filter(|record| {
            if !names.contains(record.package_record.name.as_normalized()) {
                return false;
            }
            let (origin, file) = self.channels.place_of(record);
            kept.contains(&(&origin, file.as_str()))
        });
        records.collect()
    }

    fn unfulfilled(&self, task: CondaTask<'_>, reasons: &[String]) -> CondaError {
        let text = once_each(&self.channels.with_names(reasons.join("\n").trim_end()));
        let mut hints = Vec::new();
        if text.contains("__") {
            hints.push(
                "declare in `virtual-packages` of [conda] what the machines that run it have"
                    .to_owned(),
            );
        }
        if text.contains("cutoff date") {
            hints.push("choose a later `exclude-newer`".to_owned());
        }
        if text.contains("strict channel priority") {
            hints.push("write `channel-priority = \"flexible\"`".to_owned());
        }
        if text.to_lowercase().contains("no candidates were found") {
            let names = self.channels.iter().map(|(name, _)| format!("`{name}`"));
            let names = names.collect::<Vec<_>>().join(", ");
            hints.push(format!(
                "check the spelling of what was not found, and whether it is in one of {names}"
            ));
        }
        CondaError::NoSolution {
            platform: task.platform,
            explanation: Unfulfilled { text },
            hints,
        }
    }
}

/// Finds what is not in the subdir that a MatchSpec names: the solver does not look at that.
fn in_other_subdirs<T>(problem: &SolverTask<'_, T>, repodata: &[RepoData]) -> Vec<(Url, Arc<str>)> {
    let specs = problem.specs.iter().chain(&problem.constraints);
    let asked = specs.filter_map(|spec| {
        let name = spec.name.as_exact()?.as_normalized();
        Some((name, spec.subdir.as_deref()?))
    });
    let mut excluded = Vec::new();
    for (name, subdir) in asked {
        let reason: Arc<str> = format!("not in the subdir `{subdir}`").into();
        for record in repodata.iter().flat_map(RepoData::iter) {
            let package = &record.package_record;
            if package.name.as_normalized() == name && package.subdir != subdir {
                excluded.push((record.url.clone(), Arc::clone(&reason)));
            }
        }
    }
    excluded
}

/// Leaves out a line that says the same as the next one: a constraint is told once for each
/// package that it forbids.
fn once_each(text: &str) -> String {
    let said = |line: &str| {
        line.trim_start_matches(|c: char| " │├└─".contains(c))
            .to_owned()
    };
    let lines: Vec<_> = text.lines().collect();
    let kept = lines.iter().enumerate().filter(|(index, line)| {
        let next = lines.get(index + 1);
        next.is_none_or(|next| said(next) != said(line))
    });
    let kept: Vec<_> = kept.map(|(_, line)| *line).collect();
    kept.join("\n")
}
