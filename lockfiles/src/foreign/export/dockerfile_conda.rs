//! Conda packages in a Dockerfile: py-rattler installs them in a stage of its own.

use std::fmt::Write as _;

use crate::base::Platform;
use crate::foreign::export::ExportError;
use crate::foreign::export::conda::{Placed, placed};
use crate::foreign::export::dockerfile::{FORMAT, printed};
use crate::foreign::export::places::Places;
use crate::lock::{Activation, CONDA_PREFIX, Lockfile};

/// What installs conda packages, and a pip for the interpreters among them, which need not bring one;
/// this one takes all from 3.8 on.
const TOOLS: [&str; 2] = [
    "pip==24.3.1 --hash=sha256:3790624780082365f47549d032f3770eeb2b1e8bd1f7b2e02dace1afa361b4ed",
    // The wheels for both platforms.
    "py-rattler==0.28.0 \
     --hash=sha256:4f4ab1d34d5394e7ce130a86e59009c95ace4f5757d9c3af04de1351bcea47eb \
     --hash=sha256:61b24202374188e72130f1b3dc63b455befaafc3e49e5481a38b6a6c8828c1e0",
];

/// What it does, as a file of its own for those who read it.
const PROGRAM: &str = include_str!("dockerfile_conda.py");

/// Brings a prefix and the pip to the stage `python`.
pub(super) const PIP: &str = "COPY --from=conda /opt/env /opt/env\n\
    COPY --from=conda /tools/lib/python3.11/site-packages/pip /pip/pip\n";

/// What a step finds as well, and `envbox build` sets.
const PATH: &str = "/opt/env/bin:/usr/bin:/bin";

/// What the head of the file says of them.
pub(super) const COMMENT: &str = "# Scripts that conda packages have for their installation are not run, and `conda-meta` names files\n\
    # of the build in the place of channels.\n";

/// Returns whether there are conda packages for a platform.
pub(super) fn any(lock: &Lockfile, platform: Platform) -> bool {
    let mut packages = lock.conda.packages.iter();
    packages.any(|package| package.platforms.contains(&platform))
}

/// Returns the stage `conda`, which has the packages in `/opt/env`. It stands on an image that has what it
/// takes to install them.
pub(super) fn stage(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let packages = placed(places, lock, platform, FORMAT)?;
    refuse(lock, &packages)?;
    let packages: Vec<_> = packages
        .iter()
        .map(|placed| {
            let digest = placed.package.artifact.digest.hex();
            format!("{}#sha256:{digest}", placed.url)
        })
        .collect();
    let program: Vec<_> = PROGRAM.lines().map(str::to_owned).collect();
    Ok(format!(
        "\nFROM debian:bookworm-slim AS conda\n\
         RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv\n\
         RUN {} > /tools.txt \\\n \
         && python3 -m venv /tools \\\n \
         && /tools/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /tools.txt\n\
         RUN {} > /packages.txt\n\
         RUN {} > /install.py \\\n \
         && /tools/bin/python /install.py\n",
        printed(&TOOLS.map(str::to_owned)),
        printed(&packages),
        printed(&program),
    ))
}

/// Refuses what an image is not to lack silently.
fn refuse(lock: &Lockfile, packages: &[Placed<'_>]) -> Result<(), ExportError> {
    let no_words = |what| {
        Err(ExportError::NoWords {
            what,
            format: FORMAT,
        })
    };
    let scripts = lock
        .request
        .conda
        .iter()
        .flat_map(|conda| &conda.link_scripts);
    let scripts: Vec<_> = scripts
        .filter(|name| packages.iter().any(|one| one.package.name == **name))
        .map(|name| format!("`{name}`"))
        .collect();
    if !scripts.is_empty() {
        return no_words(format!("link scripts of {}", scripts.join(", ")));
    }
    let here = packages.iter().find(|placed| placed.url.scheme() == "file");
    here.map_or(Ok(()), |placed| {
        no_words(format!("a package at `{}`", placed.url))
    })
}

/// Returns the commands that take over a prefix from a stage and activate it.
pub(super) fn activated(
    lock: &Lockfile,
    platform: Platform,
    stage: &str,
) -> Result<String, ExportError> {
    let mut text = format!("COPY --from={stage} /opt/env /opt/env\nENV PATH=\"{PATH}\"");
    for (name, value) in CONDA_PREFIX {
        let _ = write!(text, " \\\n    {name}=\"{value}\"");
    }
    let all = lock.conda.activation.iter();
    for one in all.filter(|one| one.platforms.contains(&platform)) {
        let _ = write!(text, " \\\n    {}", variable(one)?);
    }
    text.push('\n');
    Ok(text)
}

/// Returns `NAME="VALUE"` as `ENV` reads it.
fn variable(one: &Activation) -> Result<String, ExportError> {
    let Activation { name, value, .. } = one;
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if !name.chars().all(is_name) || value.contains(char::is_control) {
        return Err(ExportError::NoWords {
            what: format!("a variable `{name}` with the value {value:?}"),
            format: FORMAT,
        });
    }
    let mut text = format!("{name}=\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    Ok(text)
}
