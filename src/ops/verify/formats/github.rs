//! Annotations and a summary for GitHub Actions, in the forms of its "workflow commands" and "job
//! summaries".

use std::fmt::Write as _;
use std::path::Path;

use crate::ops::verify::formats::{command, explained, in_repository, lines};
use crate::ops::verify::{Difference, Verdict, VerifyReport};

/// How many annotations a step of a job may have: the rest is not shown.
const SHOWN: usize = 10;

/// How many rows a table of the summary has.
const ROWS: usize = 50;

/// Returns the lines that make annotations, for standard output.
pub fn annotations(report: &VerifyReport, place: &Path) -> String {
    let title = property("envbox verify");
    let sentence = message(&report.sentence());
    let outputs = report.all_differences().map(|one| one.output.to_string());
    let outputs = outputs.collect::<Vec<_>>().join(", ");
    match report.verdict {
        Verdict::Identical => return format!("::notice title={title}::{sentence}\n"),
        Verdict::Failed => return format!("::error title={title}::{sentence}\n"),
        Verdict::Diverged => {}
    }
    let mut text = format!("::error title={title}::{sentence}: {}\n", message(&outputs));
    for (line, draw) in lines(report).into_iter().take(SHOWN - 1) {
        let file = property(&in_repository(place, &line.file));
        let explained = message(&explained(draw));
        writeln!(
            text,
            "::error file={file},line={},title={title}::{explained}",
            line.line
        )
        .expect("writing to a String cannot fail");
    }
    text
}

/// Returns the summary, in Markdown.
pub fn summary(report: &VerifyReport) -> String {
    let heading = match report.verdict {
        Verdict::Identical => ":white_check_mark: identical",
        Verdict::Diverged => ":x: diverged",
        Verdict::Failed => ":warning: not verified",
    };
    let mut text = format!(
        "### envbox verify: {heading}\n\n{}\n\n{}\n\n",
        code(&command(report)),
        plain(&report.sentence())
    );
    let differences: Vec<&Difference> = report.all_differences().collect();
    if !differences.is_empty() {
        text += "| output | first | then | where |\n|---|---|---|---|\n";
        for difference in differences.iter().take(ROWS) {
            text += &row(difference);
        }
        text += &more(differences.len());
    }
    if !report.suspects.is_empty() {
        text += "\n| can be the cause | where |\n|---|---|\n";
        for suspect in report.suspects.iter().take(ROWS) {
            let place = suspect.line.as_ref();
            let place = place.map_or(suspect.program.clone(), |line| {
                format!("{}:{}", line.file, line.line)
            });
            writeln!(
                text,
                "| {} | {} |",
                plain(&explained(suspect)),
                code(&place)
            )
            .expect("writing to a String cannot fail");
        }
        text += &more(report.suspects.len());
    }
    let applied = report.variations.iter().filter(|one| one.applied);
    let applied: Vec<&str> = applied.map(|one| one.variation.name()).collect();
    writeln!(
        text,
        "\n{} runs; varied: {}\n",
        report.runs.len(),
        applied.join(", ")
    )
    .expect("writing to a String cannot fail");
    text
}

fn row(difference: &Difference) -> String {
    let is = |state: &Option<_>| {
        let unchanged = || "not written".to_owned();
        plain(&state.as_ref().map_or_else(unchanged, ToString::to_string))
    };
    let places: Vec<String> = difference
        .places()
        .iter()
        .map(|place| plain(place))
        .collect();
    format!(
        "| {} | {} | {} | {} |\n",
        plain(&difference.output.to_string()),
        is(&difference.first),
        is(&difference.then),
        places.join("<br>")
    )
}

fn more(all: usize) -> String {
    match all.saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("\nand {more} more\n"),
    }
}

/// Escapes a message: it is one line.
fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text of a step must be no markup of ours, and stay in its cell.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '\\' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '@' => {
                plain.push('\\');
                plain.push(character);
            }
            character if character.is_control() => plain.push(' '),
            character => plain.push(character),
        }
    }
    plain
}

/// Text as code, which no backquote in it ends.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut fence = "`".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence} {text} {fence}")
}
