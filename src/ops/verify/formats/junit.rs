//! JUnit XML, as Jenkins, GitLab and GitHub's actions read it: a test case for each output.

use std::fmt::Write as _;

use crate::ops::verify::formats::command;
use crate::ops::verify::{Difference, Output, Verdict, VerifyReport};

const NAME: &str = "envbox verify";

/// Returns the report as JUnit XML.
pub fn junit(report: &VerifyReport) -> String {
    let mut cases: Vec<Case> = Vec::new();
    for difference in report.all_differences() {
        let known = cases
            .iter_mut()
            .find(|case| case.output == difference.output);
        let told = told(difference);
        match known {
            Some(case) => case.told = format!("{}\n{told}", case.told),
            None => cases.push(Case {
                output: difference.output.clone(),
                result: Result::Failure,
                told,
            }),
        }
    }
    for output in &report.outputs {
        let is_new = !cases.iter().any(|case| case.output == output.output);
        let failed = report.verdict == Verdict::Failed && output.output == Output::Exit;
        if is_new {
            cases.push(Case {
                output: output.output.clone(),
                result: if failed { Result::Error } else { Result::Same },
                told: report.sentence(),
            });
        }
    }
    cases.sort_by(|a, b| a.output.cmp(&b.output));
    let time: u64 = report.runs.iter().map(|run| run.wall_ms).sum();
    let cases: Vec<String> = cases
        .iter()
        .map(|case| case.element(&command(report), &report.sentence()))
        .collect();
    suite(&cases, time)
}

/// Returns a document that says that nothing could be verified, and why.
pub fn junit_of_error(message: &str) -> String {
    let name = attribute(NAME);
    let message = attribute(message);
    let case = format!(
        "    <testcase name={name} classname={name}>\n      <error message={message} \
         type=\"not-verified\"/>\n    </testcase>\n"
    );
    suite(&[case], 0)
}

#[derive(PartialEq, Eq)]
enum Result {
    Same,
    Failure,
    Error,
}

struct Case {
    output: Output,
    result: Result,
    told: String,
}

impl Case {
    fn element(&self, class: &str, sentence: &str) -> String {
        let name = match &self.output {
            Output::File(path) => path.clone(),
            other => other.to_string(),
        };
        let (name, class) = (attribute(&name), attribute(class));
        let begin = format!("    <testcase name={name} classname={class}");
        let (element, kind) = match self.result {
            Result::Same => return format!("{begin}/>\n"),
            Result::Failure => ("failure", "diverged"),
            Result::Error => ("error", "not-verified"),
        };
        let message = attribute(sentence);
        let told = text(&self.told);
        format!(
            "{begin}>\n      <{element} message={message} type=\"{kind}\">{told}</{element}>\n    \
             </testcase>\n"
        )
    }
}

fn suite(cases: &[String], wall_ms: u64) -> String {
    let count = |element: &str| cases.iter().filter(|case| case.contains(element)).count();
    let counts = format!(
        "name={} tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}.{:03}\"",
        attribute(NAME),
        cases.len(),
        count("\n      <failure "),
        count("\n      <error "),
        wall_ms / 1000,
        wall_ms % 1000
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite \
         {counts}>\n{}  </testsuite>\n</testsuites>\n",
        cases.concat()
    )
}

fn told(difference: &Difference) -> String {
    let is = |state: &Option<_>| {
        let unchanged = || "not written".to_owned();
        state.as_ref().map_or_else(unchanged, ToString::to_string)
    };
    let (first, then) = (is(&difference.first), is(&difference.then));
    let mut told = format!("{}: {first}; then {then}", difference.output);
    for place in difference.places() {
        write!(told, "\n{place}").expect("writing to a String cannot fail");
    }
    told
}

fn attribute(value: &str) -> String {
    format!(
        "\"{}\"",
        text(value).replace('"', "&quot;").replace('\n', "&#10;")
    )
}

/// Escapes what XML 1.0 reads otherwise, and replaces what it cannot hold.
fn text(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '\n' | '\t' => text.push(character),
            '\u{fffe}' | '\u{ffff}' => text.push(char::REPLACEMENT_CHARACTER),
            character if character.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            character => text.push(character),
        }
    }
    text
}
