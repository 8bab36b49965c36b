//! What stands at the top of a template: where it comes from, and what it does not hold.

use crate::engines::{EngineStep, Network, Supervision};

/// Returns the outputs that are gone when the pod is, because no volume that the step can write to
/// has them.
pub fn lost(step: &EngineStep) -> Vec<String> {
    let kept = |path: &String| {
        let claims = step.claims.iter();
        // The one that is nearest is what the step sees.
        let nearest = claims
            .filter(|claim| claim.covers(path))
            .max_by_key(|claim| claim.path.len());
        nearest.is_some_and(|claim| !claim.read_only)
    };
    let paths = step.output_paths();
    paths.into_iter().filter(|path| !kept(path)).collect()
}

/// Whether an engine fetches outputs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outputs {
    Fetched,
    Volumes,
}

/// Where no network is given and the template cannot take it.
pub(super) const OPEN: &str =
    "Not held: the network. The manifest gives none, and the pod has the cluster's.";

/// What an engine is told of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// The word for it on the command line.
    pub(super) format: &'static str,
    pub(super) outputs: Outputs,
    /// What becomes of a network that the manifest does not give.
    pub(super) network: &'static str,
}

/// Returns the lines, without the sign of a comment.
pub(super) fn notes(step: &EngineStep, told: Told) -> Vec<String> {
    let mut lines = vec![format!(
        "Made of the lockfile {} by `envbox export {}`.",
        step.lock, told.format
    )];
    if step.supervision == Supervision::Plain {
        lines.push("envbox is not in the pod: clock and randomness are the cluster's.".to_owned());
    }
    if step.network == Network::None {
        lines.push(told.network.to_owned());
    }
    if told.outputs == Outputs::Volumes {
        let lost = lost(step);
        if !lost.is_empty() {
            lines.push(format!(
                "Lost when the pod is removed, for no volume is there: {}.",
                lost.join(", ")
            ));
        } else if step.outputs.is_empty() && step.claims.iter().all(|claim| claim.read_only) {
            lines.push(
                "What the step writes is lost with the pod: no volume is writable.".to_owned(),
            );
        }
    }
    lines
}

/// Returns the lines as comments that begin with `sign`.
pub(super) fn comment(lines: &[String], sign: &str) -> String {
    lines
        .iter()
        .map(|line| format!("{sign} {line}\n"))
        .collect()
}
