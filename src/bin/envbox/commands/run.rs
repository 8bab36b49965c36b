//! `envbox run` and `envbox shell`: the step's status is the command's.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use envbox::base::Event;
use envbox::ops::Project;
use envbox::ops::audit::audit;
use envbox::ops::run::{
    Access, HostBind, Recording, RunOptions, RunReport, Surroundings, Variable, failure_document,
    run as run_step, run_bare, run_image, write_document,
};
use envbox::ops::verify_attestation::public_key;
use envbox_lockfiles::lock::Groups;
use envbox_lockfiles::manifest::{StepClock, StepNetwork};
use envbox_sandbox::{Exit, HeadStart, Terminal};

use crate::ambient::{self, AmbientError};
use crate::args;
use crate::commands::script::Script;
use crate::commands::{Session, locking};
use crate::exit;
use crate::render::{self, Failure};

/// The shell is in every base; it reads no start-up file that could differ.
const SHELL: [&str; 2] = ["/bin/bash", "--norc"];

pub(super) fn run(
    session: Result<Session, Failure>,
    args: args::RunAnywhere,
    head_start: Option<HeadStart>,
    json: bool,
) -> ExitCode {
    let args::RunAnywhere {
        image,
        verify_key,
        isolation,
        audit,
        counter,
        run,
    } = args;
    if let Some(file) = audit {
        return step(session, run, json, |session, project, options| {
            let options = RunOptions { counter, ..options };
            run_and_write_audit(session, project, options, &file)
        });
    }
    let Some(image) = image else {
        let run_it = match isolation.as_str() {
            "none" => run_bare_and_tell,
            "auto" => run_as_far_as_possible,
            _ => run_and_tell,
        };
        return step(session, run, json, |session, project, options| {
            run_it(session, project, with_head_start(options, head_start))
        });
    };
    let directory = |session: &Session, options: &mut RunOptions| {
        if let Some(file) = ambient::manifest(&session.global)? {
            let other = format!("--image {image}");
            return Err(AmbientError::TwoManifests { file, other }.into());
        }
        let directory = ambient::project(&session.global)?;
        enter(session, &directory, options);
        Ok(directory)
    };
    step_in(
        session,
        run,
        json,
        directory,
        |session, project, options| {
            let key = verify_key.as_deref().map(public_key).transpose()?;
            let context = &session.context;
            let options = with_head_start(options, head_start);
            let report = run_image(context, &image, key.as_ref(), project, &options)?;
            show(session, report)
        },
    )
}

fn with_head_start(options: RunOptions, head_start: Option<HeadStart>) -> RunOptions {
    RunOptions {
        head_start: head_start.into(),
        ..options
    }
}

pub(super) fn shell(session: Result<Session, Failure>, args: args::Shell, json: bool) -> ExitCode {
    let args = args::Run {
        step: args.step,
        argv0: None,
        command: args::CommandLine {
            argv: SHELL.map(OsString::from).into(),
        },
    };
    step(session, args, json, run_and_tell)
}

/// Does a step and says what became of it, by `verb`.
pub(super) fn step(
    session: Result<Session, Failure>,
    args: args::Run,
    json: bool,
    verb: impl FnOnce(&Session, &Project, RunOptions) -> Result<RunReport, Failure>,
) -> ExitCode {
    let groups = args.step.groups.chosen();
    let open = |session: &Session, options: &mut RunOptions| opened(session, groups, options);
    step_in(session, args, json, open, verb)
}

/// Returns the project of a step: the script that it is, if it is one.
pub(super) fn opened(
    session: &Session,
    groups: Groups,
    options: &mut RunOptions,
) -> Result<Project, Failure> {
    let Some(script) = Script::of(session, &options.argv)? else {
        let project = session.project()?.with_groups(groups)?;
        enter(session, project.as_ref(), options);
        return Ok(project);
    };
    options.argv = script.command(std::mem::take(&mut options.argv));
    let project = script.open(session)?.with_groups(groups)?;
    let current = std::mem::take(&mut options.current_directory);
    options.current_directory = directory_in(project.as_ref(), current);
    Ok(project)
}

