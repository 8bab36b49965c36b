//! What is to run, whoever runs it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use envbox_lockfiles::base::Digest;

use crate::engines::claim::is_plain;
use crate::engines::name::is_label;
use crate::engines::{Claim, EngineError, EngineGpu, StepName};
use crate::image::ENTRYPOINT;
use crate::registry::ImageName;

/// Where a step's files are.
pub(super) const PROJECT: &str = "/project";

/// The user and group of steps, which images have for theirs.
pub(super) const STEP: u32 = 1000;

/// A command in an image, and what it needs.
#[derive(Debug, Clone)]
pub struct EngineStep {
    /// What the engine calls it.
    pub name: StepName,
    /// The image, by its digest.
    pub image: ImageName,
    /// The digest of the lockfile that the image was built from.
    pub lock: Digest,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether envbox starts the command.
    pub supervision: Supervision,
    /// Variables that the image does not have.
    pub variables: BTreeMap<String, String>,
    /// Where the command begins.
    pub directory: String,
    /// Where the project's files come from.
    pub code: Code,
    /// Volumes of the cluster's.
    pub claims: Vec<Claim>,
    /// What the step is expected to write: paths below the project.
    pub outputs: Vec<String>,
    /// The host name inside.
    pub hostname: String,
    /// What the manifest says of the network.
    pub network: Network,
    /// How many processors it gets.
    pub cpus: u32,
    /// How much memory it gets; what the cluster gives to those that say nothing if there is none.
    pub memory: Option<Memory>,
    /// The GPUs that it gets.
    pub gpu: Option<EngineGpu>,
    /// The processors that the image is for, as Go and Kubernetes call them.
    pub architectures: Vec<&'static str>,
    /// How many seconds pass between SIGTERM and SIGKILL.
    pub grace_seconds: u32,
}

/// Who starts the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// envbox, which the image has (`envbox build --supervised`): clock, randomness and the order of
    /// directories are held.
    Supervised,
    /// The engine: only what files and variables hold is held.
    Plain,
}

/// Where the project's files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A volume, or nowhere: the project is an empty directory unless a claim is there.
    Volume,
    /// The image: one that others made on top of ours. Nothing is mounted there.
    Image,
}

/// What the manifest says of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None.
    None,
    /// That of the container.
    Container,
}

impl EngineStep {
    /// Returns what the container runs.
    pub(super) fn argv(&self) -> Vec<String> {
        if self.supervision == Supervision::Plain {
            return self.command.clone();
        }
        let [program, inside, end] = ENTRYPOINT.map(str::to_owned);
        let mut argv = vec![program, inside];
        for (name, value) in &self.variables {
            argv.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        argv.push(end);
        argv.extend(self.command.iter().cloned());
        argv
    }

    /// Returns the variables of the container: envbox clears them, and gets its own by option.
    pub(super) fn container_variables(&self) -> impl Iterator<Item = (&String, &String)> {
        let plain = self.supervision == Supervision::Plain;
        self.variables.iter().filter(move |_| plain)
    }

    /// Returns the absolute paths of the outputs.
    pub(super) fn output_paths(&self) -> Vec<String> {
        let outputs = self.outputs.iter();
        outputs
            .map(|output| format!("{PROJECT}/{}", output.trim_end_matches('/')))
            .collect()
    }

    /// Returns the image as engines write it.
    pub(super) fn image(&self) -> String {
        self.image.to_string()
    }

    /// Checks what no single field says.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(EngineError::NoCommand);
        }
        if self.image.digest().is_none() {
            return Err(EngineError::NoDigest {
                image: Box::new(self.image.clone()),
                supervision: self.supervision,
            });
        }
        if !is_label(&self.hostname) {
            return Err(EngineError::Hostname {
                found: self.hostname.clone(),
            });
        }
        if !is_plain(&self.directory) {
            return Err(EngineError::Directory {
                found: self.directory.clone(),
            });
        }
        let mut claims = self.claims.iter().enumerate();
        let twice = claims.find(|(at, claim)| {
            let before = &self.claims[..*at];
            before.iter().any(|other| other.path == claim.path)
        });
        if let Some((_, claim)) = twice {
            return Err(EngineError::TwoClaims {
                path: claim.path.clone(),
            });
        }
        let hides = |claim: &&Claim| claim.path == PROJECT;
        match (self.code, self.claims.iter().find(hides)) {
            (Code::Image, Some(claim)) => Err(EngineError::HidesCode {
                claim: claim.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// An amount of memory: `512Mi`, `8Gi`, `1Ti`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    number: u64,
    unit: &'static str,
}

/// The units, and what Nextflow calls them, which counts in powers of two as well.
const UNITS: [(&str, &str); 3] = [("Mi", "MB"), ("Gi", "GB"), ("Ti", "TB")];

impl Memory {
    /// Returns it as Nextflow writes it.
    pub(super) fn nextflow(&self) -> String {
        let named = UNITS.iter().find(|(unit, _)| *unit == self.unit);
        let (_, name) = named.expect("it was made of one of them");
        format!("{} {name}", self.number)
    }
}

impl FromStr for Memory {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let read = |(unit, _): &(&'static str, &str)| {
            let digits = text.strip_suffix(unit)?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse().ok().filter(|number| *number > 0);
            Some(Self {
                number: number.filter(|_| is_number)?,
                unit,
            })
        };
        UNITS
            .iter()
            .find_map(read)
            .ok_or_else(|| EngineError::Memory {
                found: text.to_owned(),
            })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_unit_of_its_own() {
        let memory: Memory = "8Gi".parse().unwrap();
        assert_eq!(
            (memory.to_string(), memory.nextflow()),
            ("8Gi".into(), "8 GB".into())
        );
        for wrong in ["", "8", "8G", "8gi", "-1Gi", "+1Gi", "0Gi", "1.5Gi", "Gi"] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
    }
}
