//! `envbox gpu`.

use std::process::ExitCode;

use envbox::ops::gpu::{GpuReport, cdi, gpu as look};
use envbox::ops::run::GpuHost;

use crate::args::GpuCommand;
use crate::commands::{Session, document};
use crate::exit;
use crate::render::Failure;

pub(super) fn gpu(session: &Session, command: Option<&GpuCommand>) -> Result<ExitCode, Failure> {
    let host = GpuHost::default();
    if let Some(GpuCommand::Cdi { vendor, output }) = command {
        let text = cdi(&host, (*vendor).into())?;
        return document::write(
            session,
            "envbox.gpu.cdi/1",
            text.as_bytes(),
            output.as_deref(),
        );
    }
    let report = look(&host);
    session.print("envbox.gpu/1", &report, text)?;
    Ok(match report.refused {
        Some(_) => ExitCode::from(exit::FOUND_WRONG),
        None => ExitCode::SUCCESS,
    })
}

/// Every place that was looked at, and why it was taken or not; then the verdict.
fn text(report: &GpuReport) -> String {
    let nvidia = &report.facts.nvidia;
    let readings = nvidia.module.readings.iter().map(ToString::to_string);
    let cards = nvidia.cards.iter().filter_map(|card| card.node.as_ref());
    let nodes = [&nvidia.uvm].into_iter().chain(cards);
    let nodes = nodes.chain(&nvidia.unclaimed).map(ToString::to_string);
    let libraries = nvidia.libraries.candidates.iter().map(ToString::to_string);
    let others = [("AMD", &report.facts.amd), ("Intel", &report.facts.intel)];
    let others = others.into_iter().flat_map(|(name, found)| {
        let nodes = found.iter().flat_map(|found| {
            let own = found.gpus.iter().flat_map(|gpu| &gpu.nodes);
            found.shared.iter().chain(own)
        });
        nodes.map(move |node| format!("{name}: {node}"))
    });
    let lines = readings.chain(nodes).chain(libraries).chain(others);
    let mut text: String = lines.map(|line| line + "\n").collect();
    for remark in &report.remarks {
        text += &format!("remark: {remark}\n");
    }
    match (&report.driver, &report.refused, &report.remedy) {
        (Some(driver), ..) => text + &format!("usable: {driver}\n"),
        (None, Some(why), Some(remedy)) => text + &format!("not usable: {why}\nremedy: {remedy}\n"),
        _ => text,
    }
}
