//! What a lock has for one platform, whatever the format that tells of it.

use std::fmt::Write as _;

use envbox_lockfiles::base::Platform;
use envbox_lockfiles::lock::{Artifact, LockedPackage, Lockfile};
use envbox_lockfiles::manifest::InterpreterSource;

use crate::attest::AttestError;

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Of the image that the environment stands on.
    Layer,
    Debian,
    Interpreter,
    Wheel,
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
            Kind::Debian => &["base", "interpreter", "manifest"],
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

/// All packages of a platform, in the lock's order: layers of an image, Debian packages, interpreter, wheels.
#[derive(Debug, Clone)]
pub(super) struct Inventory<'a> {
    pub(super) lock: &'a Lockfile,
    pub(super) platform: Platform,
    pub(super) components: Vec<Component<'a>>,
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
                .map(|wheel| Component {
                    kind: Kind::Wheel,
                    name: wheel.name.as_str(),
                    version: &wheel.version,
                    purl: purl(&["pypi", wheel.name.as_str()], &wheel.version, &[]),
                    artifact: &wheel.artifact,
                    required_by: &wheel.required_by,
                }),
        );
        Ok(Self {
            lock,
            platform,
            components,
        })
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
        purl: purl(&["oci", name], digest, &[]),
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
        purl: purl(&["deb", "debian", name], &package.version, &qualifiers),
        artifact: &package.artifact,
        required_by: &package.required_by,
    }
}

fn interpreter_purl(version: &str, artifact: &Artifact) -> String {
    let checksum = artifact.digest.to_string();
    let file = artifact.file.rsplit('/').next().unwrap_or_default();
    let qualifiers = [("checksum", checksum.as_str()), ("file_name", file)];
    purl(&["generic", "python"], version, &qualifiers)
}

/// Returns a package URL as ECMA-427 writes it. `path` is its type, namespace and name; the
/// qualifiers are sorted.
fn purl(path: &[&str], version: &str, qualifiers: &[(&str, &str)]) -> String {
    let path: Vec<String> = path.iter().map(|part| encoded(part)).collect();
    let mut purl = format!("pkg:{}@{}", path.join("/"), encoded(version));
    for (index, (key, value)) in qualifiers.iter().enumerate() {
        let mark = if index == 0 { '?' } else { '&' };
        write!(purl, "{mark}{key}={}", encoded(value)).expect("writing to a String cannot fail");
    }
    purl
}

/// Encodes all but what ECMA-427 leaves as it is; others write a version's `+` as it is, which some
/// readers take for a space.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_encoded() {
        let qualifiers = [("arch", "amd64"), ("distro", "bookworm")];
        for (path, version, qualifiers, expected) in [
            (
                &["deb", "debian", "libstdc++6"][..],
                "1:12.2.0-14+deb12u1~x",
                &qualifiers[..],
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=bookworm",
            ),
            (
                &["pypi", "torch"],
                "2.9.0+cpu",
                &[],
                "pkg:pypi/torch@2.9.0%2Bcpu",
            ),
        ] {
            assert_eq!(purl(path, version, qualifiers), expected);
        }
    }
}
