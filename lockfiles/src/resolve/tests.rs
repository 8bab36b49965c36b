//! Manifests for the tests of this module.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::Platform;
use crate::manifest::{
    Debian, Environment, Interpreter, Manifest, Python, SandboxPolicy, StepNetwork,
};

/// Returns a manifest that asks for nothing but what is given.
pub(crate) fn manifest(
    python: Option<Interpreter>,
    suite: Option<&str>,
    platforms: &[Platform],
) -> Manifest {
    Manifest {
        environment: Environment {
            name: "test".parse().unwrap(),
            python,
            platforms: platforms.to_vec(),
        },
        python: Python::default(),
        debian: Debian {
            suite: suite.map(str::to_owned),
            ..Debian::default()
        },
        sandbox: SandboxPolicy {
            hostname: "envbox".to_owned(),
            epoch: Timestamp::UNIX_EPOCH,
            seed: 0,
            cpus: None,
            network: StepNetwork::None,
            outputs: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
        },
    }
}
