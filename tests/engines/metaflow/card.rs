//! `@card(type="envbox")`: the report of the task's record.

use std::fs;

use super::Launcher;
use crate::downloads;
use crate::support::User;

#[test]
fn net_metaflow_shows_the_record_as_a_card() {
    let launcher = Launcher::new(User::Current);
    launcher.world.write("carded.py", include_str!("carded.py"));
    let _ = launcher.runs("carded.py --no-pylint run --run-id-file run");
    let run_id = launcher.run_id("run");
    let tasks = launcher.tasks("CardedFlow", &run_id);
    let metadata = &tasks["start"]["metadata"];
    let digest = metadata["envbox-lock-digest"].as_str().unwrap();
    let seed = metadata["envbox-seed"].as_str().unwrap();
    let tag = metadata["envbox-tag"].as_str().unwrap();

    // What the task made of it, read by a later task of the same run.
    let begun = tasks["end"]["begun"].as_str().unwrap();
    let hint = format!("envbox report {tag}");
    for known in [digest, seed, &hint, "<th>six</th><td>1.16.0</td>"] {
        assert!(begun.contains(known), "{known}: {begun}");
    }

    let pathspec = tasks["start"]["pathspec"].as_str().unwrap();
    let task = pathspec.split_once('/').unwrap().1;
    let _ = launcher.runs(&format!(
        "carded.py --no-pylint card get {task} card.html --type envbox --id record"
    ));
    let page = fs::read_to_string(launcher.world.project().join("card.html")).unwrap();
    let report = launcher.world.run(&["report", tag]);
    assert_eq!(report.code(), Some(0), "{}", report.stderr());
    assert_eq!(
        page.replace(launcher.world.path().to_str().unwrap(), "[ROOT]"),
        report.stdout()
    );
    for block in [
        "code",
        "parameters",
        "libraries",
        "compute",
        "data",
        "entropy",
    ] {
        let named = format!("<strong>{block}</strong>");
        assert!(page.contains(&named), "{block}: {page}");
    }
    assert!(page.contains(digest), "{digest}: {page}");
    assert!(page.contains("SHOWN"), "the variables: {page}");
    // The other card of the step is Metaflow's own.
    let other = launcher.runs(&format!(
        "carded.py --no-pylint card get {task} --type default"
    ));
    assert!(!other.stdout().contains("class=\"block"));
    downloads::keep(&launcher.world);
}
