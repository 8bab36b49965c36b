//! What makes a directory a prefix for conda's tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use crate::layers::CondaPackage;
use crate::rootfs::activation::{HISTORY, STATE};
use crate::rootfs::fixups::Fixups;
use crate::rootfs::parts::{Contents, Parts};

/// Writes the prefix's history, by which tools tell a prefix from another directory, and the
/// variables that its activation sets.
pub(super) fn write(fixups: &mut Fixups<'_>, parts: &Parts<'_>) {
    let mut history = String::from("==> 2020-01-01 00:00:00 <==\n");
    let mut any = false;
    for package in fixups.packages {
        if let Contents::Conda(package) = &package.contents {
            any = true;
            let channel = CondaPackage::of(package).channel;
            let file = package.artifact.file.rsplit_once('/');
            let subdir = file.map_or("", |(subdir, _)| subdir);
            let (name, version, build) = (&package.name, &package.version, &package.build);
            writeln!(history, "+{channel}/{subdir}::{name}-{version}-{build}")
                .expect("writing to a String cannot fail");
        }
    }
    if !any {
        return;
    }
    fixups.file(HISTORY, history);
    if !parts.activation.is_empty() {
        let variables: BTreeMap<&str, &str> = parts
            .activation
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_str()))
            .collect();
        let state = json!({ "env_vars": variables, "version": 1 });
        fixups.file(STATE, format!("{state}\n"));
    }
}
