//! `envbox export` of a step, as an engine's template.

use std::path::PathBuf;
use std::process::ExitCode;

use envbox::base::fs::{create_dir_all, write_atomic};
use envbox::engines::{Code, Supervision};
use envbox::ops;
use envbox::ops::export_step::{Engine, StepOptions, engine_template, nextflow_template};
use serde::Serialize;

use crate::ambient;
use crate::args::{ExportNextflow, ExportStep, ExportTemplate};
use crate::commands::{Session, document, locking, run};
use crate::render::Failure;

pub(super) fn template(
    session: &Session,
    engine: Engine,
    args: &ExportTemplate,
) -> Result<ExitCode, Failure> {
    let project = session.project_with(&args.step.groups)?;
    let options = options(&args.step)?;
    let bytes = engine_template(&session.context, &project, engine, &options)?;
    document::write(session, "envbox.export/1", &bytes, args.output.as_deref())
}

/// What was written for Nextflow.
#[derive(Serialize)]
struct NextflowReport {
    directory: PathBuf,
    files: [&'static str; 2],
}

pub(super) fn nextflow(session: &Session, args: &ExportNextflow) -> Result<ExitCode, Failure> {
    let project = session.project_with(&args.step.groups)?;
    let options = options(&args.step)?;
    let pipeline = nextflow_template(&session.context, &project, &options)?;
    let directory = ambient::absolute(&args.directory)?;
    let files = ["main.nf", "nextflow.config"];
    create_dir_all(&directory).map_err(ops::Error::from)?;
    for (name, text) in files.iter().zip([&pipeline.main, &pipeline.config]) {
        write_atomic(&directory.join(name), text.as_bytes()).map_err(ops::Error::from)?;
    }
    let report = NextflowReport { directory, files };
    session.tell("envbox.export.nextflow/1", &report, |report| {
        let path = report.directory.display();
        format!("wrote `{path}`: run it with `nextflow run {path} -profile docker --project .`\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &ExportStep) -> Result<StepOptions, Failure> {
    Ok(StepOptions {
        locking: locking(args.frozen),
        image: args.image.clone(),
        name: args.name.clone(),
        command: args.command.clone(),
        supervision: match args.unsupervised {
            true => Supervision::Plain,
            false => Supervision::Supervised,
        },
        variables: run::variables(args.env.clone())?,
        directory: args.workdir.clone(),
        code: match args.code.as_deref() {
            Some("image") => Code::Image,
            _ => Code::Volume,
        },
        claims: args.volume.clone(),
        memory: args.memory.clone(),
        gpus: args.gpu,
        grace_seconds: args.grace,
    })
}
