//! One resolution for one platform.

use std::collections::BTreeSet;

use uv_client::FlatIndexClient;
use uv_configuration::{Constraints, Excludes, Overrides};
use uv_distribution::DistributionDatabase;
use uv_distribution_types::{Index, Name as _, Resolution};
use uv_normalize::PackageName;
use uv_pypi_types::Conflicts;
use uv_requirements::LookaheadResolver;
use uv_requirements_txt::{RequirementEntry, RequirementsTxtRequirement};
use uv_resolver::{
    AllowedYanks, DefaultResolverProvider, ExcludeNewer, Exclusions, FlatIndex, InMemoryIndex,
    Manifest, Options, OptionsBuilder, Preference, Preferences, PrereleaseMode, ResolveError,
    Resolver, ResolverProvider,
};
use uv_types::{BuildContext as _, EmptyInstalledPackages, HashStrategy};

use crate::base::{Context, Platform, PythonName};
use crate::lock::LockedWheel;
use crate::manifest::{Prerelease, Python};
use crate::resolve::python::PythonError;
use crate::resolve::python::builds::{Candidates, NoBuilds};
use crate::resolve::python::indexes::Indexes;
use crate::resolve::python::pinned::Pinned;
use crate::resolve::python::provided::{Beside, Demand, Provided, Seen};
use crate::resolve::python::requirements::{Asked, Direct};
use crate::resolve::python::session::{Patience, Session};
use crate::resolve::python::sources::{Building, Sources, WithSources};
use crate::resolve::python::target::Target;
use crate::resolve::python::{failure, missing, spelling, wheels};
use crate::resolve::{Pins, Upgrade};

/// What is to be resolved, and for what.
#[derive(Debug, Clone, Copy)]
pub struct PythonRequest<'a> {
    /// `[python]` of the manifest.
    pub python: &'a Python,
    /// The interpreter's whole version: `3.11.2`.
    pub python_version: &'a str,
    /// The platform.
    pub platform: Platform,
    /// The version of the base's C library.
    pub glibc: (u16, u16),
    /// The wheels found for other platforms: versions are kept in line with them, which makes one
    /// environment of the platforms' environments.
    pub siblings: &'a [LockedWheel],
    /// The wheels of the old lock.
    pub previous: &'a [LockedWheel],
    /// Which of them may move although they still fit.
    pub upgrade: &'a Upgrade,
    /// The distributions that are there already.
    pub provided: &'a Provided,
    /// What builds sources; without it only wheels are taken.
    pub building: Option<&'a Building>,
    /// What must be chosen, where it is chosen at all.
    pub pins: &'a Pins,
}

/// What became of a resolution.
#[derive(Debug)]
pub enum Resolved {
    /// The wheels, sorted by name, that all bear the one platform.
    Wheels(Vec<LockedWheel>),
    /// Extras are asked for of these, which are there already and whose metadata was not given.
    Extras(BTreeSet<PythonName>),
}

/// Resolves the requirements for one platform, taking wheels only.
///
/// uv's rules decide what is chosen; versions of the old lock are kept where they fit.
///
/// # Errors
/// Returns [`PythonError`]; its `Explain` tells whose turn it is.
pub async fn resolve_python(
    context: &Context,
    request: PythonRequest<'_>,
) -> Result<Resolved, PythonError> {
    resolve_patiently(context, request, Patience::default()).await
}

pub(super) async fn resolve_patiently(
    context: &Context,
    request: PythonRequest<'_>,
    patience: Patience,
) -> Result<Resolved, PythonError> {
    if request.python.requirements.is_empty() {
        return Ok(Resolved::Wheels(Vec::new()));
    }
    let indexes = Indexes::of(context, request.python)?;
    let session = Session::open(context, indexes, patience).await?;
    match request.building {
        None => resolve_in(context, &session, request, None).await,
        Some(building) => {
            let sources = Sources::new(context, &session, request, building);
            let resolved = resolve_in(context, &session, request, Some(&sources)).await;
            resolved.map_err(|error| sources.failure().unwrap_or(error))
        }
    }
}

