//! The rounds of both solvers.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::base::{Platform, PythonName};
use crate::lock::{
    Affected, CondaRequest, LockedConda, LockedCondaPackage, LockedInterpreter, LockedWheel,
    Lockfile, Request,
};
use crate::manifest::{Conda, InterpreterSource};
use crate::resolve::conda::{
    Borne, CondaError, CondaSession, CondaTask, declared, distributions, merged as merged_conda,
    metadata,
};
use crate::resolve::interpreter::is_from_conda;
use crate::resolve::join::{Resolution, System};
use crate::resolve::mixed::border::{
    Refused, border, borne, no_end, no_version, owners, provided, refused, shown,
};
use crate::resolve::python::{
    Building, Provided, PythonRequest, Resolved, demands, resolve_python,
};
use crate::resolve::target::{glibc, merged};
use crate::resolve::{ResolveError, Upgrade};

/// How often conda is solved again because Python requirements leave what it brings. Each time
/// there is a new constraint, so this ends; sooner where it does not look as if it led anywhere.
const ROUNDS: usize = 8;

/// Where conda packages are.
const PREFIX: &str = "/opt/env";

/// What is locked beside the base.
pub(in crate::resolve) struct Packages {
    pub(in crate::resolve) interpreter: Option<LockedInterpreter>,
    pub(in crate::resolve) conda: LockedConda,
    pub(in crate::resolve) python: Vec<LockedWheel>,
}

/// The resolution of both kinds of packages for a known base.
pub(in crate::resolve) struct Mixed<'a> {
    resolution: Resolution<'a>,
    request: &'a Request,
    system: &'a System,
    /// Opened when a channel has to be asked.
    session: OnceCell<CondaSession>,
}

impl<'a> Mixed<'a> {
    pub(in crate::resolve) fn new(
        resolution: Resolution<'a>,
        request: &'a Request,
        system: &'a System,
    ) -> Self {
        Self {
            resolution,
            request,
            system,
            session: OnceCell::new(),
        }
    }

    /// Locks the packages. What `affected` leaves out is taken over from the old lock.
    pub(in crate::resolve) async fn lock(
        &self,
        affected: Affected,
    ) -> Result<Packages, ResolveError> {
        let previous = self.resolution.previous;
        let same_library = previous.is_some_and(|previous| self.same_library(previous));
        let kept = previous.filter(|_| !affected.conda && same_library);
        let mut conda = match (kept, &self.request.conda) {
            (_, None) => LockedConda::default(),
            (Some(previous), Some(_)) => previous.conda.clone(),
            (None, Some(asked)) => self.conda(asked, &[], None).await?,
        };
        let mut borne = Vec::<Borne>::new();
        for _ in 0..ROUNDS {
            self.look_into(&mut conda).await?;
            let interpreter = self.interpreter(&conda)?;
            let refused = match self.python(affected, &interpreter, &conda).await? {
                Ok(python) => {
                    // Part of the old lock that nobody resolves.
                    if let Some(previous) = previous
                        && previous.conda.packages == conda.packages
                    {
                        conda.activation.clone_from(&previous.conda.activation);
                    }
                    return Ok(Packages {
                        interpreter,
                        conda,
                        python,
                    });
                }
                Err(refused) => refused,
            };
            let (Some(interpreter), Some(asked)) = (&interpreter, &self.request.conda) else {
                return Err(refused.error.into());
            };
            let wanted = self.wanted(&refused, interpreter, &conda).await?;
            let new: Vec<_> = wanted
                .into_iter()
                .filter(|one| !borne.contains(one))
                .collect();
            if new.is_empty() {
                return Err(refused.error.into());
            }
            borne.extend(new);
            conda = match self.conda(asked, &borne, Some(&conda)).await {
                Err(ResolveError::Conda(error @ CondaError::NoSolution { .. })) => {
                    return Err(border(&refused, &borne, &shown(&error)));
                }
                other => other?,
            };
        }
        Err(no_end(self.request.platforms[0], &borne, ROUNDS))
    }

    /// Says whether the C library of each platform is the old lock's.
    fn same_library(&self, previous: &Lockfile) -> bool {
        self.request.platforms.iter().all(|platform| {
            let before = glibc(previous.base.as_ref(), &previous.debian, *platform);
            before.ok() == self.glibc(*platform).ok()
        })
    }

    fn glibc(&self, platform: Platform) -> Result<(u16, u16), ResolveError> {
        glibc(self.system.base.as_ref(), &self.system.debian, platform)
    }

