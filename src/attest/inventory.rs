//! What a lock has for one platform, whatever the format that tells of it.

use envbox_lockfiles::base::{Digest, Platform, package_url};
use envbox_lockfiles::lock::{
    Artifact, BuiltFrom, LockedCondaPackage, LockedPackage, LockedWheel, Lockfile, Origin,
};
use envbox_lockfiles::manifest::InterpreterSource;

use crate::attest::AttestError;
use crate::layers::CondaPackage;

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Of the image that the environment stands on.
    Layer,
    Debian,
    Conda,
    Interpreter,
    Wheel,
    /// What a wheel was built from. It is not in the environment.
    Source,
    /// A wheel that another was built with. It is not in the environment.
    BuildTool,
}

impl Kind {
    /// Says whether it is in the environment.
    pub(super) fn is_installed(self) -> bool {
        !matches!(self, Self::Source | Self::BuildTool)
    }
}

/// One package.
#[derive(Debug, Clone)]
pub(super) struct Component<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) purl: String,
    pub(super) artifact: &'a Artifact,
    /// Who asked for it, as the lock says.
    required_by: &'a [String],
}

impl Component<'_> {
    /// Says whether the environment itself asks for it: the manifest, the base, or the interpreter.
    pub(super) fn is_direct(&self) -> bool {
        let roots: &[&str] = match self.kind {
            Kind::Layer | Kind::Interpreter => return true,
            Kind::Source | Kind::BuildTool => return false,
            Kind::Debian => &["base", "interpreter", "manifest"],
            Kind::Conda => &["interpreter", "manifest"],
            Kind::Wheel => &["manifest"],
        };
        self.required_by
            .iter()
            .any(|by| roots.contains(&by.as_str()))
    }

    /// Says whether `other` asks for it.
    pub(super) fn is_required_by(&self, other: &Component<'_>) -> bool {
        self.kind == other.kind && self.required_by.iter().any(|by| by == other.name)
    }
}

/// How a wheel was made that no registry has.
#[derive(Debug, Clone)]
pub(super) struct Made<'a> {
    pub(super) wheel: Digest,
    pub(super) source: &'a Artifact,
    tools: Vec<Digest>,
}

/// All packages of a platform, in the lock's order: layers of an image, Debian packages, conda
/// packages, interpreter, wheels, then what wheels were built from and with.
#[derive(Debug, Clone)]
pub(super) struct Inventory<'a> {
    pub(super) lock: &'a Lockfile,
    pub(super) platform: Platform,
    pub(super) components: Vec<Component<'a>>,
    pub(super) made: Vec<Made<'a>>,
}

impl<'a> Inventory<'a> {
    /// Lists what `lock` has for `platform`.
    pub(super) fn of(lock: &'a Lockfile, platform: Platform) -> Result<Self, AttestError> {
        if !lock.request.platforms.contains(&platform) {
            return Err(AttestError::Platform {
                platform,
                locked: lock.request.platforms.clone(),
            });
        }
        let mut components: Vec<Component<'a>> = Vec::new();
        let base = lock.base.as_ref();
        let image = base.and_then(|base| base.image(platform));
        for layer in image.iter().flat_map(|image| &image.layers) {
            components.push(of_layer(&layer.artifact));
        }
        for package in &lock.debian.packages {
            if package.platforms.contains(&platform) {
                components.push(debian(lock, package));
            }
        }
        let conda = lock.conda.packages.iter();
        components.extend(
            conda
                .filter(|package| package.platforms.contains(&platform))
                .map(conda_package),
        );
        if let Some(interpreter) = &lock.interpreter
            && interpreter.from == InterpreterSource::Standalone
        {
            let archives = interpreter.archives.iter();
            components.extend(archives.filter(|archive| archive.platform == platform).map(
                |archive| Component {
                    kind: Kind::Interpreter,
                    name: "python",
                    version: &interpreter.version,
                    purl: interpreter_purl(&interpreter.version, &archive.artifact),
                    artifact: &archive.artifact,
                    required_by: &[],
                },
            ));
        }
        let wheels = lock.python.iter();
        components.extend(
            wheels
                .filter(|wheel| wheel.platforms.contains(&platform))
                .map(of_wheel),
        );
        let mut all = Self {
            lock,
            platform,
            components,
            made: Vec::new(),
        };
        let built = lock.python.iter();
        let built = built.filter(|wheel| wheel.platforms.contains(&platform));
        for wheel in built {
            if let Some(from) = wheel.built_from.as_deref() {
                all.add_making(wheel, from);
            }
        }
        Ok(all)
    }