/// Puts the step into the project, when that is not the one around the current directory.
fn enter(session: &Session, project: &Path, options: &mut RunOptions) {
    if session.global.project.is_some() {
        let current = std::mem::take(&mut options.current_directory);
        options.current_directory = directory_in(project, current);
    }
}

/// As [`step`], where `open` finds the project or what stands for it.
fn step_in<P: AsRef<Path>>(
    session: Result<Session, Failure>,
    args: args::Run,
    json: bool,
    open: impl FnOnce(&Session, &mut RunOptions) -> Result<P, Failure>,
    verb: impl FnOnce(&Session, &P, RunOptions) -> Result<RunReport, Failure>,
) -> ExitCode {
    let result_file = args.step.conditions.result_file.clone();
    let failed = |failure: &Failure| render::error::failure_as(failure, json, failure.run_code());
    let ready = session.and_then(|session| {
        let mut options = options(args.step, args.command.argv, args.argv0)?;
        let project = open(&session, &mut options)?;
        Ok((session, project, options))
    });
    let (session, project, options) = match ready {
        Ok(ready) => ready,
        Err(failure) => {
            let (kind, code) = (failure.kind(), failure.run_code());
            let document = failure_document(failure.error(), kind, code, failure.hints());
            render::events::result(&document);
            let written = result_file.map_or(Ok(()), |file| write_document(&document, &file));
            return match written {
                Ok(()) => failed(&failure),
                Err(error) => failed(&AmbientError::from(error).into()),
            };
        }
    };
    match verb(&session, &project, options) {
        Ok(report) => passed_through(&report),
        Err(failure) => {
            let (kind, code) = (failure.kind(), failure.run_code());
            let document = failure_document(failure.error(), kind, code, failure.hints());
            render::events::result(&document);
            failed(&failure)
        }
    }
}

fn options(
    args: args::Step,
    argv: Vec<OsString>,
    argv0: Option<OsString>,
) -> Result<RunOptions, AmbientError> {
    let binds = binds(&args.sight)?;
    let conditions = args.conditions;
    let parent = parent(&conditions)?;
    let file = conditions.result_file.as_deref().map(ambient::absolute);
    Ok(RunOptions {
        argv,
        argv0,
        terminal: terminal(&conditions),
        env: variables(conditions.world.env)?,
        host_env: ambient::variables(),
        current_directory: ambient::current_directory()?,
        locking: locking(args.frozen),
        access: match args.direct {
            true => Access::Direct,
            false => Access::Overlay,
        },
        result_file: file.transpose()?,
        record: Recording {
            journal: ambient::journal().filter(|_| !args.no_record),
            file: args.record.as_deref().map(ambient::absolute).transpose()?,
            tags: args.tag,
            project: None,
            mlflow: ambient::mlflow(),
        },
        seed: conditions.world.seed.map(u64::from),
        clock: conditions.world.clock.as_deref().map(clock),
        cpus: conditions.world.cpus,
        gpu: args.gpus.options(),
        network: args.sight.network.as_deref().map(network),
        binds,
        working_directory: args.sight.workdir,
        parent,
        ..RunOptions::default()
    })
}

/// Reads `--bind` and `--bind-rw`.
pub(super) fn binds(args: &args::Sight) -> Result<Vec<HostBind>, AmbientError> {
    let current = ambient::current_directory()?;
    let read = args.bind.iter().map(|text| (text, false));
    let written = args.bind_rw.iter().map(|text| (text, true));
    let binds = read.chain(written);
    let binds = binds.map(|(text, writable)| HostBind::parse(text, writable, &current));
    Ok(binds.collect::<Result<_, _>>()?)
}

