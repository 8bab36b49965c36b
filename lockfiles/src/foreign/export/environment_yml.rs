//! `environment.yml` with every version and build, for `conda env create`.

use std::fmt::Write as _;

use crate::base::Platform;
use crate::foreign::export::ExportError;
use crate::foreign::export::conda::{channels, placed};
use crate::foreign::export::places::Places;
use crate::foreign::export::requirements;
use crate::foreign::export::text::{comment, installed, wheels};
use crate::lock::{LockedWheel, Lockfile, Origin};

/// Returns the text.
pub(super) fn write(
    places: &Places<'_>,
    lock: &Lockfile,
    platform: Platform,
) -> Result<String, ExportError> {
    let packages = placed(places, lock, platform, "an `environment.yml`")?;
    let mut text = comment(lock, platform, "environment.yml");
    let _ = writeln!(
        text,
        "name: {}\nchannels:",
        quoted(lock.request.name.as_str())
    );
    for channel in channels(places, lock)? {
        let _ = writeln!(text, "  - {}", quoted(&channel));
    }
    text += "  - nodefaults\ndependencies:\n";
    for placed in &packages {
        let package = placed.package;
        let spec = format!("{}={}={}", package.name, package.version, package.build);
        let _ = writeln!(text, "  - {}", quoted(&spec));
    }
    let wheels = wheels(lock, platform);
    if !wheels.is_empty() {
        // conda runs the environment's own pip for this section.
        if !packages
            .iter()
            .any(|placed| placed.package.name.as_str() == "pip")
        {
            text += "  - \"pip\"\n";
        }
        text += "  - pip:\n";
        for option in requirements::options(places, lock, &wheels)? {
            let _ = writeln!(text, "      - {}", quoted(&option));
        }
        for wheel in wheels {
            let _ = writeln!(text, "      - {}", quoted(&requirement(wheel)));
        }
    }
    Ok(text)
}

fn requirement(wheel: &LockedWheel) -> String {
    match &installed(wheel).origin {
        Origin::Registry(_) | Origin::Built => format!("{}=={}", wheel.name, wheel.version),
        Origin::Url(url) => format!("{} @ {url}", wheel.name),
    }
}

/// Returns a string of YAML, which is one of JSON as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
