//! `envbox verify`: exit codes of its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use envbox::base::{Explain as _, fs};
use envbox::ops;
use envbox::ops::Project;
use envbox::ops::verify::{
    Diagnosis, Ignored, Surroundings, Variation, VerifyError, VerifyOptions, VerifyReport, formats,
    verify as verify_step,
};
use envbox::record::RunName;

use crate::ambient::{self, AmbientError};
use crate::args;
use crate::commands::Session;
use crate::commands::run::{binds, clock, directory_in, network, variables};
use crate::commands::script::Script;
use crate::exit;
use crate::render::{self, Failure};

/// The word for no variation.
const NONE: &str = "none";

pub(super) fn verify(
    session: Result<Session, Failure>,
    args: args::Verify,
    json: bool,
) -> ExitCode {
    let junit = args.junit.clone();
    let done = session.and_then(|session| {
        let files = Files {
            junit: args.junit.as_deref().map(ambient::absolute).transpose()?,
            sarif: args.sarif.as_deref().map(ambient::absolute).transpose()?,
            github: args.github,
        };
        let (project, options) = ready(&session, args)?;
        let report = verify_step(&session.context, &project, &options)?;
        // Written first: who cannot read standard output any more may want the files.
        files.write(&report, &project)?;
        tell(&session, &report)?;
        Ok(report.exit_code())
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if let Some(file) = junit {
                write_error(&failure, &file);
            }
            let code = render::error::failure_as(&failure, json, exit::NOT_VERIFIED);
            if let Some(signal) = interrupted(&failure) {
                render::mirror(signal);
            }
            code
        }
    }
}

/// A report that is not there would look like one that was not asked for.
fn write_error(failure: &Failure, file: &Path) {
    let text = formats::junit_of_error(&failure.error().to_string());
    let written = ambient::absolute(file).map(|file| fs::write_atomic(&file, text.as_bytes()));
    if let Ok(Err(error)) = written {
        render::warning(&error.to_string());
    }
}

fn tell(session: &Session, report: &VerifyReport) -> Result<(), Failure> {
    render::events::result(&report.document());
    match session.global.json {
        true => render::json(&report.document()),
        false => render::result(&render::verify::text(report, session.global.quiet)),
    }
}

/// Returns the signal that ended the command, if one did.
fn interrupted(failure: &Failure) -> Option<i32> {
    match failure {
        Failure::Verb(error) => match error.as_ref() {
            ops::Error::Verify(error) => match error.as_ref() {
                VerifyError::Interrupted { signal } => Some(*signal),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Where reports go beside standard output.
struct Files {
    junit: Option<PathBuf>,
    sarif: Option<PathBuf>,
    github: bool,
}

impl Files {
    fn write(&self, report: &VerifyReport, project: &Project) -> Result<(), Failure> {
        let place = ambient::place_in_repository(project.directory());
        let write = |file: &PathBuf, text: String| {
            fs::write_atomic(file, text.as_bytes()).map_err(ops::Error::from)
        };
        if let Some(file) = &self.junit {
            write(file, formats::junit(report))?;
        }
        if let Some(file) = &self.sarif {
            write(file, formats::sarif(report, &place, manifest_name(project)))?;
        }
        if self.github {
            render::result(&formats::annotations(report, &place))?;
            if let Some(file) = ambient::step_summary() {
                ambient::append(&file, &formats::summary(report))?;
            }
        }
        Ok(())
    }
}

/// The file that a result is about which no line is known of.
fn manifest_name(project: &Project) -> &str {
    let name = project.manifest_file().file_name();
    name.and_then(|name| name.to_str()).unwrap_or("envbox.toml")
}

fn ready(session: &Session, args: args::Verify) -> Result<(Project, VerifyOptions), Failure> {
    ambient::no_manifest(&session.global, "verify")?;
    let script = Script::of(session, &args.command.argv)?;
    let groups = args.groups.chosen();
    let project = match &script {
        Some(script) => script.open(session)?,
        None => session.project()?,
    };
    let project = project.with_groups(groups)?;
    let vary = (!args.vary.is_empty())
        .then(|| variations(&args.vary))
        .transpose()?;
    let options = VerifyOptions {
        argv: args.command.argv,
        runs: args.runs,
        vary,
        record: args.record.as_deref().map(ambient::absolute).transpose()?,
        against: args.against.as_deref().map(recorded).transpose()?,
        journal: ambient::journal(),
        ignored: Ignored(args.ignore),
        diagnosis: match args.no_bisect {
            true => Diagnosis::None,
            false => Diagnosis::Full,
        },
        keep: args.keep.as_deref().map(ambient::absolute).transpose()?,
        env: variables(args.world.env)?,
        seed: args.world.seed.map(u64::from),
        clock: args.world.clock.as_deref().map(clock),
        cpus: args.world.cpus,
        binds: binds(&args.sight)?,
        network: args.sight.network.as_deref().map(network),
        working_directory: args.sight.workdir,
        gpu: args.gpus.options(),
        host_env: ambient::variables(),
        directory: below(&project)?,
        script: script.map(Script::below),
        program: ambient::program()?,
        faketime: ambient::faketime(),
    };
    Ok((project, options))
}

/// Returns where below the project the caller is; a caller who is elsewhere means the project itself.
fn below(project: &Project) -> Result<PathBuf, Failure> {
    let directory = project.directory();
    let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let current = real(directory_in(directory, ambient::current_directory()?));
    let below = current.strip_prefix(real(directory.to_path_buf()));
    Ok(below.map(PathBuf::from).unwrap_or_default())
}

fn recorded(name: &OsStr) -> Result<RunName, AmbientError> {
    let named = name.to_str().and_then(|name| name.parse().ok());
    Ok(match named.unwrap_or_else(|| RunName::File(name.into())) {
        RunName::File(file) => RunName::File(ambient::absolute(&file)?),
        other => other,
    })
}

fn variations(names: &[String]) -> Result<Vec<Variation>, AmbientError> {
    let names = names.iter().filter(|name| *name != NONE);
    let named = names.map(|name| {
        Variation::named(name).ok_or_else(|| AmbientError::Variation {
            found: name.clone(),
        })
    });
    named.collect()
}

/// Becomes the program that is named, in other surroundings.
pub(super) fn vary(args: args::Vary) -> ExitCode {
    let args::Vary {
        umask,
        priority,
        processor,
        hostname,
        user,
        directory,
        variable,
        bind,
        command,
    } = args;
    let pairs = bind.chunks_exact(2);
    let surroundings = Surroundings {
        umask,
        priority,
        processor,
        hostname,
        binds: pairs
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect(),
        user,
        directory,
        variables: variable,
    };
    if let Err(error) = surroundings.enter() {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        render::note(&format!("{error}{}", cause.unwrap_or_default()));
        return ExitCode::from(exit::of_kind(error.kind()));
    }
    let mut program = Command::new(&command[0]);
    program.args(&command[1..]);
    for variable in &surroundings.variables {
        let text = variable.as_encoded_bytes();
        if let Some(end) = text.iter().position(|byte| *byte == b'=') {
            let part = OsStr::from_bytes;
            program.env(part(&text[..end]), part(&text[end + 1..]));
        }
    }
    let error = program.exec();
    let program = command[0].display();
    render::note(&format!("failed to start `{program}`: {error}"));
    ExitCode::from(exit::HOST)
}