/// As [`resolve_python`], with a session that is open.
pub(super) async fn resolve_in(
    context: &Context,
    session: &Session,
    request: PythonRequest<'_>,
    sources: Option<&Sources<'_>>,
) -> Result<Resolved, PythonError> {
    let mut asked = Asked::of(request.python, direct(request))?;
    if let Some(sources) = sources {
        asked.requirements = sources.built(asked.requirements).await?;
    }
    let target = Target::new(request.python_version, request.platform, request.glibc)?;
    let pinned = Pinned::of(request, &target)?;
    let problem = Problem::new(request, &asked, &target, &pinned, session)?;
    let seen = Seen::default();
    match problem.solve(session, &seen, sources).await {
        Ok(resolution) => {
            let extras = seen.extras(&asked.requirements, request.provided);
            if !extras.is_empty() {
                return Ok(Resolved::Extras(extras));
            }
            let wheels = wheels::locked(context, session, request, &resolution, sources).await?;
            pinned.check(&wheels)?;
            Ok(Resolved::Wheels(wheels))
        }
        Err(mut error @ PythonError::NoSolution { .. }) => {
            if let PythonError::NoSolution { hints, .. } = &mut error {
                hints.extend(pinned.suspects());
            }
            let error = match sources {
                None => missing::explain(session, &problem, error).await,
                // Nothing lacks a wheel.
                Some(_) => error,
            };
            Err(spelling::corrected(session, request, error))
        }
        Err(error) => Err(error),
    }
}

fn direct(request: PythonRequest<'_>) -> Direct {
    match request.building {
        Some(_) => Direct::Sources,
        None => Direct::Wheels,
    }
}

/// Returns what the requirements, and the wheels that would be chosen for them, require of those
/// `named`, if these could be there in any of their other versions as well.
///
/// # Errors
/// As [`resolve_python`]: then another version would not do either.
pub async fn demands(
    context: &Context,
    request: PythonRequest<'_>,
    named: &[PythonName],
) -> Result<Vec<Demand>, PythonError> {
    let mut asked = Asked::of(request.python, direct(request))?;
    let target = Target::new(request.python_version, request.platform, request.glibc)?;
    let indexes = Indexes::of(context, request.python)?;
    let session = Session::open(context, indexes, Patience::default()).await?;
    let building = request.building;
    let sources = building.map(|building| Sources::new(context, &session, request, building));
    let sources = sources.as_ref();
    if let Some(sources) = sources {
        asked.requirements = sources.built(asked.requirements).await?;
    }
    let pinned = Pinned::of(request, &target)?;
    let problem = Problem::new(request, &asked, &target, &pinned, &session)?;
    let seen = Seen::default();
    let resolution = problem.solve(&session, &seen, sources).await?;
    let chosen: Vec<_> = wheels::distributions(&resolution)
        .into_iter()
        .filter_map(|(dist, _)| Some((dist.name().clone(), dist.version()?.clone())))
        .collect();
    let all: Vec<_> = asked
        .requirements
        .iter()
        .chain(&asked.constraints)
        .cloned()
        .collect();
    Ok(seen.demands(&all, &chosen, named, &target.markers))
}

/// Everything about a resolution but where it is looked up.
pub(super) struct Problem<'a> {
    pub(super) request: PythonRequest<'a>,
    pub(super) target: &'a Target,
    asked: &'a Asked,
    hashes: HashStrategy,
    constraints: Constraints,
    overrides: Overrides,
    preferences: Preferences,
}

impl<'a> Problem<'a> {
    fn new(
        request: PythonRequest<'a>,
        asked: &'a Asked,
        target: &'a Target,
        pinned: &Pinned<'_>,
        session: &Session,
    ) -> Result<Self, PythonError> {
        let mut constraints = asked.constraints.clone();
        constraints.extend(pinned.constraints(request.python, &session.indexes)?);
        Ok(Self {
            request,
            target,
            asked,
            hashes: pinned.hashes(),
            constraints: Constraints::from_requirements(constraints.into_iter()),
            overrides: Overrides::from_requirements(asked.overrides.clone()),
            preferences: preferences(request, target)?,
        })
    }

