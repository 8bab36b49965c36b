//! A Dockerfile that comes as near to the environment as `apt-get`, py-rattler and `pip` do.
//!
//! The packages are the same, by version and, for conda packages and wheels, by digest; `apt-get` runs
//! its packages' scripts, which envbox does not, and leaves its own traces. No feature of BuildKit is
//! used, so that every builder takes it.

use std::fmt::Write as _;

use crate::base::Platform;
use crate::foreign::export::places::Places;
use crate::foreign::export::text::comment;
use crate::foreign::export::{ExportError, dockerfile_conda, requirements};
use crate::lock::{LockedBase, LockedInterpreter, LockedPackage, LockedSuite, Lockfile};
use crate::manifest::InterpreterSource;
use crate::net::{join, snapshot_url};

pub(super) const FORMAT: &str = "a Dockerfile";

/// Returns the text.
pub(super) fn write(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let mut text = comment(lock, platform, "dockerfile");
    let has_conda = dockerfile_conda::any(lock, platform);
    if has_conda {
        text += dockerfile_conda::COMMENT;
    }
    let requirements = requirements::lines(places, lock, platform)?;
    match &lock.base {
        Some(base) => text += &image(places, base, platform)?,
        None => text += &debian(places, lock, platform)?,
    }
    if has_conda {
        text += &dockerfile_conda::stage(places, lock, platform)?;
    }
    if let Some(interpreter) = &lock.interpreter {
        text += &python_stage(places, lock, platform, interpreter, &requirements)?;
    }
    if has_conda || lock.interpreter.is_some() {
        text += &last_stage(lock, platform, !requirements.is_empty())?;
    }
    Ok(text)
}

/// The stage that puts together what the others made.
fn last_stage(
    lock: &Lockfile,
    platform: Platform,
    has_wheels: bool,
) -> Result<String, ExportError> {
    let mut text = String::from("\nFROM base\n");
    let python = lock.interpreter.as_ref();
    let mut prefix = "conda";
    match python.map(|interpreter| interpreter.from) {
        Some(InterpreterSource::Standalone) => {
            text += "COPY --from=python /opt/python /opt/python\n";
        }
        Some(InterpreterSource::Debian) => {
            text += "COPY --from=python /wheels/usr/local /usr/local\n";
        }
        Some(InterpreterSource::Conda) if has_wheels => prefix = "python",
        Some(InterpreterSource::Conda) | None => {}
    }
    if dockerfile_conda::any(lock, platform) {
        text += &dockerfile_conda::activated(lock, platform, prefix)?;
    }
    if let Some(interpreter) = python {
        let _ = writeln!(text, "CMD [\"{}\"]", interpreter.path);
    }
    Ok(text)
}

/// The stage that has the interpreter with the wheels, or the wheels alone.
fn python_stage(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
    interpreter: &LockedInterpreter,
    requirements: &[String],
) -> Result<String, ExportError> {
    let from_conda = interpreter.from == InterpreterSource::Conda;
    if from_conda && requirements.is_empty() {
        return Ok(String::new());
    }
    // An image need not have what it takes to install something; what conda has, runs on it.
    let mut text = String::from(match &lock.base {
        Some(_) if !from_conda => "\nFROM debian:bookworm-slim AS python\n",
        _ => "\nFROM base AS python\n",
    });
    text += "ENV DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1\n";
    let (variables, root) = match interpreter.from {
        InterpreterSource::Standalone => {
            text += &unpacked(places, interpreter, platform)?;
            ("", "")
        }
        InterpreterSource::Debian => {
            text +=
                "RUN apt-get update && apt-get install -y --no-install-recommends python3-pip\n";
            ("", " --root /wheels")
        }
        InterpreterSource::Conda => {
            text += dockerfile_conda::PIP;
            ("PYTHONPATH=/pip ", "")
        }
    };
    text += &installed(
        &format!("{variables}{}", interpreter.path),
        root,
        requirements,
    );
    Ok(text)
}

