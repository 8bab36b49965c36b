//! What a run was: environment, inputs, outputs, chance.

use crate::ops::report::page::markup::{Markup, code, digest as digest_cell, table};
use crate::ops::report::page::tower::bytes;
use crate::record::{EndedRecord, Output, RunRecord};

/// Rows of one table.
const ROWS: usize = 500;

/// Returns rows of names and values.
fn facts(caption: &str, facts: Vec<(&str, String)>) -> Markup {
    let rows = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let rows = rows.map(|(name, value)| vec![Markup::text(name), code(value)]);
    table(caption, &["what", "value"], rows.collect())
}

/// Returns what the step ran in.
pub(super) fn environment(record: &RunRecord) -> Markup {
    let tower = &record.tower;
    let (parameters, compute) = (&tower.parameters.seen, &tower.compute);
    let entropy = &tower.entropy.seen;
    let environment = facts(
        "Environment",
        vec![
            ("command", parameters.argv.join(" ")),
            ("directory", parameters.directory.display().to_string()),
            ("lockfile", tower.libraries.seen.lock.to_string()),
            ("root file system", tower.libraries.seen.rootfs.clone()),
            ("processors", compute.seen.cpus.to_string()),
            ("instructions", compute.seen.baseline.clone()),
            ("processor", compute.noted.cpu.clone().unwrap_or_default()),
            (
                "GPUs",
                compute.seen.gpu.iter().map(ToString::to_string).collect(),
            ),
            ("kernel", compute.noted.kernel.clone()),
            ("namespaces", compute.noted.namespaces.join(", ")),
            ("seed", entropy.seed.to_string()),
            ("clock", format!("{} from {}", entropy.clock, entropy.epoch)),
            ("host name", entropy.hostname.clone()),
            ("network", entropy.network.clone()),
        ],
    );
    let set = parameters
        .env
        .iter()
        .map(|(name, value)| vec![code(name), code(value)]);
    let passed = parameters.passed.iter();
    let passed = passed.map(|(name, digest)| {
        vec![
            code(name),
            Markup::text(format!("the caller's own, {digest}…")),
        ]
    });
    let variables = table("Variables", &["name", "value"], set.chain(passed).collect());
    let pins = tower.libraries.noted.pins.iter();
    let pins = pins.map(|(ending, pins)| vec![Markup::text(ending), code(pins.join("\n"))]);
    let pins = table("Set in libraries", &["outcome", "what"], pins.collect());
    environment.then(variables).then(pins)
}

/// Returns what the step read.
pub(super) fn inputs(record: &RunRecord) -> Markup {
    let tower = &record.tower;
    let tree = [(
        "the project's files".to_owned(),
        tower.code.seen.tree.to_string(),
    )];
    let files = tower.parameters.seen.files.iter();
    let files = files
        .chain(&tower.data.seen.inputs)
        .map(|(path, digest)| (path.clone(), digest.to_string()));
    let rows = tree.into_iter().chain(files).take(ROWS);
    let rows = rows.map(|(path, digest)| vec![code(path), digest_cell(digest)]);
    let inputs = table("Inputs", &["what", "digest"], rows.collect());
    let besides = match &tower.data.noted.opened {
        None => "What else was read was not looked at; envbox audit does.".to_owned(),
        Some(opened) if opened.is_empty() => "Nothing else was read.".to_owned(),
        Some(opened) => format!("Read besides: {}", opened.join(", ")),
    };
    inputs.then(Markup::of("p", besides))
}

/// Returns what the step left.
pub(super) fn outputs(ended: &EndedRecord) -> Markup {
    let Some(outputs) = &ended.outputs else {
        return Markup::of(
            "p",
            "What it wrote is not known: it wrote to the project itself.",
        );
    };
    if outputs.is_empty() {
        return Markup::of("p", "It wrote nothing.");
    }
    let row = |output: &Output| {
        let size = output.size.map(bytes).unwrap_or_default();
        let what = match (&output.sha256, &output.target) {
            (Some(digest), _) => digest_cell(digest),
            (None, Some(target)) => code(format!("-> {target}")),
            (None, None) => Markup::default(),
        };
        let kind = format!("{:?}", output.kind).to_lowercase();
        let kept = if output.kept { "kept" } else { "" };
        vec![
            code(&output.path),
            Markup::text(kind),
            Markup::text(size),
            what,
            Markup::text(kept),
        ]
    };
    let rows = outputs.iter().take(ROWS).map(row).collect();
    let all = table(
        "Outputs",
        &["path", "became", "size", "digest", "content"],
        rows,
    );
    match outputs.len().saturating_sub(ROWS) {
        0 => all,
        more => all.then(Markup::of("p", format!("And {more} more."))),
    }
}

/// Returns what the step used.
pub(super) fn usage(ended: &EndedRecord) -> Markup {
    let usage = &ended.usage;
    let seconds = |micros: u64| format!("{:.2} s", micros as f64 / 1e6);
    let stream = |stream: &Option<crate::record::Stream>| {
        stream
            .map(|stream| format!("{}, {}", bytes(stream.size), stream.sha256))
            .unwrap_or_default()
    };
    facts(
        "Resources",
        vec![
            ("time", seconds(usage.wall_us)),
            (
                "processor time",
                seconds(usage.user_us.saturating_add(usage.system_us)),
            ),
            ("memory at most", bytes(usage.max_rss)),
            ("standard output", stream(&ended.stdout)),
            ("standard error", stream(&ended.stderr)),
        ],
    )
}

/// Returns where the step drew chance from.
pub(super) fn chance(record: &RunRecord) -> Markup {
    let Some(consumed) = &record.tower.entropy.noted.consumed else {
        return Markup::of("p", "What was drawn was not looked at; envbox audit does.");
    };
    if consumed.is_empty() {
        return Markup::of("p", "Nothing was drawn.");
    }
    let rows = consumed.iter().take(ROWS).map(|source| {
        let state = Markup::element(
            "span",
            &[("class", held(&source.held))],
            Markup::text(source.held.replace('-', " ")),
        );
        let by = source
            .by
            .iter()
            .map(|by| Markup::element("div", &[], code(by)))
            .collect();
        vec![
            Markup::text(&source.source),
            state,
            Markup::text(source.count),
            by,
        ]
    });
    table(
        "Chance",
        &["source", "state", "times", "drawn by"],
        rows.collect(),
    )
}

fn held(word: &str) -> &'static str {
    match word {
        "held" => "state held",
        "recorded" => "state recorded",
        _ => "state loose",
    }
}
