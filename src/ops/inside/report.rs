//! What became of a step in a container, for people and programs.

use std::collections::BTreeMap;
use std::ffi::OsString;

use envbox_lockfiles::base::Digest;
use envbox_sandbox::{Cpuid, Exit, Usage};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::ops::audit::SourceReport;
use crate::ops::inside::{Hold, State};
use crate::ops::run::{FailedBy, Held, Rest, exit, lossy, usage};

/// The schema of the document. A field never changes its meaning under the same number; readers
/// pass fields by that they do not know.
const SCHEMA: &str = "envbox.inside/1";

/// What became of a step that ran in a container.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct InsideReport {
    /// When it began.
    pub started: Timestamp,
    /// The command.
    #[serde(serialize_with = "lossy")]
    pub argv: Vec<OsString>,
    /// How the step ended.
    #[serde(serialize_with = "exit")]
    pub exit: Exit,
    /// The digest of the lockfile that the image was built from.
    pub lock: Option<Digest>,
    /// The digest of the policy's file; nothing if there was none.
    pub policy: Option<Digest>,
    /// What became of every source of nondeterminism, in a fixed order.
    pub holds: Vec<Hold>,
    /// What became of the container's variables.
    pub environment: Passed,
    /// What was set and read back in the libraries that the step imported, sorted; nothing if there
    /// was no place to tell it.
    pub libraries: Option<Vec<Held>>,
    /// Whether the instruction CPUID told of the policy's machine.
    #[serde(skip)]
    pub cpuid: Cpuid,
    /// What the step used.
    #[serde(serialize_with = "usage")]
    pub usage: Usage,
    /// What the step drew from sources of nondeterminism, if that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<SourceReport>>,
}

/// What became of the container's variables, by name. Values may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Passed {
    /// What becomes of those that nobody named.
    pub rest: Rest,
    /// Those that the step got as they were.
    #[serde(serialize_with = "names")]
    pub passed: Vec<OsString>,
    /// Those that the step got with another value.
    #[serde(serialize_with = "names")]
    pub replaced: Vec<OsString>,
    /// Those that the step did not get.
    #[serde(serialize_with = "names")]
    pub cleared: Vec<OsString>,
}

impl Passed {
    pub(super) fn new(
        rest: Rest,
        containers: &BTreeMap<OsString, OsString>,
        steps: &[(OsString, OsString)],
    ) -> Self {
        let mut all = Self {
            rest,
            passed: Vec::new(),
            replaced: Vec::new(),
            cleared: Vec::new(),
        };
        for (name, value) in containers {
            let found = steps.iter().find(|(found, _)| found == name);
            match found {
                None => &mut all.cleared,
                Some((_, found)) if found == value => &mut all.passed,
                Some(_) => &mut all.replaced,
            }
            .push(name.clone());
        }
        all
    }
}

impl InsideReport {
    /// Returns who failed.
    pub fn failed_by(&self) -> Option<FailedBy> {
        (self.exit != Exit::Code(0)).then_some(FailedBy::Command)
    }

    /// Returns the document that `--json` and `--result-file` give.
    pub fn document(&self) -> impl Serialize + '_ {
        Document {
            schema: SCHEMA,
            envbox: env!("CARGO_PKG_VERSION"),
            failed_by: self.failed_by(),
            report: self,
        }
    }

    /// Returns the sources in a state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.state == state)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    envbox: &'static str,
    failed_by: Option<FailedBy>,
    #[serde(flatten)]
    report: &'a InsideReport,
}

fn names<S: Serializer>(names: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(|name| name.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_by_name() {
        let containers = [("A", "1"), ("B", "2"), ("C", "3")];
        let containers = containers.map(|(name, value)| (name.into(), value.into()));
        let steps = [("A".into(), "1".into()), ("C".into(), "4".into())];
        let passed = Passed::new(Rest::Cleared, &containers.into(), &steps);
        insta::assert_snapshot!(
            serde_json::to_string(&passed).unwrap(),
            @r#"{"rest":"cleared","passed":["A"],"replaced":["C"],"cleared":["B"]}"#
        );
    }
}