    /// Adds what a wheel was built from and with, where it is not there already.
    fn add_making(&mut self, wheel: &'a LockedWheel, from: &'a BuiltFrom) {
        let source = Component {
            kind: Kind::Source,
            name: wheel.name.as_str(),
            version: &wheel.version,
            purl: source_purl(wheel, &from.source),
            artifact: &from.source,
            required_by: &[],
        };
        let tools = from.requires.iter().map(|tool| Component {
            kind: Kind::BuildTool,
            required_by: &[],
            ..of_wheel(tool)
        });
        for mut one in tools.chain([source]) {
            if self.with_digest(one.artifact.digest).is_some() {
                continue;
            }
            // Another file of a version that the environment has.
            if self.components.iter().any(|other| other.purl == one.purl) {
                let file = [("file_name", one.artifact.file.as_str())];
                one.purl = package_url(&["pypi", one.name], one.version, &file);
            }
            self.components.push(one);
        }
        self.made.push(Made {
            wheel: wheel.artifact.digest,
            source: &from.source,
            tools: from
                .requires
                .iter()
                .map(|tool| tool.artifact.digest)
                .collect(),
        });
    }

    /// Returns the component whose artifact has this digest.
    pub(super) fn with_digest(&self, digest: Digest) -> Option<&Component<'a>> {
        let mut all = self.components.iter();
        all.find(|component| component.artifact.digest == digest)
    }

    /// Returns what a wheel was built with.
    pub(super) fn tools(&self, made: &Made<'_>) -> impl Iterator<Item = &Component<'a>> {
        let tools = made.tools.iter();
        tools.filter_map(|digest| self.with_digest(*digest))
    }

    /// Returns what a component asks for, in the lock's order.
    pub(super) fn required_by<'i>(
        &'i self,
        component: &'i Component<'a>,
    ) -> impl Iterator<Item = &'i Component<'a>> {
        let all = self.components.iter();
        all.filter(|other| other.is_required_by(component))
    }
}

/// What is in an image is not known: each layer is one component. Its file is `repository@digest`.
fn of_layer(artifact: &Artifact) -> Component<'_> {
    let file = artifact.file.as_str();
    let (repository, digest) = file.split_once('@').unwrap_or((file, ""));
    let name = repository.rsplit('/').next().unwrap_or(repository);
    Component {
        kind: Kind::Layer,
        name: repository,
        version: digest,
        purl: package_url(&["oci", name], digest, &[]),
        artifact,
        required_by: &[],
    }
}

fn debian<'a>(lock: &Lockfile, package: &'a LockedPackage) -> Component<'a> {
    // A security suite is a part of its release: `bookworm-security` is of bookworm.
    let suite = lock.debian.suites.first().map(|suite| {
        let name = suite.name.as_str();
        name.split_once('-').map_or(name, |(release, _)| release)
    });
    let mut qualifiers = vec![("arch", package.architecture.as_str())];
    qualifiers.extend(suite.map(|suite| ("distro", suite)));
    let name = package.name.as_str();
    Component {
        kind: Kind::Debian,
        name,
        version: &package.version,
        purl: package_url(&["deb", "debian", name], &package.version, &qualifiers),
        artifact: &package.artifact,
        required_by: &package.required_by,
    }
}

fn conda_package(package: &LockedCondaPackage) -> Component<'_> {
    Component {
        kind: Kind::Conda,
        name: package.name.as_str(),
        version: &package.version,
        purl: CondaPackage::of(package).purl(),
        artifact: &package.artifact,
        required_by: &package.required_by,
    }
}

fn of_wheel(wheel: &LockedWheel) -> Component<'_> {
    let name = wheel.name.as_str();
    Component {
        kind: Kind::Wheel,
        name,
        version: &wheel.version,
        purl: package_url(&["pypi", name], &wheel.version, &[]),
        artifact: &wheel.artifact,
        required_by: &wheel.required_by,
    }
}

/// A commit is named by its repository, a source distribution by its file.
fn source_purl(wheel: &LockedWheel, source: &Artifact) -> String {
    let qualifier = match &source.origin {
        Origin::Url(url) if url.starts_with("git+") => ("vcs_url", url.as_str()),
        _ => ("file_name", source.file.as_str()),
    };
    package_url(&["pypi", wheel.name.as_str()], &wheel.version, &[qualifier])
}

fn interpreter_purl(version: &str, artifact: &Artifact) -> String {
    let checksum = artifact.digest.to_string();
    let file = artifact.file.rsplit('/').next().unwrap_or_default();
    let qualifiers = [("checksum", checksum.as_str()), ("file_name", file)];
    package_url(&["generic", "python"], version, &qualifiers)
}
