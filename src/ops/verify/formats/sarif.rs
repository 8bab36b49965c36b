//! SARIF 2.1.0 (OASIS), which code scanning of GitHub and others reads.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::ops::verify::formats::{command, explained, in_repository, lines};
use crate::ops::verify::{Verdict, VerifyReport};

/// The rule of a difference of which no line is known.
const DIVERGED: &str = "diverged";

/// Returns the report as SARIF. `place` is where the project lies below its repository; what no
/// line is known of is a result about the file `manifest`.
pub fn sarif(report: &VerifyReport, place: &Path, manifest: &str) -> String {
    let mut rules: BTreeMap<String, &str> = BTreeMap::new();
    let mut results = Vec::new();
    for (line, draw) in lines(report) {
        let remedy = draw
            .remedy
            .as_deref()
            .unwrap_or("do not let it reach the results");
        rules.entry(draw.source.clone()).or_insert(remedy);
        let message = format!("{}. {}", report.sentence(), explained(draw));
        let location = location(&in_repository(place, &line.file), line.line);
        results.push(result(&draw.source, &message, &location));
    }
    if results.is_empty() && report.verdict == Verdict::Diverged {
        rules.insert(
            DIVERGED.to_owned(),
            "run `envbox audit` to see what the step draws",
        );
        let outputs = report.all_differences().map(|one| one.output.to_string());
        let outputs: Vec<String> = outputs.collect();
        let message = format!("{}: {}", report.sentence(), outputs.join(", "));
        let location = location(&in_repository(place, manifest), 1);
        results.push(result(DIVERGED, &message, &location));
    }
    let rules: Vec<Value> = rules.iter().map(|(id, help)| rule(id, help)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "envbox",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "invocations": [{
                "commandLine": format!("envbox verify -- {}", command(report)),
                "exitCode": report.exit_code(),
                "executionSuccessful": report.verdict != Verdict::Failed,
            }],
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&document).expect("all keys are text");
    text.push('\n');
    text
}

fn rule(id: &str, help: &str) -> Value {
    let text = match id {
        DIVERGED => "runs of the same step left different outputs".to_owned(),
        id => format!("the step draws from a source that differs from run to run: {id}"),
    };
    json!({
        "id": format!("envbox/{id}"),
        "shortDescription": { "text": text },
        "help": { "text": help },
        "defaultConfiguration": { "level": "error" },
    })
}

fn result(rule: &str, message: &str, location: &Value) -> Value {
    json!({
        "ruleId": format!("envbox/{rule}"),
        "level": "error",
        "message": { "text": message },
        "locations": [location],
    })
}

fn location(path: &str, line: u32) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(path), "uriBaseId": "%SRCROOT%" },
        "region": { "startLine": line.max(1) },
    }})
}

/// Returns a relative path as a reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
