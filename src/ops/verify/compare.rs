//! Two outcomes, output by output.

use envbox_explain::Explanation;
use serde::Serialize;

use crate::ops::verify::outcome::{Outcome, Output, State};

/// How many places people are shown.
const PLACES: usize = 5;

/// An output that two runs left differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Which.
    #[serde(flatten)]
    pub output: Output,
    /// What it was first; nothing if the step left it as it was.
    pub first: Option<State>,
    /// What it was then.
    pub then: Option<State>,
    /// Whether the content is the same: only permissions, or times inside, differ.
    pub metadata_only: bool,
    /// In what the contents differ, if they could be read.
    pub explanation: Option<Explanation>,
}

impl Difference {
    /// Returns where in the content the first differences are, one line each, for people.
    pub fn places(&self) -> Vec<String> {
        let explanation = self.explanation.as_ref();
        let lines = explanation.map(|explanation| {
            let all = explanation.differences.iter();
            let lines = all
                .take(PLACES)
                .flat_map(envbox_explain::Difference::render);
            let more = explanation.differences.len().saturating_sub(PLACES) as u64;
            let more = more + explanation.more;
            let more = (more > 0).then(|| format!("and {more} more places"));
            lines.chain(more).collect()
        });
        lines.unwrap_or_default()
    }
}

/// Compares two outcomes but for what is not wanted. Sorted.
pub(super) fn compare(first: &Outcome, then: &Outcome, ignored: &Ignored) -> Vec<Difference> {
    let mut outputs: Vec<&Output> = first.outputs.keys().chain(then.outputs.keys()).collect();
    outputs.sort();
    outputs.dedup();
    let differs = |output: &&Output| {
        !ignored.has(output) && first.outputs.get(*output) != then.outputs.get(*output)
    };
    let difference = |output: &Output| {
        let (first, then) = (first.outputs.get(output), then.outputs.get(output));
        Difference {
            output: output.clone(),
            metadata_only: same_content(first, then),
            first: first.cloned(),
            then: then.cloned(),
            explanation: None,
        }
    };
    let outputs = outputs.into_iter().filter(differs);
    outputs.map(difference).collect()
}

/// Says whether only permissions differ.
pub(super) fn same_content(first: Option<&State>, then: Option<&State>) -> bool {
    match (first, then) {
        (Some(State::File { digest: one, .. }), Some(State::File { digest: other, .. })) => {
            one == other
        }
        (Some(State::Directory { .. }), Some(State::Directory { .. })) => true,
        _ => false,
    }
}

/// What is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored(pub Vec<String>);

impl Ignored {
    /// `stdout`, `stderr`, or a path of the project with all that is below it.
    pub(super) fn has(&self, output: &Output) -> bool {
        self.0.iter().any(|name| match output {
            Output::Exit => false,
            Output::Stdout => name == "stdout",
            Output::Stderr => name == "stderr",
            Output::File(path) => {
                let name = name.trim_start_matches("./").trim_end_matches('/');
                let below = path.strip_prefix(name);
                !name.is_empty()
                    && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use envbox_lockfiles::base::Digest;

    use super::*;

    fn outcome(files: &[(&str, &str, &str)]) -> Outcome {
        let state = |content: &str, mode: &str| State::File {
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            mode: mode.to_owned(),
        };
        let outputs = files.iter().map(|(path, content, mode)| {
            let output = Output::File((*path).to_owned());
            (output, state(content, mode))
        });
        Outcome {
            outputs: outputs.collect(),
        }
    }

    #[test]
    fn what_is_other_is_found_and_what_is_ignored_is_not() {
        let first = outcome(&[("a", "1", "0644"), ("b", "1", "0644"), ("c/d", "1", "0644")]);
        let then = outcome(&[("a", "1", "0600"), ("b", "2", "0644"), ("e", "1", "0644")]);
        let compared = |ignored: &[&str]| {
            let ignored = Ignored(ignored.iter().map(|name| (*name).to_owned()).collect());
            let found = compare(&first, &then, &ignored);
            let found = found.iter();
            let found: Vec<String> = found
                .map(|one| format!("{}{}", one.output, if one.metadata_only { "!" } else { "" }))
                .collect();
            found.join(" ")
        };
        assert_eq!(compared(&[]), "`a`! `b` `c/d` `e`");
        assert_eq!(compared(&["./c/", "e"]), "`a`! `b`");
        assert_eq!(compared(&["stdout", "", "c/d/e"]), "`a`! `b` `c/d` `e`");
        assert_eq!(compare(&first, &first, &Ignored::default()), []);
    }
}
