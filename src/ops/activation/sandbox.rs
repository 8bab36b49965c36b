//! Scripts that only a shell can read.

use std::fs::{self, File};

use envbox_lockfiles::base::{Context, Platform};
use envbox_lockfiles::lock::Lockfile;
use envbox_sandbox::{Exit, HostFacts, Sandbox, SandboxError, Signals, Step};

use crate::ops::Error;
use crate::ops::activation::ActivationError;
use crate::ops::activation::exports::Shell;
use crate::ops::activation::scripts::{Script, Scripts};
use crate::ops::closure::closure;
use crate::rootfs::{Rootfs, output_file, prepare, printed, script_policy, why};
use crate::store::Store;

/// What the shell does: its arguments are the scripts. They may print what they like; what is read
/// is what it prints at the end, which is a script that sets all that is exported (POSIX, `export`).
const PROGRAM: &str = "for script do . \"$script\" >&2; done; export -p";

/// Shells, and how each is made to print as POSIX says.
const SHELLS: [(&str, &[&str]); 3] = [
    ("usr/bin/sh", &[]),
    ("usr/bin/bash", &["--posix"]),
    ("opt/env/bin/bash", &["--posix"]),
];

/// Runs the scripts in the environment of `lock`, in a shell that was started with what `shell` has,
/// and returns what it has at the end.
pub(super) fn run(
    context: &Context,
    lock: &Lockfile,
    store: &Store,
    scripts: &Scripts,
    shell: &Shell,
) -> Result<Shell, Error> {
    let closure = closure(context, lock, Platform::host(), store)?;
    let rootfs = prepare(context, &closure, None)?;
    // Links are not followed: an absolute one would lead out of the tree.
    let is_there = |path: &str| fs::symlink_metadata(rootfs.path().join(path)).is_ok();
    let program = SHELLS.iter().find(|(path, _)| is_there(path));
    let first = scripts.scripts.first();
    let first = first.map_or_else(String::new, |script| script.package.clone());
    let Some((program, options)) = program else {
        return Err(ActivationError::NoShell { package: first }.into());
    };
    let mut argv = vec![format!("/{program}")];
    argv.extend(options.iter().map(|&option| option.to_owned()));
    argv.extend(["-c", PROGRAM, "sh"].map(str::to_owned));
    argv.extend(scripts.scripts.iter().map(|script| script.path.clone()));
    let said = said(&rootfs, argv, shell).map_err(|source| ActivationError::Sandbox { source })?;
    let failed = |message: String| ActivationError::Script {
        scripts: scripts.scripts.iter().map(shown).collect(),
        message,
    };
    let (exit, output, errors) = said;
    if exit != Exit::Code(0) {
        return Err(failed(why(&errors, exit)).into());
    }
    let mut end = Shell::default();
    let read = end.read(&output);
    read.map_err(|_| failed("the shell printed variables in a way that is not known".to_owned()))?;
    Ok(end)
}

fn shown(script: &Script) -> String {
    format!("`{}` of `{}`", script.path, script.package)
}

fn said(
    rootfs: &Rootfs,
    argv: Vec<String>,
    shell: &Shell,
) -> Result<(Exit, String, String), SandboxError> {
    let launch = |source| SandboxError::Launch { source };
    let (mut output, mut errors) = (
        output_file().map_err(launch)?,
        output_file().map_err(launch)?,
    );
    let exported = shell.exported.iter();
    let env = exported.filter_map(|name| {
        let value = shell.variables.get(name)?;
        Some((name.into(), value.into()))
    });
    let step = Step {
        argv: argv.into_iter().map(Into::into).collect(),
        env: env.collect(),
        signals: Signals::Leave,
        stdin: Some(File::open("/dev/null").map_err(launch)?.into()),
        stdout: Some(output.try_clone().map_err(launch)?.into()),
        stderr: Some(errors.try_clone().map_err(launch)?.into()),
        ..Step::default()
    };
    let outcome = Sandbox::new(script_policy(rootfs.path()), &HostFacts::minimal())?
        .spawn(step)?
        .wait()?;
    let (output, errors) = (
        printed(&mut output).map_err(launch)?,
        printed(&mut errors).map_err(launch)?,
    );
    Ok((outcome.exit, output, errors))
}