    fn manifest(&self) -> Result<&'a Conda, ResolveError> {
        let conda = self.resolution.manifest.conda.as_ref();
        conda.ok_or(ResolveError::NoInterpreter)
    }

    async fn session(&self) -> Result<&CondaSession, ResolveError> {
        let channels = &self.manifest()?.channels;
        let open = || async { CondaSession::open(self.resolution.context, channels) };
        Ok(self.session.get_or_try_init(open).await?)
    }

    /// Solves for every platform. A `last` solution of this very resolution is kept where it fits.
    async fn conda(
        &self,
        asked: &CondaRequest,
        borne: &[Borne],
        last: Option<&LockedConda>,
    ) -> Result<LockedConda, ResolveError> {
        let session = self.session().await?;
        let python = self.resolution.manifest.environment.python.as_ref();
        let python = python.filter(|_| is_from_conda(self.resolution.manifest));
        let (none, keep) = (LockedConda::default(), Upgrade::None);
        let previous = self
            .resolution
            .previous
            .map_or(&none, |previous| &previous.conda);
        let (previous, upgrade) = match last {
            Some(last) => (last, &keep),
            None => (previous, self.resolution.upgrade),
        };
        let mut all = Vec::new();
        for platform in &self.request.platforms {
            let declared = declared(asked, *platform, self.glibc(*platform)?)?;
            let borne: Vec<_> = self
                .pinned(*platform)
                .chain(borne.iter().cloned())
                .collect();
            let task = CondaTask {
                conda: self.manifest()?,
                exclude_newer: asked.exclude_newer,
                python: python.map(|python| python.version),
                platform: *platform,
                virtual_packages: &declared,
                borne: &borne,
                previous,
                upgrade,
            };
            let jobs = self.resolution.context.jobs;
            let solving = session.resolve(jobs, task);
            let packages = self.resolution.stage("resolve conda", solving).await?;
            self.resolution.pins.check(*platform, &packages)?;
            all.push((*platform, declared, packages));
        }
        Ok(merged_conda(all))
    }

    /// Returns what another tool's lockfile leaves of the packages of a platform.
    fn pinned(&self, platform: Platform) -> impl Iterator<Item = Borne> {
        let pins = self.resolution.pins.conda.iter();
        pins.filter(move |pin| pin.platform == platform)
            .map(|pin| Borne {
                constraint: pin.constraint(),
                reason: format!("the other tool's lockfile has {} {}", pin.name, pin.version),
            })
    }

    /// Finds out which distributions the packages bring, where Python requirements need to know.
    async fn look_into(&self, conda: &mut LockedConda) -> Result<(), ResolveError> {
        if self.request.requirements.is_empty() || conda.packages.is_empty() {
            return Ok(());
        }
        let known = self.resolution.previous.is_some_and(|previous| {
            previous.conda.packages == conda.packages && !previous.request.requirements.is_empty()
        });
        if known {
            return Ok(());
        }
        let (context, session) = (self.resolution.context, self.session().await?);
        let named = &self.manifest()?.python_names;
        let looking = distributions(context, session, &conda.packages, named);
        let found = self
            .resolution
            .stage("read conda packages", looking)
            .await?;
        for (package, brought) in conda.packages.iter_mut().zip(found) {
            let pins = brought
                .iter()
                .map(|one| format!("{}=={}", one.name, one.version));
            package.python = pins.collect();
        }
        conda.sort();
        Ok(())
    }

    /// Returns the interpreter: that of the base, or the channels'.
    fn interpreter(&self, conda: &LockedConda) -> Result<Option<LockedInterpreter>, ResolveError> {
        let mut versions = conda
            .packages
            .iter()
            .filter(|p| p.name.as_str() == "python");
        let Some(LockedCondaPackage { version, .. }) = versions.next() else {
            let manifest = self.resolution.manifest;
            return match manifest.environment.python.is_some() && is_from_conda(manifest) {
                true => Err(CondaError::NoPython.into()),
                false => Ok(self.system.interpreter.clone()),
            };
        };
        if let Some(other) = &self.system.interpreter {
            let from = match other.from {
                InterpreterSource::Debian => "debian",
                _ => "standalone",
            };
            let version = version.clone();
            return Err(CondaError::TwoPythons { version, from }.into());
        }
        if let Some(other) = versions.find(|other| other.version != *version) {
            let (first, second) = (version.clone(), other.version.clone());
            return Err(CondaError::Differs { first, second }.into());
        }
        let short: Vec<_> = version.split('.').take(2).collect();
        Ok(Some(LockedInterpreter {
            from: InterpreterSource::Conda,
            version: version.clone(),
            path: format!("{PREFIX}/bin/python{}", short.join(".")),
            archives: Vec::new(),
        }))
    }

    /// Takes the wheels over from the old lock, or locks them.
    async fn python(
        &self,
        affected: Affected,
        interpreter: &Option<LockedInterpreter>,
        conda: &LockedConda,
    ) -> Result<Result<Vec<LockedWheel>, Refused>, ResolveError> {
        if self.request.requirements.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let Some(interpreter) = interpreter else {
            return Err(ResolveError::NoInterpreter);
        };
        let same = |previous: &&Lockfile| {
            let version = |i: &LockedInterpreter| i.version.clone();
            previous.interpreter.as_ref().map(version) == Some(version(interpreter))
                && self.same_library(previous)
                && self.request.platforms.iter().all(|platform| {
                    provided(&previous.conda, *platform) == provided(conda, *platform)
                })
        };
        let previous = self.resolution.previous;
        match previous.filter(|_| !affected.python).filter(same) {
            Some(previous) => Ok(Ok(previous.python.clone())),
            None => self.wheels(interpreter, conda).await,
        }
    }

    /// Locks the wheels of every platform.
    async fn wheels(
        &self,
        interpreter: &LockedInterpreter,
        conda: &LockedConda,
    ) -> Result<Result<Vec<LockedWheel>, Refused>, ResolveError> {
        let building = self.building(interpreter, conda)?;
        let building = building.as_ref();
        let mut wheels = Vec::new();
        for platform in &self.request.platforms {
            let mut provided = provided(conda, *platform);
            let found = loop {
                let asked = self.asked(interpreter, *platform, &wheels, &provided, building)?;
                let resolving = resolve_python(self.resolution.context, asked);
                match self.resolution.stage("resolve python", resolving).await {
                    Ok(Resolved::Wheels(found)) => break found,
                    Ok(Resolved::Extras(names)) => {
                        self.add_metadata(&names, conda, &mut provided).await?;
                    }
                    Err(ResolveError::Python(error)) => {
                        return refused(error, *platform).map(Err);
                    }
                    Err(error) => return Err(error),
                }
            };
            wheels.extend(found);
        }
        Ok(Ok(merged(wheels)))
    }

    fn asked<'b>(
        &'b self,
        interpreter: &'b LockedInterpreter,
        platform: Platform,
        siblings: &'b [LockedWheel],
        provided: &'b Provided,
        building: Option<&'b Building>,
    ) -> Result<PythonRequest<'b>, ResolveError> {
        let previous = self.resolution.previous;
        Ok(PythonRequest {
            python: &self.resolution.manifest.python,
            python_version: &interpreter.version,
            platform,
            glibc: self.glibc(platform)?,
            previous: previous.map_or(&[][..], |previous| &previous.python),
            siblings,
            upgrade: self.resolution.upgrade,
            provided,
            building,
            pins: self.resolution.pins,
        })
    }

    /// Returns what sources are built on, if they are taken.
    fn building(
        &self,
        interpreter: &LockedInterpreter,
        conda: &LockedConda,
    ) -> Result<Option<Building>, ResolveError> {
        let builder = self.resolution.builder;
        let Some(builder) = builder.filter(|_| !self.request.no_build) else {
            return Ok(None);
        };
        let platforms = self.request.platforms.iter();
        let platforms = platforms.map(|&platform| Ok((platform, self.glibc(platform)?)));
        Ok(Some(Building {
            builder: Arc::clone(builder),
            platforms: platforms.collect::<Result<_, ResolveError>>()?,
            system: Lockfile {
                request: self.request.clone(),
                base: self.system.base.clone(),
                interpreter: Some(interpreter.clone()),
                conda: conda.clone(),
                python: Vec::new(),
                debian: self.system.debian.clone(),
                gpu: None,
                built: Vec::new(),
            },
        }))
    }

    /// Gives the metadata of distributions whose extras are asked for.
    async fn add_metadata(
        &self,
        names: &BTreeSet<PythonName>,
        conda: &LockedConda,
        provided: &mut Provided,
    ) -> Result<(), ResolveError> {
        let (context, session) = (self.resolution.context, self.session().await?);
        let named = &self.manifest()?.python_names;
        let found = distributions(context, session, &conda.packages, named).await?;
        for (package, brought) in conda.packages.iter().zip(found) {
            for one in brought.iter().filter(|one| names.contains(&one.name)) {
                let text = metadata(session, package, one).await?;
                if let Some(distribution) = provided.get_mut(&one.name) {
                    // None is known then, rather than nothing.
                    distribution.metadata = Some(text.unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    /// Returns what the Python side requires of the conda packages whose distributions it left.
    async fn wanted(
        &self,
        refused: &Refused,
        interpreter: &LockedInterpreter,
        conda: &LockedConda,
    ) -> Result<Vec<Borne>, ResolveError> {
        let owners = owners(conda, refused.platform);
        let mut provided = provided(conda, refused.platform);
        for name in &refused.names {
            if let (Some((owner, _)), Some(one)) = (owners.get(name), provided.get_mut(name)) {
                one.others = self
                    .session()
                    .await?
                    .versions(refused.platform, owner)
                    .await?;
            }
        }
        let building = self.building(interpreter, conda)?;
        let building = building.as_ref();
        let asked = self.asked(interpreter, refused.platform, &[], &provided, building)?;
        let demands = demands(self.resolution.context, asked, &refused.names);
        let demands = match demands.await {
            Ok(demands) => demands,
            Err(error) => return Err(no_version(error, &refused.names, &owners, refused.platform)),
        };
        let borne = demands.iter().filter_map(|demand| {
            let (package, version) = owners.get(&demand.name)?;
            borne(demand, package, version)
        });
        Ok(borne.collect())
    }
}
