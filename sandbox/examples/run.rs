//! Runs a command in a sandbox: `run ROOTFS COMMAND [ARGUMENT...]`. For trying out and measuring;
//! `benches/start.sh` compares its start-up with that of other tools.
#![expect(clippy::print_stderr, reason = "an example")]

use std::ffi::OsString;
use std::process::ExitCode;

use envbox_sandbox::{Exit, HostFacts, Policy, Sandbox, SandboxError, Step, mirror_signal};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let rootfs = arguments.next().unwrap_or_default();
    match run(rootfs, arguments.collect()) {
        Ok(Exit::Code(code)) => ExitCode::from(code),
        Ok(Exit::Signal(signal)) => {
            mirror_signal(signal);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("\nhint: {hint}");
            }
            match error {
                SandboxError::CommandNotFound { .. } => ExitCode::from(127),
                SandboxError::CommandNotExecutable { .. } => ExitCode::from(126),
                _ => ExitCode::from(125),
            }
        }
    }
}

fn run(rootfs: OsString, argv: Vec<OsString>) -> Result<Exit, SandboxError> {
    let policy = Policy {
        rootfs: rootfs.into(),
        ..Policy::default()
    };
    let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let step = Step {
        argv,
        env,
        ..Step::default()
    };
    let outcome = Sandbox::new(policy, &HostFacts::minimal())?
        .spawn(step)?
        .wait()?;
    Ok(outcome.exit)
}