    /// Solves; with `sources`, those are candidates too.
    async fn solve(
        &self,
        session: &Session,
        seen: &Seen,
        sources: Option<&Sources<'_>>,
    ) -> Result<Resolution, PythonError> {
        let locations = &session.indexes.locations;
        let candidates = match sources {
            Some(_) => Candidates::All,
            None => Candidates::Wheels,
        };
        let context = NoBuilds::new(&session.cache, locations, candidates);
        let flat = self.flat_index(session, &context).await?;
        let index = InMemoryIndex::default();
        let manifest = self.manifest(session, &context, &index).await?;
        let options = self.options(&context);
        let indexes = self.provider(session, &context, &flat, &manifest, &options);
        let provided = self.request.provided;
        // Boxed: uv's futures are tens of kilobytes, too much for a stack of several.
        let output = match sources {
            None => {
                let provider = Beside {
                    provided,
                    seen,
                    registries: indexes,
                };
                let resolver = self.resolver(manifest, options, &context, &index, provider);
                Box::pin(resolver.resolve()).await
            }
            Some(sources) => {
                let provider = Beside {
                    provided,
                    seen,
                    registries: WithSources { indexes, sources },
                };
                let resolver = self.resolver(manifest, options, &context, &index, provider);
                Box::pin(resolver.resolve()).await
            }
        };
        let output = output.map_err(|error| self.failed(error, session))?;
        Ok(Resolution::from(output))
    }

    /// Returns what answers for the registries.
    pub(super) fn provider<'s>(
        &'s self,
        session: &'s Session,
        context: &'s NoBuilds,
        flat: &'s FlatIndex,
        manifest: &Manifest,
        options: &Options,
    ) -> DefaultResolverProvider<'s, NoBuilds> {
        let environment = self.target.environment();
        DefaultResolverProvider::new(
            database(session, context),
            flat,
            Some(&self.target.tags),
            &self.target.requires_python,
            AllowedYanks::from_manifest(manifest, &environment, options.dependency_mode),
            &self.hashes,
            options.exclude_newer.clone(),
            context.locations(),
            context.build_options(),
            context.capabilities(),
        )
    }

    /// Returns a resolver of the requirements that asks `provider`.
    pub(super) fn resolver<P: ResolverProvider>(
        &self,
        manifest: Manifest,
        options: Options,
        context: &NoBuilds,
        index: &InMemoryIndex,
        provider: P,
    ) -> Resolver<P, EmptyInstalledPackages> {
        Resolver::new_custom_io(
            manifest,
            options,
            &self.hashes,
            self.target.environment(),
            &self.target.markers,
            Some(self.target.tags.clone()),
            &self.target.python,
            Conflicts::empty(),
            index,
            context.git(),
            context.capabilities(),
            context.locations(),
            provider,
            EmptyInstalledPackages,
        )
    }

    /// Sorts what uv says, and finds those in the way that are there already.
    fn failed(&self, error: ResolveError, session: &Session) -> PythonError {
        let mut names = BTreeSet::new();
        if let ResolveError::NoSolution(error) = &error {
            let mine = error.packages();
            let mine = mine.filter(|name| self.request.provided.find(name).is_some());
            names.extend(mine.map(wheels::python_name));
        }
        let mut error = failure::resolution(error, &session.indexes, self.request.platform);
        if let PythonError::NoSolution { provided, .. } = &mut error {
            provided.extend(names);
        }
        error
    }

    /// Returns the files of the find-links.
    pub(super) async fn flat_index(
        &self,
        session: &Session,
        context: &NoBuilds,
    ) -> Result<FlatIndex, PythonError> {
        let client = &session.client;
        let client = FlatIndexClient::new(
            client.cached_client(),
            client.connectivity(),
            &session.cache,
        );
        let urls = session.indexes.locations.flat_indexes().map(Index::url);
        let entries = client.fetch_all(urls).await;
        let entries = entries.map_err(|error| failure::links(&error, &session.indexes))?;
        let (tags, options) = (&self.target.tags, context.build_options());
        Ok(FlatIndex::from_entries(
            entries,
            Some(tags),
            &self.hashes,
            options,
        ))
    }

    /// Returns the requirements in uv's form, with those that direct URLs bring in.
    pub(super) async fn manifest(
        &self,
        session: &Session,
        context: &NoBuilds,
        index: &InMemoryIndex,
    ) -> Result<Manifest, PythonError> {
        let excludes = Excludes::default();
        let lookahead = LookaheadResolver::new(
            &self.asked.requirements,
            &self.constraints,
            &self.overrides,
            &excludes,
            &self.hashes,
            index,
            database(session, context),
        );
        let lookahead = Box::pin(lookahead.resolve(&self.target.environment())).await;
        let (lookaheads, _) = lookahead
            .map_err(|error| failure::lookahead(error, &session.indexes, self.request.platform))?;
        Ok(Manifest::new(
            self.asked.requirements.clone(),
            self.constraints.clone(),
            self.overrides.clone(),
            excludes,
            self.preferences.clone(),
            None,
            BTreeSet::new(),
            Exclusions::default(),
            lookaheads,
        ))
    }

    pub(super) fn options(&self, context: &NoBuilds) -> Options {
        let python = self.request.python;
        let exclude_newer = python
            .exclude_newer
            .map(|cutoff| ExcludeNewer::global(cutoff.into()));
        OptionsBuilder::new()
            .prerelease(prerelease(python.prerelease))
            .exclude_newer(exclude_newer.unwrap_or_default())
            .build_options(context.build_options().clone())
            .build()
    }
}

