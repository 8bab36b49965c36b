//! `envbox export`.

use std::process::ExitCode;

use envbox::attest::Builder;
use envbox::foreign::ExportFormat;
use envbox::ops::export::{BundleReport, bundle, document as written};

use envbox::ops::export_run::{CrateReport, write_ro_crate};
use envbox::ops::export_step::Engine;
use envbox::record::RunRecord;
use envbox::standards::{open_lineage, provenance};

use crate::ambient;
use crate::args::{ExportBundle, ExportCommand, ExportDocument, ExportRun};
use crate::commands::{Session, document, export_step, locking, runs};
use crate::render::Failure;

pub(super) fn export(session: &Session, args: &ExportCommand) -> Result<ExitCode, Failure> {
    let (format, args) = match args {
        ExportCommand::Bundle(args) => return export_bundle(session, args),
        ExportCommand::Slsa(args) => {
            let statement = |record: &RunRecord| provenance(record, &Builder::default());
            return export_run(session, args, statement);
        }
        ExportCommand::Openlineage(args) => return export_run(session, args, open_lineage),
        ExportCommand::RoCrate { run, directory } => {
            let record = runs::named(session, run)?;
            let directory = ambient::absolute(directory)?;
            let report = write_ro_crate(&session.context, &record, &directory)?;
            let text = |report: &CrateReport| format!("wrote `{}`\n", report.directory.display());
            session.tell("envbox.export.ro-crate/1", &report, text)?;
            return Ok(ExitCode::SUCCESS);
        }
        ExportCommand::K8sJob(args) => {
            return export_step::template(session, Engine::KubernetesJob, args);
        }
        ExportCommand::Argo(args) => return export_step::template(session, Engine::Argo, args),
        ExportCommand::Airflow(args) => {
            return export_step::template(session, Engine::Airflow, args);
        }
        ExportCommand::Kubeflow(args) => {
            return export_step::template(session, Engine::Kubeflow, args);
        }
        ExportCommand::Nextflow(args) => return export_step::nextflow(session, args),
        ExportCommand::Pylock(args) => (ExportFormat::Pylock, args),
        ExportCommand::Requirements(args) => (ExportFormat::Requirements, args),
        ExportCommand::CondaExplicit(args) => (ExportFormat::CondaExplicit, args),
        ExportCommand::CondaLock(args) => (ExportFormat::CondaLock, args),
        ExportCommand::EnvironmentYml(args) => (ExportFormat::EnvironmentYml, args),
        ExportCommand::Dockerfile(args) => (ExportFormat::Dockerfile, args),
    };
    export_document(session, format, args)
}

fn export_document(
    session: &Session,
    format: ExportFormat,
    args: &ExportDocument,
) -> Result<ExitCode, Failure> {
    let project = session.project_with(&args.groups)?;
    let bytes = written(&session.context, &project, format, args.platform)?;
    document::write(session, "envbox.export/1", &bytes, args.output.as_deref())
}

fn export_run(
    session: &Session,
    args: &ExportRun,
    document_of: impl FnOnce(&RunRecord) -> Vec<u8>,
) -> Result<ExitCode, Failure> {
    let record = runs::named(session, &args.run)?;
    let output = args.output.as_deref();
    document::write(session, "envbox.export/1", &document_of(&record), output)
}

fn export_bundle(session: &Session, args: &ExportBundle) -> Result<ExitCode, Failure> {
    let project = session.project_with(&args.groups)?;
    let report = bundle(
        &session.context,
        &project,
        locking(args.frozen),
        &args.directory,
        &args.command,
        args.gpus.options().as_ref(),
    )?;
    session.tell("envbox.export.bundle/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &BundleReport) -> String {
    let path = report.bundle.display();
    let who = if report.root { "root" } else { "this user" };
    format!(
        "wrote `{path}`, which {who} can run with `runc run --bundle`; the step's files go to \
         `{path}/project`\n"
    )
}
