//! Errors: always `error:`, `caused by:`, a blank line, `hint:`.

use std::fmt::Write as _;
use std::process::ExitCode;

use envbox::base::{Explain as _, Kind};
use serde::Serialize;

use crate::ambient::AmbientError;
use crate::exit;
use crate::render::{self, Failure};

/// An error as `--json` prints it.
#[derive(Serialize)]
struct ErrorReport {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    exit_code: u8,
    #[serde(skip)]
    excerpt: Option<String>,
}

/// Prints a failure and returns its code.
pub(crate) fn failure(failure: &Failure, json: bool) -> ExitCode {
    let code = match failure {
        Failure::Ambient(_) => exit::of_kind(Kind::User),
        Failure::Verb(error) => exit::of_error(error),
    };
    failure_as(failure, json, code)
}

/// Prints a failure that has a code of its own.
pub(crate) fn failure_as(failure: &Failure, json: bool, code: u8) -> ExitCode {
    let report = report(failure, code);
    if json {
        render::document("envbox.error/1", &report);
    } else {
        render::note(&text(&report));
    }
    ExitCode::from(code)
}

/// Makes a panic say that envbox is wrong, where the user would see a Rust program's insides.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        render::note(&format!(
            "error: envbox is wrong: {panic}\n\nhint: report this"
        ));
    }));
}

fn report(failure: &Failure, exit_code: u8) -> ErrorReport {
    let (error, kind, hints, excerpt): (&dyn std::error::Error, _, _, _) = match failure {
        Failure::Ambient(error) => (error, Kind::User, ambient_hints(error), None),
        Failure::Verb(error) => (&**error, error.kind(), error.hints(), error.excerpt()),
    };
    let mut causes: Vec<String> = Vec::new();
    let mut cause = error.source();
    let message = error.to_string();
    while let Some(error) = cause {
        let text = error.to_string();
        // Transparent wrappers say the same twice.
        if text != message && causes.last() != Some(&text) {
            causes.push(text);
        }
        cause = error.source();
    }
    ErrorReport {
        kind,
        message,
        causes,
        hints,
        exit_code,
        excerpt,
    }
}

fn ambient_hints(error: &AmbientError) -> Vec<String> {
    match error {
        AmbientError::NoStore => vec!["set `ENVBOX_STORE` to a directory".to_owned()],
        AmbientError::Registry { .. } => {
            vec!["write for example `--registry pypi=https://mirror.example/simple`".to_owned()]
        }
        AmbientError::Config { .. } => {
            vec!["the file has one table, `[registries]`, of names and URLs".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn text(report: &ErrorReport) -> String {
    let mut text = format!("error: {}", report.message);
    if let Some(excerpt) = &report.excerpt {
        write!(text, "\n{excerpt}").expect("writing to a String cannot fail");
    }
    for cause in &report.causes {
        let indented = cause.trim_end().replace('\n', "\n  ");
        write!(text, "\ncaused by: {indented}").expect("writing to a String cannot fail");
    }
    for (index, hint) in report.hints.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        write!(text, "{gap}\nhint: {hint}").expect("writing to a String cannot fail");
    }
    text
}
