//! The tower: six blocks, each on those below it.

use crate::ops::report::page::markup::Markup;
use crate::record::{Block, BlockName, Firmness, RunRecord};

/// Returns a block's state in words.
pub(super) fn state(firmness: Firmness) -> &'static str {
    match firmness {
        Firmness::Held => "held",
        Firmness::Recorded => "recorded",
        Firmness::NotHeld => "not held",
    }
}

fn class(firmness: Firmness) -> &'static str {
    match firmness {
        Firmness::Held => "block held",
        Firmness::Recorded => "block recorded",
        Firmness::NotHeld => "block loose",
    }
}

/// Returns the tower of a run. `moved` says which blocks differ from another run's.
pub(super) fn tower(record: &RunRecord, moved: &[BlockName]) -> Markup {
    let tower = &record.tower;
    let blocks = BlockName::ALL.map(|name| {
        let summary = summary(record, name);
        let moved = moved.contains(&name);
        match name {
            BlockName::Code => block(name, &tower.code, &summary, moved),
            BlockName::Parameters => block(name, &tower.parameters, &summary, moved),
            BlockName::Libraries => block(name, &tower.libraries, &summary, moved),
            BlockName::Compute => block(name, &tower.compute, &summary, moved),
            BlockName::Data => block(name, &tower.data, &summary, moved),
            BlockName::Entropy => block(name, &tower.entropy, &summary, moved),
        }
    });
    Markup::element("ol", &[("class", "tower")], blocks.into_iter().collect())
}

fn block<S, N>(name: BlockName, block: &Block<S, N>, summary: &str, moved: bool) -> Markup {
    let mut inner = Markup::of("strong", name.name());
    inner = inner.then(Markup::element(
        "span",
        &[("class", "state")],
        Markup::text(state(block.state)),
    ));
    if moved {
        inner = inner.then(Markup::element(
            "span",
            &[("class", "state moved")],
            Markup::text("moved"),
        ));
    }
    inner = inner.then(Markup::element("p", &[], Markup::text(summary)));
    let reasons: Markup = block
        .because
        .iter()
        .map(|why| Markup::of("li", why))
        .collect();
    if !reasons.is_empty() {
        inner = inner.then(Markup::element("ul", &[], reasons));
    }
    Markup::element("li", &[("class", class(block.state))], inner)
}

/// Returns what a block is, in one line.
fn summary(record: &RunRecord, name: BlockName) -> String {
    let tower = &record.tower;
    match name {
        BlockName::Code => {
            let noted = &tower.code.noted;
            let commit = match (&noted.commit, noted.dirty) {
                (Some(commit), Some(true)) => format!(", commit {commit} with changes"),
                (Some(commit), _) => format!(", commit {commit}"),
                (None, _) => String::new(),
            };
            format!("{} files, {}{commit}", noted.files, bytes(noted.bytes))
        }
        BlockName::Parameters => tower.parameters.seen.argv.join(" "),
        BlockName::Libraries => format!("lock {}", tower.libraries.seen.lock),
        BlockName::Compute => {
            let seen = &tower.compute.seen;
            let plural = if seen.cpus == 1 { "" } else { "s" };
            let gpu = seen.gpu.as_ref().map(|gpu| format!(", {gpu}"));
            let gpu = gpu.unwrap_or_default();
            format!("{} processor{plural}, {}{gpu}", seen.cpus, seen.baseline)
        }
        BlockName::Data => match tower.data.seen.inputs.len() {
            0 => "no inputs are declared".to_owned(),
            1 => "1 input, verified".to_owned(),
            inputs => format!("{inputs} inputs, verified"),
        },
        BlockName::Entropy => {
            let seen = &tower.entropy.seen;
            format!(
                "seed {}, {} clock from {}, network {}",
                seen.seed, seen.clock, seen.epoch, seen.network
            )
        }
    }
}

/// Returns a number of bytes in the largest unit that leaves a whole number before the point.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = None;
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(next);
    }
    match unit {
        // A number stays with its unit.
        None => format!("{bytes}\u{a0}B"),
        Some(unit) => format!("{value:.1}\u{a0}{unit}"),
    }
}
