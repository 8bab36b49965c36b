//! `envbox report`.

use std::process::ExitCode;

use envbox::ops::report::{Report, page, report as gather};

use crate::args;
use crate::commands::{Session, document, runs};
use crate::render::{Failure, records};

pub(super) fn report(session: &Session, args: &args::Report) -> Result<ExitCode, Failure> {
    let records: Result<_, Failure> = args
        .runs
        .iter()
        .map(|run| runs::named(session, run))
        .collect();
    let report = gather(&session.context, records?)?;
    let json = session.global.json && args.output.is_none();
    if json {
        session.print("envbox.report/1", &report, text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let document = if args.text {
        text(&report)
    } else {
        page(&report)
    };
    let file = args.output.as_deref();
    document::write(session, "envbox.written/1", document.as_bytes(), file)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for compared in &report.comparisons {
        text += &records::difference(compared);
        text += "\n";
    }
    let runs = report
        .runs
        .iter()
        .map(|run| records::whole(&run.record, run.state));
    text + &runs.collect::<Vec<_>>().join("\n")
}
