//! `report`: runs as one page, and as text.

use std::fs;

use serde_json::Value;

use crate::tools::for_both;

/// Writes a table whose last number is the seed.
const STEP: &str = "printf 'loss\\n0.5\\n%s\\n' \"$1\" > metrics.csv; echo same > same";

#[test]
fn two_runs_make_one_page() {
    for_both(|tools| {
        for loss in ["0.25", "0.26"] {
            let run = tools.run(&["bash", "-c", STEP, "step", loss]);
            assert_eq!(run.code(), Some(0), "{}", run.stderr());
        }
        let written = tools
            .world
            .run(&["report", "@2", "@1", "-o", "report.html"]);
        assert_eq!(written.code(), Some(0), "{}", written.stderr());
        let page = fs::read_to_string(tools.world.project().join("report.html")).unwrap();
        for piece in [
            "<!DOCTYPE html>",
            "The lowest block that moved: parameters.",
            "<h4><code>metrics.csv</code></h4>",
            "<code>[&#39;loss&#39;][1]</code>",
            "by 0.01, ",
        ] {
            assert!(page.contains(piece), "{piece} in {page}");
        }
        assert!(!page.contains("<h4><code>same</code></h4>"));
        // The same to standard output, and the same each time.
        let again = tools.world.run(&["report", "@2", "@1"]);
        assert_eq!(again.stdout(), page);
        let text = tools.world.run(&["report", "@2", "@1", "--text"]).stdout();
        let told = "metrics.csv: csv: different\n    ['loss'][1]: 0.25 -> 0.26\n";
        assert!(text.contains(told), "{text}");
        let json = tools.world.run(&["--json", "report", "@2", "@1"]).stdout();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["schema"], "envbox.report/1");
        let output = &json["comparisons"][0]["explained"][0];
        assert_eq!(output["explanation"]["kind"], "csv");
        assert_eq!(json["runs"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn one_run_makes_a_page_and_none_is_an_error() {
    for_both(|tools| {
        let none = tools.world.run(&["report"]);
        assert_eq!(none.code(), Some(10), "{}", none.stderr());
        assert!(
            none.stderr().contains("there is no run `@1`"),
            "{}",
            none.stderr()
        );
        assert_eq!(tools.run(&["bash", "-c", "exit 3"]).code(), Some(3));
        let page = tools.world.run(&["report"]).stdout();
        assert!(page.contains("ended with status 3") && !page.contains("What differs"));
        let text = tools.world.run(&["report", "--text"]).stdout();
        assert!(text.contains("state       status 3"), "{text}");
    });
}
