//! `pylock.toml`: <https://packaging.python.org/en/latest/specifications/pylock-toml/> (PEP 751).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::base::Platform;
use crate::foreign::export::ExportError;
use crate::foreign::export::places::Places;
use crate::foreign::export::text::{SourceUrl, comment, installed, minor, quoted, wheels};
use crate::lock::{Artifact, LockedInterpreter, LockedWheel, Lockfile, Origin};

const FORMAT: &str = "a `pylock.toml`";

/// Returns the text.
pub(super) fn write(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let wheels = wheels(lock, platform);
    let what = "Python packages";
    let (Some(interpreter), false) = (&lock.interpreter, wheels.is_empty()) else {
        return Err(ExportError::Nothing {
            what,
            format: FORMAT,
        });
    };
    let urls = places.wheels(&wheels)?;
    let mut text = comment(lock, platform, "pylock");
    text += "lock-version = \"1.0\"\n";
    let environments = quoted(&environment(interpreter, platform));
    let _ = writeln!(text, "environments = [{environments}]");
    let requires = format!("=={}.*", minor(interpreter));
    let _ = writeln!(text, "requires-python = {}", quoted(&requires));
    text += "created-by = \"envbox\"\n";
    let dependencies = dependencies(&wheels);
    for (wheel, url) in wheels.iter().zip(&urls) {
        let needs = dependencies.get(wheel.name.as_str());
        package(&mut text, wheel, url, needs.map_or(&[], Vec::as_slice));
    }
    Ok(text)
}

/// What the wheels were chosen for, as far as a marker can say it: a patch release more runs them
/// as well, and the C library has no marker.
fn environment(interpreter: &LockedInterpreter, platform: Platform) -> String {
    format!(
        "implementation_name == 'cpython' and platform_machine == '{}' and python_version == '{}' \
         and sys_platform == 'linux'",
        platform.machine(),
        minor(interpreter)
    )
}

/// Returns what each package asks for, sorted.
fn dependencies<'a>(wheels: &[&'a LockedWheel]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut dependencies = BTreeMap::<_, Vec<_>>::new();
    for wheel in wheels {
        for by in &wheel.required_by {
            dependencies
                .entry(by.as_str())
                .or_default()
                .push(wheel.name.as_str());
        }
    }
    dependencies
}

fn package(text: &mut String, wheel: &LockedWheel, url: &str, needs: &[&str]) {
    let _ = write!(
        text,
        "\n[[packages]]\nname = {}\nversion = {}\n",
        quoted(wheel.name.as_str()),
        quoted(&wheel.version)
    );
    if !needs.is_empty() {
        let needs = needs
            .iter()
            .map(|name| format!("{{ name = {} }}", quoted(name)));
        let needs: Vec<_> = needs.collect();
        let _ = writeln!(text, "dependencies = [{}]", needs.join(", "));
    }
    let artifact = installed(wheel);
    let (source, name) = (wheel.built_from.is_some(), quoted(&artifact.file));
    let Origin::Url(place) = &artifact.origin else {
        let file = file(artifact, url);
        let _ = match source {
            true => writeln!(text, "sdist = {{ name = {name}, {file} }}"),
            false => writeln!(text, "wheels = [{{ name = {name}, {file} }}]"),
        };
        return;
    };
    let place = SourceUrl::of(place);
    let directory = place.subdirectory.map(quoted);
    let directory = directory.map(|text| format!(", subdirectory = {text}"));
    let directory = directory.unwrap_or_default();
    let _ = match place.commit {
        Some(commit) => {
            let (url, commit) = (quoted(place.url), quoted(commit));
            writeln!(
                text,
                "vcs = {{ type = \"git\", url = {url}, commit-id = {commit}{directory} }}"
            )
        }
        None => writeln!(
            text,
            "archive = {{ {}{directory} }}",
            file(artifact, place.url)
        ),
    };
}

fn file(artifact: &Artifact, url: &str) -> String {
    format!(
        "url = {}, size = {}, hashes = {{ sha256 = \"{}\" }}",
        quoted(url),
        artifact.size,
        artifact.digest.hex()
    )
}
