//! What an image says of how its commands run: the manifest's `[sandbox]` as a file of the image.
//!
//! JSON with every key, sorted, two blanks of indentation, a line break at the end:
//! [`InsidePolicy::to_bytes`]. `schema` changes when a key changes its meaning. A reader refuses
//! keys that it does not know, for it could not hold what they ask for; a key that is added later
//! must have a default that means what was before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, FsError};
use envbox_lockfiles::manifest::{
    CpuBaseline, Framework, FrameworkKnobs, Manifest, OutputTimes, SandboxPolicy, StepClock,
    StepCpuid, StepFileStatus, StepNetwork,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ops::inside::InsideError;

/// Where an image has its policy.
pub const POLICY_FILE: &str = "/etc/envbox/policy.json";

/// How the commands of an image run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsidePolicy {
    /// `[sandbox]`; `outputs` and `output-times` mean nothing in an image.
    pub sandbox: SandboxPolicy,
    /// The digest of the lockfile that the image was built from, if it was built from one.
    pub lock: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "envbox.policy/1")]
    First,
}

/// In the order of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyWire {
    lock: Option<Digest>,
    sandbox: SandboxWire,
    schema: Schema,
}

/// In the order of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SandboxWire {
    clock: StepClock,
    cpu_baseline: CpuBaseline,
    cpuid: StepCpuid,
    cpus: u32,
    env: BTreeMap<String, String>,
    epoch: Timestamp,
    file_status: StepFileStatus,
    /// Null for all.
    framework_knobs: Option<Vec<Framework>>,
    hostname: String,
    network: StepNetwork,
    pass_env: Vec<String>,
    seed: u32,
}

impl InsidePolicy {
    /// Returns the policy of a manifest that says nothing.
    pub fn without_manifest() -> Self {
        let text = "[environment]\nname = \"inside\"\n";
        let manifest = Manifest::parse(text, Path::new("envbox.toml"));
        Self {
            sandbox: manifest.expect("this is a manifest").sandbox,
            lock: None,
        }
    }

    /// Returns the bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sandbox = &self.sandbox;
        let wire = PolicyWire {
            lock: self.lock,
            sandbox: SandboxWire {
                clock: sandbox.clock,
                cpu_baseline: sandbox.cpu_baseline,
                cpuid: sandbox.cpuid,
                cpus: sandbox.cpus,
                env: sandbox.env.clone(),
                epoch: sandbox.epoch,
                file_status: sandbox.file_status,
                framework_knobs: match &sandbox.framework_knobs {
                    FrameworkKnobs::All => None,
                    FrameworkKnobs::Only(names) => Some(names.clone()),
                },
                hostname: sandbox.hostname.clone(),
                network: sandbox.network,
                pass_env: sandbox.pass_env.clone(),
                seed: u32::try_from(sandbox.seed).unwrap_or(u32::MAX),
            },
            schema: Schema::First,
        };
        let mut bytes = serde_json::to_vec_pretty(&wire).expect("all keys are text");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the bytes of a file; its name is for messages.
    ///
    /// # Errors
    /// Returns [`InsideError::Malformed`] and [`InsideError::Invalid`].
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, InsideError> {
        let malformed = |source| InsideError::Malformed {
            file: file.to_owned(),
            source,
        };
        let PolicyWire { lock, sandbox, .. } = serde_json::from_slice(bytes).map_err(malformed)?;
        let require = |valid: bool, key| match valid {
            true => Ok(()),
            false => Err(InsideError::Invalid {
                file: file.to_owned(),
                key,
            }),
        };
        let name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
        let value = |value: &String| !value.contains('\0');
        require(sandbox.cpus > 0, "cpus")?;
        require(sandbox.epoch >= Timestamp::UNIX_EPOCH, "epoch")?;
        require(value(&sandbox.hostname), "hostname")?;
        require(sandbox.env.keys().all(name), "env")?;
        require(sandbox.env.values().all(value), "env")?;
        require(sandbox.pass_env.iter().all(name), "pass-env")?;
        Ok(Self {
            sandbox: sandbox.into_policy(),
            lock,
        })
    }

    /// Reads a file, and returns its policy and its digest.
    ///
    /// # Errors
    /// As [`InsidePolicy::parse`], or when it cannot be read.
    pub fn read(file: &Path) -> Result<(Self, Digest), InsideError> {
        let bytes = fs::read(file).map_err(FsError::at("read", file))?;
        Ok((Self::parse(&bytes, file)?, Digest::of(&bytes)))
    }

    /// As [`InsidePolicy::read`] for the file at [`POLICY_FILE`]; `None` if there is none.
    ///
    /// # Errors
    /// As [`InsidePolicy::read`].
    pub fn of_image() -> Result<Option<(Self, Digest)>, InsideError> {
        let file = PathBuf::from(POLICY_FILE);
        match fs::symlink_metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Self::read(&file).map(Some),
        }
    }
}

impl SandboxWire {
    fn into_policy(self) -> SandboxPolicy {
        SandboxPolicy {
            hostname: self.hostname,
            epoch: self.epoch,
            clock: self.clock,
            seed: self.seed.into(),
            cpus: self.cpus,
            cpu_baseline: self.cpu_baseline,
            framework_knobs: self
                .framework_knobs
                .map_or(FrameworkKnobs::All, FrameworkKnobs::Only),
            cpuid: self.cpuid,
            file_status: self.file_status,
            output_times: OutputTimes::Real,
            network: self.network,
            outputs: Vec::new(),
            env: self.env,
            pass_env: self.pass_env,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> InsidePolicy {
        let mut policy = InsidePolicy::without_manifest();
        policy.lock = Some(Digest::of(b""));
        policy.sandbox.env.insert("B".to_owned(), "2".to_owned());
        policy.sandbox.env.insert("A".to_owned(), "1".to_owned());
        policy.sandbox.framework_knobs = FrameworkKnobs::Only(vec![Framework::Torch]);
        policy
    }

    #[test]
    fn bytes_are_a_function() {
        insta::assert_snapshot!(String::from_utf8(policy().to_bytes()).unwrap(), @r#"
    {
      "lock": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "sandbox": {
        "clock": "logical",
        "cpu-baseline": "x86-64-v3",
        "cpuid": "masked",
        "cpus": 1,
        "env": {
          "A": "1",
          "B": "2"
        },
        "epoch": "2020-01-01T00:00:00Z",
        "file-status": "times",
        "framework-knobs": [
          "torch"
        ],
        "hostname": "envbox",
        "network": "none",
        "pass-env": [],
        "seed": 0
      },
      "schema": "envbox.policy/1"
    }
    "#);
    }

    #[test]
    fn what_is_written_is_read() {
        for policy in [policy(), InsidePolicy::without_manifest()] {
            let bytes = policy.to_bytes();
            assert_eq!(InsidePolicy::parse(&bytes, Path::new("x")).unwrap(), policy);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let text = String::from_utf8(policy().to_bytes()).unwrap();
        for (from, to) in [
            ("envbox.policy/1", "envbox.policy/2"),
            ("\"cpuid\"", "\"cpu-id\""),
            ("\"cpus\": 1", "\"cpus\": 0"),
            ("\"A\"", "\"A=\""),
            ("2020-01-01", "1969-01-01"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert!(
                InsidePolicy::parse(changed.as_bytes(), Path::new("x")).is_err(),
                "{to}"
            );
        }
    }
}
