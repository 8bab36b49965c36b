//! What a rootfs is put together from.

use std::fmt::Write as _;

use envbox_lockfiles::base::{CondaName, DebianName, Digest, Platform, PythonName};
use envbox_lockfiles::lock::{
    Activation, Artifact, LockedCondaPackage, LockedImage, LockedInterpreter, LockedLayer, Lockfile,
};
use envbox_lockfiles::manifest::InterpreterSource;

use crate::layers::{self, CondaPackage, PythonTarget, oci};
use crate::rootfs::{self, RootfsError, bytecode, conda, inside};
use crate::store::TreeKey;

/// What a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contents {
    Debian(DebianName),
    /// What all others lie on.
    Image(Vec<LockedLayer>),
    Conda(Box<LockedCondaPackage>),
    Interpreter,
    Wheel {
        name: PythonName,
        requested: bool,
    },
    /// What envbox itself adds for Python.
    Inside(PythonTarget, InterpreterSource),
}

/// One package of a rootfs.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    /// How messages call it.
    pub(super) name: String,
    pub(super) contents: Contents,
    /// What it is unpacked from; nothing for envbox's own.
    pub(super) artifact: Option<&'a Artifact>,
    /// Where the store has its tree.
    pub(super) key: TreeKey,
}

impl Part<'_> {
    /// Returns the file that it comes from.
    pub(super) fn file(&self) -> &str {
        self.artifact
            .map_or(&self.name, |artifact| artifact.file.as_str())
    }

    /// Returns the size of what it is unpacked from.
    pub(super) fn size(&self) -> u64 {
        match &self.contents {
            Contents::Image(layers) => layers.iter().map(|layer| layer.artifact.size).sum(),
            _ => self.artifact.map_or(0, |artifact| artifact.size),
        }
    }
}

/// All packages of a rootfs, in the order in which they are merged.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    pub(super) platform: Platform,
    pub(super) interpreter: Option<&'a LockedInterpreter>,
    pub(super) python: Option<PythonTarget>,
    /// What activating the prefix of conda's packages sets.
    pub(super) activation: Vec<&'a Activation>,
    /// The conda packages whose scripts may run.
    pub(super) link_scripts: &'a [CondaName],
    pub(super) parts: Vec<Part<'a>>,
}

impl<'a> Parts<'a> {
    /// Returns what `lock` has for `platform`.
    pub(super) fn of(lock: &'a Lockfile, platform: Platform) -> Result<Self, RootfsError> {
        let interpreter = lock.interpreter.as_ref();
        let python = interpreter.map(target).transpose()?;
        let activation = lock.conda.activation.iter();
        let conda = lock.request.conda.as_ref();
        let mut all = Self {
            platform,
            interpreter,
            python,
            activation: activation
                .filter(|one| one.platforms.contains(&platform))
                .collect(),
            link_scripts: conda.map_or(&[], |conda| &conda.link_scripts),
            parts: Vec::new(),
        };
        if let Some(base) = &lock.base {
            let image = base
                .image(platform)
                .ok_or(RootfsError::NoImage { platform })?;
            all.parts
                .push(image_part(base.reference.repository.as_str(), image));
        }
        for package in &lock.debian.packages {
            if package.platforms.contains(&platform) {
                let contents = Contents::Debian(package.name.clone());
                all.add(package.name.as_str(), contents, &package.artifact);
            }
        }
        for package in conda::in_order(&lock.conda.packages, platform) {
            let contents = Contents::Conda(Box::new(package.clone()));
            all.add(package.name.as_str(), contents, &package.artifact);
        }
        if let Some(interpreter) = interpreter
            && interpreter.from == InterpreterSource::Standalone
        {
            let archive = interpreter
                .archives
                .iter()
                .find(|archive| archive.platform == platform)
                .ok_or(RootfsError::NoArchive { platform })?;
            all.add("python", Contents::Interpreter, &archive.artifact);
        }
        for wheel in &lock.python {
            if wheel.platforms.contains(&platform) {
                let contents = Contents::Wheel {
                    name: wheel.name.clone(),
                    requested: wheel.required_by.iter().any(|by| by == "manifest"),
                };
                all.add(wheel.name.as_str(), contents, &wheel.artifact);
            }
        }
        if let (Some(interpreter), Some(python)) = (interpreter, python) {
            all.parts.push(Part {
                name: inside::NAME.to_owned(),
                contents: Contents::Inside(python, interpreter.from),
                artifact: None,
                key: inside::key(python, interpreter.from),
            });
        }
        let has_wheels = lock.python.iter().any(|w| w.platforms.contains(&platform));
        if has_wheels && python.is_none() {
            return Err(RootfsError::NoPython);
        }
        Ok(all)
    }

