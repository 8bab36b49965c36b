//! How two runs differ.

use envbox_explain::{Difference as Place, Explanation, Numbers};

use crate::ops::diff_runs::{ExplainedOutput, RunsDiff};
use crate::ops::report::page::markup::{Markup, code, table};
use crate::ops::report::page::plot::bars;
use crate::ops::report::page::tower::state;
use crate::record::{BlockComparison, Comparison, Difference};

/// Outputs that are told with their differences.
const OUTPUTS: usize = 50;

/// Characters of a value that are shown.
const WIDTH: usize = 300;

/// Returns in one sentence how two runs differ.
pub(super) fn verdict(comparison: &Comparison) -> (&'static str, String) {
    let outputs = comparison.outputs.as_ref();
    match (comparison.is_same(), comparison.lowest) {
        (true, None) => ("held", "The same came out of the same.".to_owned()),
        (true, Some(block)) => (
            "held",
            format!(
                "The same came out, although the block {} moved.",
                block.name()
            ),
        ),
        (false, _) if outputs.is_none() => (
            "recorded",
            "Whether the same came out is not known.".to_owned(),
        ),
        (false, Some(block)) => {
            let name = block.name();
            (
                "loose",
                format!("Something else came out. The lowest block that moved: {name}."),
            )
        }
        (false, None) => {
            let why = "No block moved, so it came from something that no block holds; envbox verify looks for it.";
            ("loose", format!("Something else came out. {why}"))
        }
    }
}

/// Returns all of how two runs differ.
pub(super) fn differences(compared: &RunsDiff) -> Markup {
    let comparison = &compared.comparison;
    let blocks = comparison
        .blocks
        .iter()
        .filter(|block| !block.same || block.old != block.new);
    let rows: Vec<Vec<Markup>> = blocks.flat_map(rows).collect();
    let blocks = match rows.is_empty() {
        true => Markup::of("p", "All blocks are the same."),
        false => table("Blocks that moved", &["block", "what", "old", "new"], rows),
    };
    let ended = comparison
        .ended
        .iter()
        .map(|ended| row("exit", ended))
        .collect();
    let ended = table("How the steps ended", &["", "what", "old", "new"], ended);
    let outputs: Markup = compared
        .explained
        .iter()
        .take(OUTPUTS)
        .map(output)
        .collect();
    let more = match compared.explained.len().saturating_sub(OUTPUTS) {
        0 => Markup::default(),
        more => Markup::of("p", format!("And {more} more outputs differ.")),
    };
    blocks.then(ended).then(outputs).then(more)
}

fn rows(block: &BlockComparison) -> Vec<Vec<Markup>> {
    let name = block.block.name();
    let mut rows: Vec<Vec<Markup>> = block.seen.iter().map(|seen| row(name, seen)).collect();
    if block.old != block.new {
        let states = [block.old, block.new].map(|side| Markup::text(state(side)));
        let [old, new] = states;
        rows.push(vec![Markup::text(name), Markup::text("state"), old, new]);
    }
    rows
}

fn row(block: &str, difference: &Difference) -> Vec<Markup> {
    let side = |side: &Option<String>| match side {
        Some(value) => code(cut(value)),
        None => Markup::text("nothing"),
    };
    vec![
        Markup::text(block),
        code(&difference.name),
        side(&difference.old),
        side(&difference.new),
    ]
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn output(output: &ExplainedOutput) -> Markup {
    let heading = Markup::element("h4", &[], code(&output.path));
    let told = match (&output.explanation, &output.unopened) {
        (Some(explanation), _) => explained(&output.path, explanation),
        (None, Some(why)) => Markup::of("p", format!("It differs: {why}.")),
        (None, None) => Markup::default(),
    };
    Markup::element("section", &[("class", "output")], heading.then(told))
}

fn explained(path: &str, explanation: &Explanation) -> Markup {
    let only = match explanation.metadata_only {
        true => ": only what carries no value differs",
        false => "",
    };
    let kind = Markup::of("p", format!("Read as {}{only}.", explanation.kind));
    let rows = explanation.differences.iter().map(|place| {
        let at = if place.at.is_empty() {
            "the whole file"
        } else {
            &place.at
        };
        vec![code(at), code(&place.old), code(&place.new), how(place)]
    });
    let caption = format!("Where {path} differs");
    let places = table(
        &caption,
        &["where", "old", "new", "how far"],
        rows.collect(),
    );
    let more = match explanation.more {
        0 => Markup::default(),
        more => Markup::of("p", format!("And {more} more differences.")),
    };
    kind.then(places).then(more)
}

fn how(place: &Place) -> Markup {
    let mut how = Markup::default();
    if let Some(numbers) = &place.numbers {
        let line = numbers.render();
        if !line.is_empty() {
            how = how.then(Markup::of("div", line));
        }
        how = how.then(plots(numbers));
    }
    for line in place.note.iter().flat_map(|note| note.lines()) {
        how = how.then(Markup::of("div", line));
    }
    how
}

fn plots(numbers: &Numbers) -> Markup {
    // A single number needs no picture.
    if numbers.elements < 8 {
        return Markup::default();
    }
    let parts = numbers.parts.len();
    let part = |place: usize| {
        let edge = |place: usize| place as u64 * numbers.elements / parts.max(1) as u64;
        format!(
            "elements {} to {}",
            edge(place),
            edge(place + 1).saturating_sub(1)
        )
    };
    let places = bars(
        "Where they differ, from the first element to the last",
        &numbers.parts,
        part,
    );
    let ulp = |place: usize| match place {
        0 => "1 ulp".to_owned(),
        place => format!("{} ulp and more", 1_u64 << place.min(63)),
    };
    places.then(bars(
        "How far apart: 1, 2, 4, … units in the last place",
        &numbers.ulps,
        ulp,
    ))
}