/// The stage that has the Debian packages.
fn debian(places: &Places<'_>, lock: &Lockfile, platform: Platform) -> Result<String, ExportError> {
    let suites = &lock.debian.suites;
    let Some(first) = suites.iter().min_by_key(|suite| suite.name.len()) else {
        return Err(ExportError::Nothing {
            what: "Debian packages",
            format: FORMAT,
        });
    };
    let mut text = format!("FROM debian:{}-slim AS base\n", first.name);
    let sources: Result<Vec<_>, _> = suites.iter().map(|suite| source(places, suite)).collect();
    let sources = printed(&sources?);
    let packages = lock.debian.packages.iter();
    let packages: Vec<_> = packages
        .filter(|package| package.platforms.contains(&platform))
        .map(pinned)
        .collect();
    let _ = write!(
        text,
        "RUN rm -rf /etc/apt/sources.list.d/* \\\n && {sources} > /etc/apt/sources.list \\\n \
         && apt-get update \\\n \
         && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
         --allow-downgrades --allow-change-held-packages \\\n        {} \\\n \
         && rm -rf /var/lib/apt/lists/*\n",
        packages.join(" \\\n        ")
    );
    Ok(text)
}

/// The archive as of the lock's date: it still has these versions.
fn source(places: &Places<'_>, suite: &LockedSuite) -> Result<String, ExportError> {
    let url = snapshot_url(places.context(), &suite.registry, suite.date)?;
    Ok(format!(
        "deb [check-valid-until=no] {url} {} main",
        suite.name
    ))
}

fn pinned(package: &LockedPackage) -> String {
    format!("{}={}", package.name, package.version)
}

/// The stage that is an image. A directory of this machine would be none for others.
fn image(
    places: &Places<'_>,
    base: &LockedBase,
    platform: Platform,
) -> Result<String, ExportError> {
    let host = places.context().registries.get(&base.reference.registry);
    let host = host.filter(|host| !host.starts_with('/'));
    let (Some(host), Some(image)) = (host, base.image(platform)) else {
        return Err(ExportError::NoWords {
            what: format!("the base `{}`, which is in no registry", base.reference),
            format: FORMAT,
        });
    };
    let repository = &base.reference.repository;
    Ok(format!(
        "FROM {host}/{repository}@{} AS base\n",
        image.manifest
    ))
}

/// Downloads, checks and unpacks a standalone Python.
fn unpacked(
    places: &Places<'_>,
    interpreter: &LockedInterpreter,
    platform: Platform,
) -> Result<String, ExportError> {
    let archives = interpreter.archives.iter();
    let archive = archives
        .filter(|archive| archive.platform == platform)
        .map(|archive| &archive.artifact)
        .next();
    let Some(archive) = archive else {
        return Err(ExportError::NoWords {
            what: format!("no Python for {platform}"),
            format: FORMAT,
        });
    };
    let crate::lock::Origin::Registry(registry) = &archive.origin else {
        return Err(ExportError::NoWords {
            what: "a Python that comes from a URL".to_owned(),
            format: FORMAT,
        });
    };
    let url = join(&places.registry(registry)?, &archive.file);
    Ok(format!(
        "RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl\n\
         RUN curl -fsSL -o /python.tar.gz '{url}' \\\n \
         && echo '{}  /python.tar.gz' | sha256sum -c - \\\n \
         && tar -xzf /python.tar.gz -C /opt\n",
        archive.digest.hex()
    ))
}

/// Installs wheels below a root, or into a Python of its own.
fn installed(python: &str, root: &str, requirements: &[String]) -> String {
    if requirements.is_empty() {
        return "RUN mkdir -p /wheels/usr/local\n".to_owned();
    }
    format!(
        "RUN {} > /requirements.txt \\\n \
         && {python} -m pip install --no-cache-dir --no-deps --ignore-installed --require-hashes \
         --only-binary :all:{root} -r /requirements.txt\n",
        printed(requirements)
    )
}

/// A shell command that prints the lines.
pub(super) fn printed(lines: &[String]) -> String {
    let quoted = lines
        .iter()
        .map(|line| format!("'{}'", line.replace('\'', "'\\''")));
    let quoted: Vec<_> = quoted.collect();
    format!(
        "printf '%s\\n' \\\n        {}",
        quoted.join(" \\\n        ")
    )
}