    /// Returns those of an image alone.
    pub(super) fn of_image(name: &str, image: &LockedImage) -> Self {
        Self {
            platform: image.platform,
            interpreter: None,
            python: None,
            activation: Vec::new(),
            link_scripts: &[],
            parts: vec![image_part(name, image)],
        }
    }

    /// Returns where the store has the rootfs: a digest over everything that it depends on.
    pub(super) fn key(&self) -> TreeKey {
        let rules = format!("{}.{}", rootfs::RULES, bytecode::RULES);
        let mut text = format!("envbox rootfs {rules}\n{}\n", self.platform);
        if let Some(interpreter) = self.interpreter {
            line(&mut text, &[&interpreter.path, &interpreter.version]);
        }
        for one in &self.activation {
            line(
                &mut text,
                &["activation", &one.name, &format!("{:?}", one.value)],
            );
        }
        for part in &self.parts {
            if let Contents::Conda(package) = &part.contents
                && self.link_scripts.contains(&package.name)
            {
                line(&mut text, &["script", &part.name]);
            }
            let requested = matches!(
                part.contents,
                Contents::Wheel {
                    requested: true,
                    ..
                }
            );
            let requested = if requested { "requested" } else { "" };
            line(
                &mut text,
                &[&part.name, &part.key.digest().to_string(), requested],
            );
        }
        TreeKey::Rootfs(Digest::of(text.as_bytes()))
    }

    fn add(&mut self, name: &str, contents: Contents, artifact: &'a Artifact) {
        let mut text = format!("envbox layer {}\n", layers::RULES);
        match (&contents, self.python) {
            (Contents::Debian(_), _) => line(&mut text, &["deb", &self.platform.to_string()]),
            (Contents::Wheel { .. }, Some(PythonTarget { major, minor })) => {
                line(&mut text, &["wheel", &format!("{major}.{minor}")]);
            }
            (Contents::Wheel { .. }, None) => line(&mut text, &["wheel", ""]),
            (Contents::Conda(package), python) => {
                // Its record names the channel and the file.
                let channel = CondaPackage::of(package).channel;
                // Only there does it matter which interpreter the environment has.
                let python = python.filter(|_| artifact.file.starts_with("noarch/"));
                let python = python.map(|python| format!("{}.{}", python.major, python.minor));
                let fields = [
                    channel,
                    &artifact.file,
                    python.as_deref().unwrap_or_default(),
                ];
                line(&mut text, &["conda", &conda::RULES.to_string()]);
                line(&mut text, &fields);
            }
            _ => line(&mut text, &["python", ""]),
        }
        line(&mut text, &[&artifact.digest.to_string()]);
        self.parts.push(Part {
            name: name.to_owned(),
            contents,
            artifact: Some(artifact),
            key: TreeKey::Package(Digest::of(text.as_bytes())),
        });
    }
}

/// The tree of an image depends on what its layers unfold to, however they are compressed.
fn image_part<'a>(name: &str, image: &LockedImage) -> Part<'a> {
    let mut text = format!("envbox image {}\n", oci::RULES);
    for layer in &image.layers {
        line(&mut text, &[&layer.diff_id.to_string()]);
    }
    Part {
        name: name.to_owned(),
        contents: Contents::Image(image.layers.clone()),
        artifact: None,
        key: TreeKey::Package(Digest::of(text.as_bytes())),
    }
}

fn target(interpreter: &LockedInterpreter) -> Result<PythonTarget, RootfsError> {
    let version = PythonTarget::of_version(&interpreter.version);
    version.ok_or_else(|| RootfsError::Version {
        found: interpreter.version.clone(),
    })
}

fn line(text: &mut String, fields: &[&str]) {
    writeln!(text, "{}", fields.join("\t")).expect("writing to a String cannot fail");
}
