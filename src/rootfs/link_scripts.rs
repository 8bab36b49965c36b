//! The scripts of conda packages that the manifest allows, run in a sandbox.
//!
//! Files of the tree are those of the store, so the scripts get a copy of the prefix; what differs in
//! it afterwards is written to the tree. Nothing else that they write is kept. Clock, random bytes,
//! machine and the order of directories are fixed, so that the same scripts write the same.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{CondaName, Context, Event, FsError};
use envbox_lockfiles::lock::LockedCondaPackage;
use envbox_sandbox::{Bind, Exit, HostFacts, Policy, Sandbox, SandboxError, Signals, Step};

use crate::layers::wheel::ENVIRONMENT;
use crate::layers::{EntryPath, LayerError, LinkScript, TreeBuilder, link_scripts};
use crate::rootfs::RootfsError;
use crate::rootfs::merge::Merged;
use crate::rootfs::packages::Package;
use crate::rootfs::parts::Contents;
use crate::rootfs::said::{output_file, printed, script_policy, why};
use crate::store::{EntryKind, Store, TreeEntry, TreeManifest};

/// Where a script leaves what its user is to read.
const MESSAGES: &str = ".messages.txt";

/// Shells that know the scripts' language, the likeliest first.
const SHELLS: [&str; 3] = ["/opt/env/bin/bash", "/bin/bash", "/bin/sh"];

/// Returns the packages whose scripts are to be run, in order.
///
/// # Errors
/// Returns [`RootfsError::LinkScripts`] with all that the manifest does not allow, and
/// [`RootfsError::PreLink`] for a script that cannot be run.
pub(super) fn allowed<'a>(
    packages: &'a [Package],
    allowed: &[CondaName],
) -> Result<Vec<&'a LockedCondaPackage>, RootfsError> {
    let mut runs = Vec::new();
    let mut refused = Vec::new();
    for package in packages {
        let Contents::Conda(conda) = &package.contents else {
            continue;
        };
        let scripts = link_scripts(conda.name.as_str(), &package.manifest);
        if scripts.contains(&LinkScript::Pre) {
            return Err(RootfsError::PreLink {
                package: package.name.clone(),
            });
        }
        if scripts.is_empty() {
            continue;
        }
        match allowed.contains(&conda.name) {
            true => runs.push(&**conda),
            false => refused.push(package.name.clone()),
        }
    }
    if !refused.is_empty() {
        refused.sort();
        return Err(RootfsError::LinkScripts { packages: refused });
    }
    Ok(runs)
}

/// Runs the scripts of `packages` over the tree that was written to `root`, and writes what they
/// change to `tree`. Modules that they change lose their place in `merged`.
pub(super) fn run(
    context: &Context,
    store: &Store,
    packages: &[&LockedCondaPackage],
    root: &Path,
    tree: &mut TreeBuilder,
    merged: &mut Merged,
) -> Result<(), RootfsError> {
    if packages.is_empty() {
        return Ok(());
    }
    let scratch = store.scratch()?;
    let prefix = scratch.path().join("prefix");
    copy(tree.manifest(), root, &prefix)?;
    let shell = SHELLS.iter().find(|shell| merged.exists(shell));
    for package in packages {
        let shell = shell.ok_or_else(|| RootfsError::NoShell {
            package: package.name.to_string(),
        })?;
        run_one(shell, package, root, &prefix)?;
        let messages = prefix.join(MESSAGES);
        if let Ok(text) = fs::read_to_string(&messages) {
            fs::remove_file(&messages).map_err(FsError::at("remove", &messages))?;
            let message = format!("the script of `{}` says: {}", package.name, text.trim());
            context.report(Event::Warning { message });
        }
    }
    take_over(&prefix, tree, merged)
}

/// Copies the prefix: a script may change every file of it.
fn copy(manifest: &TreeManifest, root: &Path, prefix: &Path) -> Result<(), RootfsError> {
    for (path, entry) in below_prefix(manifest) {
        let (from, to) = (root.join(OsStr::from_bytes(ENVIRONMENT.as_bytes())), prefix);
        let (from, to) = match path {
            b"" => (from, to.to_path_buf()),
            _ => {
                let path = OsStr::from_bytes(path);
                (from.join(path), to.join(path))
            }
        };
        let done = match &entry.kind {
            EntryKind::Directory => fs::create_dir(&to),
            EntryKind::Symlink { target } => symlink(target, &to),
            _ => fs::copy(&from, &to).map(drop),
        };
        done.map_err(FsError::at("write", &to))?;
    }
    Ok(())
}

/// Returns what lies in the prefix, the prefix itself first, by path below it.
fn below_prefix(manifest: &TreeManifest) -> impl Iterator<Item = (&[u8], &TreeEntry)> {
    let all = manifest.entries.range(ENVIRONMENT.as_bytes().to_vec()..);
    all.map_while(|(path, entry)| {
        path.starts_with(ENVIRONMENT.as_bytes())
            .then(|| (&path[ENVIRONMENT.len()..], entry))
    })
    .filter_map(|(path, entry)| match path {
        b"" => Some((path, entry)),
        _ => Some((path.strip_prefix(b"/")?, entry)),
    })
}

