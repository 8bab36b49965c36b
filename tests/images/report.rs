//! The page of runs in a browser: Debian's Chromium.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use envbox::base::{Context, Digest};
use envbox::ops::report::{page, report};
use envbox::record::RunRecord;
use envbox::store::{BlobSlot, Store};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Returns a run that wrote a table; its blocks are in every state that there is.
fn run(id: &str, output: &Value) -> RunRecord {
    let digest = Digest::of(b"").to_string();
    let block = |state: &str, because: &[&str], seen: Value, noted: Value| json!({"state": state, "because": because, "digest": digest, "seen": seen, "noted": noted});
    let parameters = json!({
        "argv": ["python", "train.py", "<b>&\"'"], "argv0": null, "directory": "/project",
        "env": {"A": "b"}, "passed": {}, "files": {},
    });
    let chosen = json!({
        "manifest": null, "groups": [], "env": {}, "pass": [], "seed": null, "clock": null, "cpus": null,
    });
    let code = json!({
        "files": 3, "bytes": 4096, "commit": null, "dirty": null, "diff": null, "kept": true,
        "left_out": [], "changed": [],
    });
    let entropy = json!({
        "seed": 0, "clock": "real", "epoch": "2020-01-01T00:00:00Z", "hostname": "envbox",
        "network": "none", "file_status": "host", "project": "overlay",
    });
    let consumed = json!({"consumed": [{
        "source": "wall-clock", "held": "not-held", "count": 3, "by": ["python3.11 time.time at train.py:7"],
    }]});
    let compute = json!({"kernel": "6.1", "cpu": "a processor", "namespaces": ["user", "mount"]});
    serde_json::from_value(json!({
        "run": id, "started": "2026-01-01T00:00:00Z", "envbox": "0.1.0", "environment": "iris",
        "tower": {
            "code": block("held", &[], json!({"tree": digest}), code),
            "parameters": block("held", &[], parameters, chosen),
            "libraries": block("held", &[], json!({"lock": digest, "rootfs": "00"}), json!({"lockfile": null, "pins": {}})),
            "compute": block("recorded", &[], json!({"cpus": 1, "baseline": "x86-64-v3", "cpu": null}), compute),
            "data": block("held", &[], json!({"inputs": {}}), json!({"opened": []})),
            "entropy": block("not-held", &["the clocks are the host's"], entropy, consumed),
        },
        "ended": {
            "exit": {"code": 0}, "stdout": null, "stderr": null, "outputs": [output],
            "usage": {"wall_us": 1, "user_us": 1, "system_us": 1, "max_rss": 1}, "warnings": [],
        },
    }))
    .unwrap()
}

fn kept(store: &Store, text: &str) -> Value {
    let digest = Digest::of(text.as_bytes());
    if let BlobSlot::Missing(mut writer) = store.blob_slot(digest, text.len() as u64).unwrap() {
        writer.write(text.as_bytes()).unwrap();
        writer.finish().unwrap();
    }
    json!({
        "path": "metrics.csv", "kind": "created", "type": "file", "size": text.len(),
        "sha256": digest, "mode": "0644", "written": true, "kept": true,
    })
}

fn browser(directory: &Path, options: &[String]) -> String {
    let mut command = Command::new("chromium");
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        &profile,
    ]);
    let page = format!("file://{}", directory.join("page.html").display());
    let output = command.args(options).arg(page).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the colours that a picture of the page has.
fn colours(directory: &Path, width: u32, scheme: &str) -> BTreeSet<String> {
    let picture = directory.join("page.png");
    let options = [
        format!("--screenshot={}", picture.display()),
        format!("--window-size={width},3000"),
        format!("--blink-settings=preferredColorScheme={scheme}"),
    ];
    browser(directory, &options);
    let mut reader = png::Decoder::new(BufReader::new(File::open(&picture).unwrap()))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let channels = info.color_type.samples();
    let pixels = pixels.chunks(channels);
    pixels
        .map(|pixel| format!("#{:02x}{:02x}{:02x}", pixel[0], pixel[1], pixel[2]))
        .collect()
}

#[test]
fn the_page_of_runs_is_shown_by_a_browser() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let context = Context::new(path.join("store"), Timestamp::UNIX_EPOCH);
    let store = Store::open(&context.store).unwrap();
    let table = |last: &str| kept(&store, &format!("loss\n{}{last}\n", "0.5\n".repeat(20)));
    let runs = vec![
        run("01a21a21-3ed6-79a6-9a6c-6a46b8282e62", &table("0.25")),
        run("01a21a21-4860-7f69-b695-979b17aa35f7", &table("0.26")),
    ];
    fs::write(
        path.join("page.html"),
        page(&report(&context, runs).unwrap()),
    )
    .unwrap();
    let shown = browser(path, &["--dump-dom".to_owned()]);
    for piece in [
        "<h1>iris: python train.py &lt;b&gt;&amp;\"'</h1>",
        "<strong>entropy</strong><span class=\"state\">not held</span>",
        "<title>elements 20 to 20: 1</title>",
        "python3.11 time.time at train.py:7",
    ] {
        assert!(shown.contains(piece), "{piece} in {shown}");
    }
    // Ground, held, recorded, not held, and the bars of the plots, as the style sheet has them.
    let light = ["#ffffff", "#e6f6ea", "#fff4d6", "#ffebe9", "#0550ae"];
    let dark = ["#0d1117", "#10291a", "#2e2409", "#3a1518", "#79b8ff"];
    for (width, scheme, expected) in [(1200, "1", light), (1200, "0", dark), (400, "1", light)] {
        let found = colours(path, width, scheme);
        for colour in expected {
            assert!(
                found.contains(colour),
                "no {colour} at {width}, scheme {scheme}"
            );
        }
    }
    browser(
        path,
        &[format!(
            "--print-to-pdf={}",
            path.join("page.pdf").display()
        )],
    );
    assert!(
        fs::read(path.join("page.pdf"))
            .unwrap()
            .starts_with(b"%PDF-")
    );
}
