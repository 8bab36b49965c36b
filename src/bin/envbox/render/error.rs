//! Errors: always `error:`, `caused by:`, the place in the file, a blank line, `hint:`.

use std::fmt::Write as _;
use std::process::ExitCode;

use envbox::base::Kind;
use serde::Serialize;

use crate::exit;
use crate::render::{self, Failure, events};

const SCHEMA: &str = "envbox.error/1";

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

/// Prints a failure and returns the code of its kind.
pub(crate) fn failure(failure: &Failure, json: bool) -> ExitCode {
    failure_as(failure, json, exit::of_kind(failure.kind()))
}

/// Prints a failure that has a code of its own.
pub(crate) fn failure_as(failure: &Failure, json: bool, code: u8) -> ExitCode {
    let report = report(failure, code);
    events::result(&render::Document {
        schema: SCHEMA,
        report: &report,
    });
    print(&report, json);
    ExitCode::from(code)
}

/// Prints what clap says of the command line: help, or a complaint.
pub(crate) fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe is no failure of ours.
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    if json {
        let text = error.render().to_string();
        let report = ErrorReport {
            kind: Kind::User,
            message: text.trim().trim_start_matches("error: ").to_owned(),
            causes: Vec::new(),
            hints: Vec::new(),
            exit_code: exit::USAGE,
            excerpt: None,
        };
        print(&report, json);
    } else {
        let _closed = error.print();
    }
    ExitCode::from(exit::USAGE)
}

/// Makes a panic say that envbox is wrong, where the user would see a Rust program's insides.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" ({place})"));
        let what = panic.payload_as_str().unwrap_or("for no stated reason");
        let report = ErrorReport {
            kind: Kind::Internal,
            message: "envbox itself is wrong; nothing you did should make it stop here".to_owned(),
            causes: vec![format!("{what}{}", place.unwrap_or_default())],
            hints: vec!["report this, with the command and the lines above".to_owned()],
            exit_code: exit::INTERNAL,
            excerpt: None,
        };
        print(&report, false);
    }));
}

fn print(report: &ErrorReport, json: bool) {
    // Where standard output cannot be written either, the code is all there is to say.
    if !json || render::document(SCHEMA, report).is_err() {
        render::note(&text(report));
    }
}

fn report(failure: &Failure, exit_code: u8) -> ErrorReport {
    let error = failure.error();
    let mut message = error.to_string();
    if matches!(failure, Failure::Output(_)) {
        message = format!("failed to write to standard output: {message}");
    }
    let mut causes: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Transparent wrappers say the same twice.
        if text != message && causes.last() != Some(&text) {
            causes.push(text);
        }
        cause = error.source();
    }
    ErrorReport {
        kind: failure.kind(),
        message,
        causes,
        hints: failure.hints(),
        exit_code,
        excerpt: failure.excerpt(),
    }
}

fn text(report: &ErrorReport) -> String {
    let mut text = format!("\x1b[1;31merror:\x1b[0m {}", printable(&report.message));
    for cause in &report.causes {
        let indented = printable(cause.trim_end()).replace('\n', "\n  ");
        write!(text, "\n\x1b[1mcaused by:\x1b[0m {indented}")
            .expect("writing to a String cannot fail");
    }
    if let Some(excerpt) = &report.excerpt {
        write!(text, "\n{excerpt}").expect("writing to a String cannot fail");
    }
    for (index, hint) in report.hints.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        write!(text, "{gap}\n\x1b[1;36mhint:\x1b[0m {}", printable(hint))
            .expect("writing to a String cannot fail");
    }
    text
}

/// What an error quotes comes from files: they must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_does_not_steer_the_terminal() {
        let foreign = "a\u{1b}[2J\u{7}\r\u{9b}1A".to_owned();
        let report = ErrorReport {
            kind: Kind::User,
            message: foreign.clone(),
            causes: vec![foreign.clone()],
            hints: vec![foreign],
            exit_code: 0,
            excerpt: None,
        };
        let quoted = "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}1A";
        let shown = text(&report);
        assert_eq!(shown.matches(quoted).count(), 3, "{shown:?}");
    }
}