pub(super) fn parent(conditions: &args::Conditions) -> Result<Option<OwnedFd>, AmbientError> {
    let watch = conditions.die_with_parent.then(ambient::parent);
    watch.transpose()
}

/// The parser lets no other word through.
pub(super) fn network(word: &str) -> StepNetwork {
    match word {
        "host" => StepNetwork::Host,
        "loopback" => StepNetwork::Loopback,
        _ => StepNetwork::None,
    }
}

/// Reads `NAME=VALUE` and `NAME`.
pub(super) fn variables(given: Vec<OsString>) -> Result<Vec<Variable>, AmbientError> {
    let variables: Result<_, _> = given.into_iter().map(Variable::try_from).collect();
    variables.map_err(AmbientError::Variable)
}

pub(super) fn terminal(conditions: &args::Conditions) -> Terminal {
    match conditions.pty || (!conditions.no_pty && ambient::is_interactive()) {
        true => Terminal::Pty,
        false => Terminal::None,
    }
}

/// The parser lets no other word through.
pub(super) fn clock(word: &str) -> StepClock {
    match word {
        "frozen" => StepClock::Frozen,
        "ticking" => StepClock::Ticking,
        "real" => StepClock::Real,
        _ => StepClock::Logical,
    }
}

/// Returns where a step of a project that was named begins: where the caller is if that is in the
/// project, and else in the project itself. Without `--project` to name it, a caller who is
/// elsewhere means something else.
pub(super) fn directory_in(project: &Path, current: PathBuf) -> PathBuf {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    match real(&current).starts_with(real(project)) {
        true => current,
        false => project.to_path_buf(),
    }
}

/// Standard output is the step's, unless a document is asked for.
fn run_and_tell(
    session: &Session,
    project: &Project,
    options: RunOptions,
) -> Result<RunReport, Failure> {
    show(session, run_step(&session.context, project, &options)?)
}

/// Without namespaces.
fn run_bare_and_tell(
    session: &Session,
    project: &Project,
    options: RunOptions,
) -> Result<RunReport, Failure> {
    show(session, run_bare(&session.context, project, &options)?)
}

/// Without namespaces only where there can be none, and never without a word.
fn run_as_far_as_possible(
    session: &Session,
    project: &Project,
    options: RunOptions,
) -> Result<RunReport, Failure> {
    match Surroundings::detect() {
        Surroundings::Namespaces => run_and_tell(session, project, options),
        Surroundings::None(reason) => {
            let message = format!(
                "the step runs without namespaces, which this host does not allow ({reason}); what \
                 is not held is on record"
            );
            session.context.report(Event::Warning { message });
            run_bare_and_tell(session, project, options)
        }
    }
}

/// What was drawn goes to a file, so that nothing but the step's own is on its standard error.
fn run_and_write_audit(
    session: &Session,
    project: &Project,
    options: RunOptions,
    file: &Path,
) -> Result<RunReport, Failure> {
    let file = ambient::absolute(file)?;
    let report = audit(&session.context, project, options)?;
    write_document(&report.document(), &file).map_err(AmbientError::from)?;
    show(session, report.run)
}

fn show(session: &Session, report: RunReport) -> Result<RunReport, Failure> {
    render::events::result(&report.document());
    match session.global.json {
        true => render::json(&report.document())?,
        false => tell(session, &report),
    }
    Ok(report)
}

/// Says what became of the outputs.
pub(super) fn tell(session: &Session, report: &RunReport) {
    for warning in report.warnings() {
        render::warning(&warning);
    }
    if let Some(summary) = report.summary().filter(|_| !session.global.quiet) {
        render::note(&format!("envbox: {summary}"));
    }
}

fn passed_through(report: &RunReport) -> ExitCode {
    match report.exit_status() {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(signal) => {
            render::mirror(signal);
            ExitCode::from(exit::INTERNAL)
        }
    }
}
