//! `envbox audit`, as root and as an unprivileged user.

use std::fs;

use crate::tools::for_both;

/// Draws from a few sources, and fails.
const STEP: &str = "read -N 4 -d '' x < /dev/urandom; printf %q \"$x\" > drawn; cat /data/none; \
                    echo $EPOCHSECONDS; exit 3";

#[test]
fn a_step_is_run_and_its_sources_are_told() {
    for_both(|tools| {
        let audit = tools.audit(&[], &["bash", "-c", STEP]);
        assert_eq!(audit.code(), Some(3), "{}", audit.stderr());
        assert_eq!(audit.stdout(), "1577836800\n");
        let report = audit.stderr();
        for line in [
            "drawn by the step:",
            "  wall-clock       held      moves by what the step does, from 2020-01-01T00:00:00Z",
            "  randomness       held      follows from seed 0",
            "         1  /dev/urandom                        /usr/bin/bash",
            "         1  /data/none                          /usr/bin/cat",
            "never seen here:",
            "envbox: wrote 1 file: drawn",
        ] {
            assert!(report.contains(line), "{line:?} in {report}");
        }
        // As a run that is not audited.
        let drawn = fs::read(tools.world.project().join("drawn")).unwrap();
        assert!(!drawn.is_empty());
        let run = tools.run(&["bash", "-c", STEP]);
        assert_eq!(run.code(), Some(3));
        assert_eq!(
            fs::read(tools.world.project().join("drawn")).unwrap(),
            drawn
        );
    });
}

/// Opens the random device.
const COMMAND: [&str; 3] = ["bash", "-c", ": < /dev/urandom"];

#[test]
fn programs_read_the_audit_as_a_document() {
    for_both(|tools| {
        let audit = tools.audit(&["--json"], &COMMAND);
        assert_eq!(audit.code(), Some(0), "{}", audit.stderr());
        let text = audit.stdout();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["schema"], "envbox.audit/1");
        assert_eq!(found["exit"]["code"], 0);
        assert_eq!(found["failed_by"], serde_json::Value::Null);
        let sources = found["sources"].as_array().unwrap();
        let randomness = sources.iter().find(|one| one["source"] == "randomness");
        let draws = randomness.unwrap()["draws"].as_array().unwrap();
        let device = draws.iter().find(|one| one["what"] == "/dev/urandom");
        assert_eq!(
            device.unwrap(),
            &serde_json::json!({
                "origin": "program",
                "program": "/usr/bin/bash",
                "what": "/dev/urandom",
                "count": 1,
                "held": "held",
                "by": "follows from seed 0",
            })
        );
        // What was counted is the same each time.
        let again = tools.audit(&["--json"], &COMMAND);
        let again: serde_json::Value = serde_json::from_str(&again.stdout()).unwrap();
        assert_eq!(again["sources"], found["sources"]);
    });
}

#[test]
fn a_step_that_does_not_start_has_no_audit() {
    for_both(|tools| {
        let audit = tools.audit(&[], &["no-such-command"]);
        assert_eq!(audit.code(), Some(127));
        assert!(!audit.stderr().contains("drawn by"), "{}", audit.stderr());
    });
}
