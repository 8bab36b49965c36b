//! `envbox why`.

use std::process::ExitCode;

use envbox::ops::why::{Because, WayReport, WhyReport, why as ways};

use crate::args;
use crate::commands::Session;
use crate::render::Failure;

pub(super) fn why(session: &Session, args: &args::Why) -> Result<ExitCode, Failure> {
    let report = ways(&session.project()?, &args.package, args.platform)?;
    session.print("envbox.why/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &WhyReport) -> String {
    report.packages.iter().map(because).collect()
}

fn because(package: &Because) -> String {
    let ways: String = package.ways.iter().map(way).collect();
    let (name, version) = (&package.name, &package.version);
    format!("{name} {version} ({})\n{ways}", package.ecosystem)
}

fn way(way: &WayReport) -> String {
    let mut text = format!("  {}", way.asker);
    for step in &way.packages {
        text += &format!(" -> {}", step.name);
    }
    text + "\n"
}
