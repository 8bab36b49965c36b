//! Base, interpreter and wheels to one lockfile.

use std::sync::Arc;

use crate::base::{Context, Event};
use crate::lock::{
    Affected, LockedBase, LockedDebian, LockedInterpreter, Lockfile, Request, satisfies,
};
use crate::manifest::{CondaBase, InterpreterSource, Manifest};
use crate::net::{Client, block_on_large_stack};
use crate::resolve::debian::{DebianRequest, Keyring, Root, resolve_debian_with};
use crate::resolve::interpreter::{
    InterpreterError, Plan, Planned, Release, debian_version, lock_standalone, locked_debian, plan,
    plan_standalone,
};
use crate::resolve::mixed::Mixed;
use crate::resolve::python::SourceBuilder;
use crate::resolve::roots::{BARE_BASE, BASE};
use crate::resolve::{Pins, ResolveError, Upgrade};

/// Who asks for a package.
const BY_BASE: &str = "base";
const BY_INTERPRETER: &str = "interpreter";
const BY_MANIFEST: &str = "manifest";

/// How to resolve.
#[derive(Debug, Clone, Default)]
pub struct ResolveOptions {
    /// What may move although its old version still fits.
    pub upgrade: Upgrade,
    /// The image that the manifest names, for one that names any: to read images is not this
    /// crate's work.
    pub base: Option<LockedBase>,
    /// What builds sources, for a manifest that takes them (`no-build = false`).
    pub builder: Option<Arc<dyn SourceBuilder>>,
    /// What must be chosen, where it is chosen at all.
    pub pins: Pins,
}

/// Resolves `manifest` to a lockfile.
///
/// What `previous` has locked is kept wherever it still fits, and a section whose part of the
/// manifest did not change is taken over without asking any registry, unless an upgrade concerns
/// it.
///
/// # Errors
/// Returns [`ResolveError`]; `previous` is then as good as it was.
pub fn resolve(
    context: &Context,
    manifest: &Manifest,
    previous: Option<&Lockfile>,
    options: &ResolveOptions,
) -> Result<Lockfile, ResolveError> {
    resolve_with(context, &Keyring::shipped(), manifest, previous, options)
}

/// As [`resolve`], trusting the keys of `keyring` instead of Debian's.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(
    context: &Context,
    keyring: &Keyring,
    manifest: &Manifest,
    previous: Option<&Lockfile>,
    options: &ResolveOptions,
) -> Result<Lockfile, ResolveError> {
    let request = Request::of(manifest);
    // All groups are resolved together, so that any of them can be chosen.
    let manifest = &manifest.with_all_groups();
    let resolution = Resolution {
        context,
        keyring,
        manifest,
        previous,
        upgrade: &options.upgrade,
        base: options.base.as_ref(),
        builder: options.builder.as_ref(),
        pins: &options.pins,
    };
    let affected = resolution.affected(&request);
    // uv's futures outgrow the main thread's stack in builds without optimisation.
    block_on_large_stack(|| resolution.lock(request, Request::of(manifest), affected))
}

#[derive(Clone, Copy)]
pub(super) struct Resolution<'a> {
    pub(super) context: &'a Context,
    keyring: &'a Keyring,
    pub(super) manifest: &'a Manifest,
    pub(super) previous: Option<&'a Lockfile>,
    pub(super) upgrade: &'a Upgrade,
    base: Option<&'a LockedBase>,
    pub(super) builder: Option<&'a Arc<dyn SourceBuilder>>,
    pub(super) pins: &'a Pins,
}

/// What packages run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct System {
    pub(super) base: Option<LockedBase>,
    /// The interpreter, unless conda packages bring it.
    pub(super) interpreter: Option<LockedInterpreter>,
    pub(super) debian: LockedDebian,
}

