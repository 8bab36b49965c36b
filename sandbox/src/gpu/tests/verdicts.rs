//! A table of hosts and what becomes of a step that wants their GPUs.

use std::collections::BTreeSet;

use super::Host;
use crate::gpu::{
    DriverPolicy, DriverVersion, Match, Minimum, Pin, Pinned, PinnedDevice, Refusal, Required,
    Verdict, verdict,
};

/// The table: `# NAME`, the lines of a [`Host`], `wants WANTS`, `=> VERDICT` and `hint: REMEDY`.
const TABLE: &str = include_str!("verdicts.txt");

/// A host, what is wanted of it, and the answer.
struct Case {
    name: &'static str,
    host: String,
    required: Vec<Required>,
    pinned: Pinned,
    answer: String,
}

fn cases() -> Vec<Case> {
    let cases = TABLE.split("\n# ").skip(1);
    cases.map(case).collect()
}

fn case(text: &'static str) -> Case {
    let (name, rest) = text.split_once('\n').unwrap();
    let (host, answer) = rest.split_once("=> ").unwrap();
    let wanted = host.lines().find_map(|line| line.strip_prefix("wants "));
    let (required, pinned) = wants(wanted.unwrap_or_default());
    let host = host.lines().filter(|line| !line.starts_with("wants "));
    Case {
        name,
        host: host.collect::<Vec<_>>().join("\n"),
        required,
        pinned,
        answer: answer.trim().to_owned(),
    }
}

impl Case {
    fn verdict(&self) -> Verdict {
        let facts = Host::new(&self.host).discover();
        verdict(&self.required, &self.pinned, &facts)
    }
}

/// Splits `>=580` (needed), `=580.159.04` and `~580.159.04` (pinned, by branch), `mig`, `no-mig`
/// and `model NAME`, with `;` between them.
fn wants(text: &str) -> (Vec<Required>, Pinned) {
    let (mut required, mut pinned) = (Vec::new(), Pinned::default());
    let mut device = PinnedDevice::default();
    for want in text
        .split(';')
        .map(str::trim)
        .filter(|want| !want.is_empty())
    {
        let pin = |version: &str, precision| {
            let driver = version.parse().unwrap();
            Some(Pin { driver, precision })
        };
        match want.split_at(1) {
            (">", _) => required.push(Required {
                minimum: want.parse().unwrap(),
                because: format!("package {want}"),
            }),
            ("=", version) => pinned.driver = pin(version, Match::Exact),
            ("~", version) => pinned.driver = pin(version, Match::Branch),
            _ if want == "mig" => device.mig = Some(true),
            _ if want == "no-mig" => device.mig = Some(false),
            _ => device.model = Some(want.strip_prefix("model ").unwrap().to_owned()),
        }
    }
    pinned.device = (device != PinnedDevice::default()).then_some(device);
    (required, pinned)
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Held(usable) => {
            let (driver, source) = (&usable.driver, usable.source);
            let remarks = usable.remarks.iter().map(|it| format!("\nremark: {it}"));
            let remarks: String = remarks.collect();
            let libcuda = usable.libcuda.display();
            format!("held: {driver} by `{source}`, `{libcuda}`{remarks}")
        }
        Verdict::NotHeld { reason, .. } => {
            format!("not held: {reason}\nhint: {}", reason.remedy())
        }
        Verdict::Refused(refusal) => format!("refused: {refusal}\nhint: {}", refusal.remedy()),
    }
}

#[test]
fn every_state_has_its_verdict() {
    let cases = cases();
    assert!(cases.len() > 70);
    for case in &cases {
        assert_eq!(shown(&case.verdict()), case.answer, "{}", case.name);
    }
}

#[test]
fn no_two_cases_are_the_same() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    let wants = |case: &Case| format!("{}{:?}{:?}", case.host, case.required, case.pinned);
    let hosts: BTreeSet<_> = cases.iter().map(wants).collect();
    assert_eq!(hosts.len(), cases.len());
}

#[test]
fn every_refusal_has_its_case() {
    let verdicts = cases().into_iter().map(|case| case.verdict());
    let refusals = verdicts.filter_map(|it| it.admit(DriverPolicy::Locked).err());
    let name = |refusal: Refusal| {
        let value = serde_json::to_value(&refusal).unwrap();
        value["refusal"].as_str().unwrap().to_owned()
    };
    let found: BTreeSet<String> = refusals.map(name).collect();
    // Each variant has a sentence, and so has the one struct beside them.
    let sentences = include_str!("../refusal.rs").matches("#[error(").count();
    assert_eq!(found.len(), sentences - 1, "{found:?}");
}

#[test]
fn a_driver_that_would_do_is_used_only_if_that_is_allowed() {
    let host = Host::new("driver 580.126.09\n gpu 0000:04:00.0 0\n libs /usr/lib64 580.126.09");
    let (required, pinned) = wants(">=580; =580.159.04");
    let judged = || verdict(&required, &pinned, &host.discover());
    let Err(Refusal::NotHeld(refused)) = judged().admit(DriverPolicy::Locked) else {
        panic!("{:?}", judged());
    };
    let admitted = judged().admit(DriverPolicy::Compatible).unwrap();
    assert_eq!(admitted.not_held, Some(refused));
    assert_eq!(admitted.usable.driver.as_str(), "580.126.09");
}

#[test]
fn what_the_packages_need_is_never_waived() {
    let host = Host::new("driver 550.163.01\n gpu 0000:04:00.0 0\n libs /usr/lib64 550.163.01");
    let (required, pinned) = wants(">=580; =580.159.04");
    let judged = verdict(&required, &pinned, &host.discover());
    let refusal = judged.admit(DriverPolicy::Compatible).unwrap_err();
    assert!(matches!(refusal, Refusal::TooOld { .. }), "{refusal}");
}

#[test]
fn what_is_no_version_is_told() {
    for text in [
        "",
        "580",
        "580.",
        ".580.1",
        "580.1.2.3",
        "580.x",
        "580.-1",
        "v580.1",
        "580. 1",
        "4294967296.1",
    ] {
        let error = text.parse::<DriverVersion>().unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{text}` is no driver version: two or three")),
            "{error}"
        );
    }
    for text in ["", ">=", "=580", ">580", "580.1.2.3", ">=580 "] {
        let parsed = text.parse::<Minimum>();
        assert_eq!(parsed.is_ok(), text == ">=580 ", "{text:?}");
    }
}
