//! What a program says of itself.

use std::io::{self, Read as _};

use envbox_sandbox::{Exit, HostFacts, Policy, Sandbox, SandboxError, Signals, Step};

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