impl Resolution<'_> {
    /// Returns the sections that cannot be taken over from the old lock.
    fn affected(&self, request: &Request) -> Affected {
        let Some(previous) = self.previous else {
            return Affected::ALL;
        };
        let changed = satisfies(previous, request)
            .err()
            .map(|stale| stale.affected);
        let changed = changed.unwrap_or_default();
        let mut packages = previous.debian.packages.iter();
        let mut conda = previous.conda.packages.iter();
        let mut wheels = previous.python.iter();
        Affected {
            debian: changed.debian
                || self.upgrade.includes("python")
                || packages.any(|package| self.upgrade.includes(package.name.as_str())),
            conda: changed.conda
                || !self.pins.conda.is_empty()
                || conda.any(|package| self.upgrade.includes_conda(package.name.as_str())),
            python: changed.python
                || !self.pins.is_empty()
                || wheels.any(|wheel| self.upgrade.includes(wheel.name.as_str())),
        }
    }

    /// Resolves what `asked` asks for, which `request` asks for in groups.
    async fn lock(
        self,
        request: Request,
        asked: Request,
        affected: Affected,
    ) -> Result<Lockfile, ResolveError> {
        let kept = self.previous.filter(|_| !affected.debian);
        let system = match kept {
            Some(previous) => System {
                base: previous.base.clone(),
                interpreter: previous
                    .interpreter
                    .clone()
                    .filter(|interpreter| interpreter.from != InterpreterSource::Conda),
                debian: previous.debian.clone(),
            },
            None => self.system(&asked).await?,
        };
        let packages = Mixed::new(self, &asked, &system).lock(affected).await?;
        let mut lock = Lockfile {
            request,
            base: system.base,
            interpreter: packages.interpreter,
            conda: packages.conda,
            python: packages.python,
            debian: system.debian,
            gpu: None,
            built: Vec::new(),
        };
        lock.derive_gpu(self.previous.and_then(|previous| previous.gpu.as_ref()));
        if let Some(previous) = self.previous
            && previous.digest() == lock.digest()
        {
            lock.built.clone_from(&previous.built);
        }
        Ok(lock)
    }

    /// Locks base and interpreter.
    async fn system(&self, request: &Request) -> Result<System, ResolveError> {
        let client = Client::new(self.context)?;
        if request.base.is_some() {
            let base = self.base.ok_or(ResolveError::NoImage)?;
            return self.on_image(&client, base).await;
        }
        let first = self.build(&client, request, plan(self.manifest)?).await;
        match first {
            // Only the suite's package list tells which patch release it has, so a choice of
            // Debian made for its minor version may have to be taken back.
            Err(ResolveError::Interpreter(error @ InterpreterError::OtherPatch { .. }))
                if request.python_from.is_none() =>
            {
                match plan_standalone(self.manifest) {
                    Ok(plan) => self.build(&client, request, plan).await,
                    Err(_) => Err(error.into()),
                }
            }
            other => other,
        }
    }

    /// Locks the interpreter of an environment that stands on an image. The image's own Python, if
    /// it has one, is not looked at: what it imports is the image's, not the lock's.
    async fn on_image(&self, client: &Client, base: &LockedBase) -> Result<System, ResolveError> {
        let plan = plan_standalone(self.manifest)?;
        let foreign = base.images.iter().find(|image| image.glibc.is_none());
        let interpreter = match (&plan.interpreter, foreign) {
            (Some(_), Some(image)) => {
                return Err(ResolveError::ImageLibrary {
                    image: base.reference.to_string(),
                    platform: image.platform,
                });
            }
            (Some(Planned::Standalone(release)), None) => {
                Some(self.standalone(client, release).await?)
            }
            _ => None,
        };
        Ok(System {
            base: Some(base.clone()),
            interpreter,
            debian: LockedDebian::default(),
        })
    }

    async fn standalone(
        &self,
        client: &Client,
        release: &Release,
    ) -> Result<LockedInterpreter, ResolveError> {
        let previous = self
            .previous
            .and_then(|previous| previous.interpreter.as_ref());
        let locking = lock_standalone(self.context, client, release, previous);
        self.stage("resolve interpreter", locking).await
    }

    async fn build(
        &self,
        client: &Client,
        request: &Request,
        plan: Plan,
    ) -> Result<System, ResolveError> {
        let debian = self.debian(client, request, &plan).await?;
        let interpreter = match &plan.interpreter {
            None => None,
            Some(Planned::Debian { package, version }) => {
                let found = debian_version(&debian, package, &plan.suite)?;
                Some(locked_debian(
                    *version,
                    found,
                    &plan.suite,
                    &request.platforms,
                )?)
            }
            Some(Planned::Standalone(release)) => Some(self.standalone(client, release).await?),
        };
        Ok(System {
            base: None,
            interpreter,
            debian,
        })
    }

    async fn debian(
        &self,
        client: &Client,
        request: &Request,
        plan: &Plan,
    ) -> Result<LockedDebian, ResolveError> {
        let root = |name: &str, required_by: &str| Root {
            name: name
                .parse()
                .expect("names of packages in this crate are valid"),
            required_by: required_by.to_owned(),
        };
        let bare = request.conda.as_ref().map(|conda| conda.base) == Some(CondaBase::Glibc);
        let base = if bare { &BARE_BASE[..] } else { &BASE[..] };
        let mut roots: Vec<_> = base.iter().map(|name| root(name, BY_BASE)).collect();
        if let Some(Planned::Debian { package, .. }) = &plan.interpreter {
            roots.push(root(package.as_str(), BY_INTERPRETER));
        }
        let packages = request.packages.iter();
        roots.extend(packages.map(|package| root(package.as_str(), BY_MANIFEST)));
        let asked = DebianRequest {
            suite: &plan.suite,
            snapshot: request.snapshot.as_deref(),
            security: request.security.unwrap_or(true),
            platforms: &request.platforms,
            roots: &roots,
            previous: self.previous.map(|previous| &previous.debian),
            upgrade: self.upgrade,
        };
        Ok(resolve_debian_with(self.context, client, self.keyring, &asked).await?)
    }

    pub(super) async fn stage<T, E: Into<ResolveError>>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ResolveError> {
        let stage = name.to_owned();
        self.context
            .report(Event::StageStarted { stage, total: None });
        let done = work.await.map_err(Into::into)?;
        let stage = name.to_owned();
        self.context.report(Event::StageFinished { stage });
        Ok(done)
    }
}