pub(super) fn database<'a>(
    session: &'a Session,
    context: &'a NoBuilds,
) -> DistributionDatabase<'a, NoBuilds> {
    DistributionDatabase::new(&session.client, context, session.requests.clone())
}

fn prerelease(policy: Prerelease) -> uv_resolver::Prerelease {
    let global = match policy {
        Prerelease::Disallow => PrereleaseMode::Disallow,
        Prerelease::Allow => PrereleaseMode::Allow,
        // uv made these two one: a package that has nothing else, or is asked for by a
        // pre-release, gets one.
        Prerelease::IfNecessary | Prerelease::IfNecessaryOrExplicit => PrereleaseMode::IfNecessary,
        Prerelease::Explicit => PrereleaseMode::Explicit,
    };
    uv_resolver::Prerelease {
        global,
        ..uv_resolver::Prerelease::default()
    }
}

/// Returns the versions of the old lock that are to be kept, in the form of a pinned
/// requirements file: the only one uv takes from outside.
fn preferences(request: PythonRequest<'_>, target: &Target) -> Result<Preferences, PythonError> {
    let previous = request.previous.iter();
    let previous = previous.filter(|wheel| !request.upgrade.includes(wheel.name.as_str()));
    let (own, others): (Vec<_>, Vec<_>) =
        previous.partition(|wheel| wheel.platforms.contains(&request.platform));
    let mut kept = Vec::new();
    // uv takes the first that fits.
    let wheels = own.into_iter().chain(request.siblings).chain(others);
    let wheels = wheels.map(|wheel| format!("{}=={}", wheel.name, wheel.version));
    for pin in request.provided.pins().chain(wheels) {
        let requirement = pin.parse().map_err(|source| PythonError::Requirement {
            list: "the lock",
            text: pin.clone(),
            source: Box::new(source),
        })?;
        let entry = RequirementEntry {
            requirement: RequirementsTxtRequirement::Named(requirement),
            hashes: Vec::new(),
        };
        kept.extend(Preference::from_entry(entry).ok().flatten());
    }
    Ok(Preferences::from_iter(kept, &target.environment()))
}

/// Returns uv's form of a name.
pub(super) fn package_name(name: &str) -> PackageName {
    PackageName::from_owned(name.to_owned()).expect("a normalized name is valid for uv too")
}
