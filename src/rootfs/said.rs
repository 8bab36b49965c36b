//! What a program says of itself.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::PathBuf;

use envbox_sandbox::{
    Clock, Exit, FileStatus, HostFacts, Machine, Policy, Sandbox, SandboxError, Signals, Step,
};
use rustix::fs::{MemfdFlags, memfd_create};

/// Runs a program to its end; returns how it ended, and what it said on both of its outputs.
///
/// # Errors
/// Returns [`SandboxError`] when it cannot be started.
pub(crate) fn said_by(policy: Policy, argv: &[&str]) -> Result<(Exit, String), SandboxError> {
    let launch = |source| SandboxError::Launch { source };
    let (mut reader, writer) = io::pipe().map_err(launch)?;
    let step = Step {
        argv: argv.iter().map(Into::into).collect(),
        signals: Signals::Leave,
        stdout: Some(writer.try_clone().map_err(launch)?.into()),
        stderr: Some(writer.into()),
        ..Step::default()
    };
    let sandbox = Sandbox::new(policy, &HostFacts::minimal())?;
    let outcome = sandbox.spawn(step)?.wait()?;
    let mut said = String::new();
    reader.read_to_string(&mut said).map_err(launch)?;
    Ok((outcome.exit, said.trim().to_owned()))
}

/// Returns what a script of a package's runs under: what it does is part of an environment, so it
/// sees the same everywhere.
pub(crate) fn script_policy(rootfs: PathBuf) -> Policy {
    Policy {
        rootfs,
        clock: Clock::Frozen,
        seed: Some(0),
        machine: Some(Machine::default()),
        sorted_directories: true,
        file_status: FileStatus::Fixed,
        ..Policy::default()
    }
}

/// Says why a script failed that ended so: in its own words, where it has any.
pub(crate) fn why(said: &str, exit: Exit) -> String {
    match (said.trim(), exit) {
        ("", Exit::Code(code)) => format!("it ended with status {code}"),
        ("", _) => "it was killed".to_owned(),
        (said, _) => said.to_owned(),
    }
}

/// Returns a file in memory for what a program prints: unlike a pipe, it is never full.
pub(crate) fn output_file() -> io::Result<File> {
    Ok(memfd_create("envbox-output", MemfdFlags::CLOEXEC)?.into())
}

/// Returns all that is in such a file.
pub(crate) fn printed(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