fn run_one(
    shell: &str,
    package: &LockedCondaPackage,
    root: &Path,
    prefix: &Path,
) -> Result<(), RootfsError> {
    let name = package.name.as_str();
    let failed = |source| RootfsError::Script {
        package: name.to_owned(),
        source,
    };
    let launch = |source| failed(SandboxError::Launch { source });
    let mut output = output_file().map_err(launch)?;
    let policy = Policy {
        binds: vec![Bind {
            source: prefix.to_path_buf(),
            target: PathBuf::from(format!("/{ENVIRONMENT}")),
            writable: true,
        }],
        ..script_policy(root.to_path_buf())
    };
    let script = format!("/{}", LinkScript::Post.path(name));
    let step = Step {
        argv: vec![shell.into(), script.into()],
        env: variables(package, &build_number(package, prefix)),
        cwd: PathBuf::from(format!("/{ENVIRONMENT}")),
        signals: Signals::Leave,
        stdin: Some(File::open("/dev/null").map_err(launch)?.into()),
        stdout: Some(output.try_clone().map_err(launch)?.into()),
        stderr: Some(output.try_clone().map_err(launch)?.into()),
        ..Step::default()
    };
    let sandbox = Sandbox::new(policy, &HostFacts::minimal()).map_err(failed)?;
    let outcome = sandbox
        .spawn(step)
        .map_err(failed)?
        .wait()
        .map_err(failed)?;
    if outcome.exit == Exit::Code(0) {
        return Ok(());
    }
    let text = printed(&mut output).map_err(launch)?;
    Err(RootfsError::ScriptFailed {
        package: name.to_owned(),
        message: why(&text, outcome.exit),
    })
}

/// Returns the build number that the package's record has.
fn build_number(package: &LockedCondaPackage, prefix: &Path) -> String {
    let (name, version, build) = (&package.name, &package.version, &package.build);
    let record = prefix.join(format!("conda-meta/{name}-{version}-{build}.json"));
    let record: Option<serde_json::Value> = fs::read(record)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let number = record.and_then(|record| record.get("build_number")?.as_u64());
    number.unwrap_or_default().to_string()
}

/// Returns what conda tells a script.
fn variables(package: &LockedCondaPackage, number: &str) -> Vec<(OsString, OsString)> {
    [
        ("HOME", "/home/envbox"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("PATH", "/opt/env/bin:/usr/bin:/bin"),
        ("PKG_BUILDNUM", number),
        ("PKG_NAME", package.name.as_str()),
        ("PKG_VERSION", &package.version),
        ("PREFIX", "/opt/env"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONHASHSEED", "0"),
        ("ROOT_PREFIX", "/opt/env"),
        ("SOURCE_DATE_EPOCH", "1577836800"),
        ("TZ", "UTC"),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.into()))
    .collect()
}

/// Writes what differs in the prefix to the tree.
fn take_over(
    prefix: &Path,
    tree: &mut TreeBuilder,
    merged: &mut Merged,
) -> Result<(), RootfsError> {
    let found = TreeManifest::of(prefix)?;
    let before: BTreeMap<Vec<u8>, TreeEntry> = below_prefix(tree.manifest())
        .map(|(path, entry)| (path.to_vec(), entry.clone()))
        .collect();
    let same = |path: &Vec<u8>| match (before.get(path), found.entries.get(path)) {
        (Some(before), Some(found)) => {
            // A copy of a file may be written to by its owner, whatever the file's mode is.
            let both = EntryKind::Directory;
            before.kind == found.kind && (before.kind == both || same_mode(before, found))
        }
        _ => false,
    };
    // What is gone or another, from the last: what is in a directory goes before it.
    for path in before.keys().rev().filter(|path| !same(path)) {
        let place = placed(path);
        tree.remove(place.as_bytes()).map_err(RootfsError::Merge)?;
        merged.nodes.remove(place.as_bytes());
    }
    for (path, entry) in &found.entries {
        if !same(path) {
            write(prefix, path, entry, tree).map_err(RootfsError::Merge)?;
        }
    }
    Ok(())
}

fn same_mode(before: &TreeEntry, found: &TreeEntry) -> bool {
    before.mode & 0o111 == found.mode & 0o111
}

fn placed(path: &[u8]) -> EntryPath {
    let below = EntryPath::parse(path).ok().flatten();
    below.map_or_else(
        || EntryPath::known(ENVIRONMENT),
        |path| path.under(ENVIRONMENT),
    )
}

fn write(
    prefix: &Path,
    path: &[u8],
    entry: &TreeEntry,
    tree: &mut TreeBuilder,
) -> Result<(), LayerError> {
    let place = EntryPath::parse(path).map_err(|fault| LayerError::Name {
        member: String::from_utf8_lossy(path).into_owned(),
        fault,
    })?;
    let Some(place) = place.map(|path| path.under(ENVIRONMENT)) else {
        return Ok(());
    };
    let source = prefix.join(OsStr::from_bytes(path));
    match &entry.kind {
        EntryKind::Directory => tree.directory(&place, 0o755),
        EntryKind::Symlink { target } => tree.symlink(&place, target.as_os_str().as_bytes()),
        EntryKind::File { .. } => {
            let mode = if entry.mode & 0o111 == 0 {
                0o644
            } else {
                0o755
            };
            let content = File::open(&source).map_err(FsError::at("read", &source))?;
            tree.file(&place, mode, content).map(drop)
        }
        EntryKind::Special => Err(LayerError::Special {
            member: place.display(),
            kind: '?',
        }),
    }
}
