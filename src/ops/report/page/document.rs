//! The whole page.

use crate::ops::diff_runs::RunsDiff;
use crate::ops::report::page::differences::{differences, verdict};
use crate::ops::report::page::markup::Markup;
use crate::ops::report::page::sections::{chance, environment, inputs, outputs, usage};
use crate::ops::report::page::tower::tower;
use crate::ops::report::{Report, ReportedRun};
use crate::ops::runs::RunState;
use crate::record::{BlockName, Ending};

/// What stands before the title: nothing is loaded, and no script runs, whatever is in the page.
const HEAD: &str = concat!(
    "<meta charset=\"utf-8\"/>",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>",
    "<meta name=\"color-scheme\" content=\"light dark\"/>",
    "<meta http-equiv=\"Content-Security-Policy\" ",
    "content=\"default-src 'none'; style-src 'unsafe-inline'\"/>",
    "<style>",
    include_str!("style.css"),
    "</style>",
);

/// Returns the page of a report.
pub fn page(report: &Report) -> String {
    let title = report.runs.first().map_or_else(String::new, |run| {
        let record = &run.record;
        format!(
            "{}: {}",
            record.environment,
            record.tower.parameters.seen.argv.join(" ")
        )
    });
    let head = Markup::literal(HEAD).then(Markup::of("title", &title));
    let header = Markup::element("header", &[], Markup::of("h1", &title).then(runs(report)));
    let several = report.runs.len() > 1;
    let comparisons = report
        .comparisons
        .iter()
        .map(|compared| comparison(report, compared));
    let runs = report.runs.iter().enumerate().map(|(place, run)| {
        let moved = moved(report, place);
        self::run(run, several, &moved)
    });
    let main = Markup::element("main", &[], comparisons.chain(runs).collect());
    let version = report
        .runs
        .first()
        .map(|run| run.record.envbox.clone())
        .unwrap_or_default();
    let footer = Markup::element(
        "footer",
        &[],
        Markup::of("p", format!("Recorded by envbox {version}")),
    );
    let body = Markup::element("body", &[], header.then(main).then(footer));
    let head = Markup::element("head", &[], head);
    let html = Markup::element("html", &[("lang", "en")], head.then(body));
    format!("<!DOCTYPE html>\n{html}\n")
}

/// Returns the list of runs, each with a way to it.
fn runs(report: &Report) -> Markup {
    let items = report.runs.iter().map(|run| {
        let target = format!("#run-{}", run.record.run);
        let link = Markup::element("a", &[("href", &target)], Markup::text(run.record.run));
        let began = run.record.started.strftime("%Y-%m-%d at %H:%M:%S UTC");
        let said = format!(" began {began}, {}", ending(run.state));
        Markup::element("li", &[], link.then(Markup::text(said)))
    });
    Markup::element("ul", &[("class", "runs")], items.collect())
}

fn ending(state: RunState) -> String {
    match state {
        RunState::Running => "runs still".to_owned(),
        RunState::Killed => "was killed before its end".to_owned(),
        RunState::Ended(Ending::Code(0)) => "ended well".to_owned(),
        RunState::Ended(Ending::Code(code)) => format!("ended with status {code}"),
        RunState::Ended(Ending::Signal(signal)) => format!("was ended by signal {signal}"),
    }
}

/// Returns the blocks of a run that differ from the first run's; of the first, from any other's.
fn moved(report: &Report, place: usize) -> Vec<BlockName> {
    let compared = report.comparisons.iter().enumerate();
    let concerned = compared.filter(|(index, _)| place == 0 || index + 1 == place);
    let blocks = concerned.flat_map(|(_, compared)| &compared.comparison.blocks);
    blocks
        .filter(|block| !block.same)
        .map(|block| block.block)
        .collect()
}

fn comparison(report: &Report, compared: &RunsDiff) -> Markup {
    let (class, sentence) = verdict(&compared.comparison);
    let comparison = &compared.comparison;
    let heading = match report.comparisons.len() {
        1 => "What differs".to_owned(),
        _ => format!("What differs in {}", comparison.new.short()),
    };
    let inner = Markup::of("h2", heading)
        .then(Markup::element(
            "p",
            &[("class", &format!("verdict {class}"))],
            Markup::text(sentence),
        ))
        .then(differences(compared));
    Markup::element("section", &[], inner)
}

fn run(run: &ReportedRun, several: bool, moved: &[BlockName]) -> Markup {
    let record = &run.record;
    let heading = match several {
        true => format!("Run {}", record.run.short()),
        false => "The run".to_owned(),
    };
    let id = format!("run-{}", record.run);
    let part = |title: &'static str, inner: Markup| Markup::of("h3", title).then(inner);
    let mut inner = Markup::of("h2", heading).then(part("What it stood on", tower(record, moved)));
    match &record.ended {
        None => inner = inner.then(Markup::of("p", "It has not come to its end.")),
        Some(ended) => {
            let warnings: Markup = ended
                .warnings
                .iter()
                .map(|text| Markup::of("li", text))
                .collect();
            if !warnings.is_empty() {
                let list = Markup::element("ul", &[("class", "warnings")], warnings);
                inner = inner.then(part("Warnings", list));
            }
            inner = inner.then(part("What came out", outputs(ended)));
            inner = inner.then(part("What it used", usage(ended)));
        }
    }
    inner = inner
        .then(part("What it drew from chance", chance(record)))
        .then(part("What it read", inputs(record)))
        .then(part("What it ran in", environment(record)));
    Markup::element("section", &[("id", &id)], inner)
}
