//! What others read.

use std::path::Path;

use envbox_explain::Explanation;
use envbox_lockfiles::base::Digest;
use quick_xml::events::Event;

use crate::ops::verify::formats::{annotations, junit, junit_of_error, sarif, summary};
use crate::ops::verify::{
    Cause, Difference, Drawn, Line, Output, OutputReport, State, Variation, Verdict, VerifyReport,
};

/// What every format has something against.
const HOSTILE: &str = "a<b>&\"'|`*%25\n::error::x]]>\u{1b}[2J,:\u{0}";

fn report() -> VerifyReport {
    let file = |content: &[u8]| State::File {
        digest: Digest::of(content),
        size: content.len() as u64,
        mode: "0644".to_owned(),
    };
    let output = |output| OutputReport {
        output,
        state: file(b"1"),
    };
    VerifyReport {
        verdict: Verdict::Diverged,
        argv: vec!["python".into(), HOSTILE.into()],
        lock: Digest::of(b""),
        differences: vec![Difference {
            output: Output::File(HOSTILE.to_owned()),
            first: Some(file(b"1")),
            then: None,
            metadata_only: false,
            explanation: Some(Explanation {
                kind: "text",
                same: false,
                metadata_only: false,
                differences: vec![envbox_explain::Difference {
                    at: HOSTILE.to_owned(),
                    ..envbox_explain::Difference::default()
                }],
                more: 0,
            }),
        }],
        cause: Some(Cause::Varied {
            variations: vec![Variation::Times],
        }),
        suspects: vec![Drawn {
            source: "file-status".to_owned(),
            what: HOSTILE.to_owned(),
            count: 1,
            origin: "code".to_owned(),
            program: "/usr/bin/python3".to_owned(),
            held: false,
            by: "times are the host's".to_owned(),
            remedy: Some("compare files by what is in them".to_owned()),
            line: Some(Line {
                file: "sub dir/träin,1.py".to_owned(),
                line: 7,
                function: "main".to_owned(),
            }),
        }],
        against: None,
        said: Vec::new(),
        outputs: vec![
            output(Output::Exit),
            output(Output::File(HOSTILE.to_owned())),
        ],
        variations: Vec::new(),
        runs: Vec::new(),
        drawn: Vec::new(),
        not_audited: None,
    }
}

/// Returns the elements of a document, each with its attributes; it must be well-formed.
fn elements(text: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut found = Vec::new();
    let mut open = Vec::new();
    loop {
        let element = match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(element) => {
                open.push(element.name().as_ref().to_owned());
                element
            }
            Event::Empty(element) => element,
            Event::End(element) => {
                assert_eq!(open.pop(), Some(element.name().as_ref().to_owned()));
                continue;
            }
            _ => continue,
        };
        let attributes = element.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let value = quick_xml::escape::unescape(&attribute.value).unwrap();
            format!("{}={value:?}", attribute.key.as_ref())
        });
        let attributes: Vec<String> = attributes.collect();
        let name = element.name().as_ref().to_owned();
        found.push(format!("{name} {}", attributes.join(" ")));
    }
    assert!(open.is_empty());
    found
}

#[test]
fn junit_is_well_formed_whatever_a_step_is_called() {
    let text = junit(&report());
    let found = elements(&text);
    let failed: Vec<&String> = found
        .iter()
        .filter(|one| one.starts_with("failure "))
        .collect();
    assert_eq!(failed.len(), 1, "{text}");
    assert_eq!(
        found
            .iter()
            .filter(|one| one.starts_with("testcase "))
            .count(),
        2
    );
    assert!(
        found[0].contains("tests=\"2\" failures=\"1\" errors=\"0\""),
        "{}",
        found[0]
    );
    assert!(
        found.iter().any(|one| one.contains("::error::x]]>")),
        "{found:?}"
    );
    let found = elements(&junit_of_error(HOSTILE));
    assert!(
        found[0].contains("tests=\"1\" failures=\"0\" errors=\"1\""),
        "{}",
        found[0]
    );
}

#[test]
fn sarif_points_at_the_line() {
    let text = sarif(&report(), Path::new("steps"), "envbox.toml");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let result = &found["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "steps/sub%20dir/tr%C3%A4in%2C1.py"
    );
    assert_eq!(place["region"]["startLine"], 7);
    assert_eq!(
        result["ruleId"],
        found["runs"][0]["tool"]["driver"]["rules"][0]["id"]
    );
    // Without a line, the manifest is pointed at; without a difference, nothing is.
    let nowhere = VerifyReport {
        suspects: Vec::new(),
        ..report()
    };
    let found = sarif(&nowhere, Path::new(""), "envbox.toml");
    assert!(found.contains("\"uri\": \"envbox.toml\""), "{found}");
    let same = VerifyReport {
        verdict: Verdict::Identical,
        ..nowhere
    };
    assert!(sarif(&same, Path::new(""), "envbox.toml").contains("\"results\": []"));
}

#[test]
fn annotations_are_one_line_each() {
    let text = annotations(&report(), Path::new("steps"));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("::error ")),
        "{text}"
    );
    let place = "::error file=steps/sub dir/träin%2C1.py,line=7,title=envbox verify::file-status (";
    assert!(text.lines().nth(1).unwrap().starts_with(place), "{text}");
    assert!(text.contains("*%2525%0A::error::x"), "{text}");
}

#[test]
fn the_summary_keeps_its_tables() {
    let text = summary(&report());
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 6, "{text}");
    for row in rows {
        let bars = row.matches('|').count() - row.matches("\\|").count();
        assert!(bars == 5 || bars == 3, "{row}");
    }
    // The command is code, in which nothing is markup.
    let (_, tables) = text.split_once("| output ").unwrap();
    assert_eq!(
        tables.matches('<').count(),
        tables.matches("<br>").count(),
        "{text}"
    );
}
