use std::collections::BTreeMap;

use envbox_lockfiles::base::{Context, Digest};
use jiff::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::ops::report::{Report, page, report};
use crate::record::tests::records::{output, record};
use crate::record::{Consumed, Firmness, Output, RunRecord};
use crate::store::{BlobSlot, Store};

fn context(directory: &TempDir) -> Context {
    Context::new(directory.path().join("store"), Timestamp::UNIX_EPOCH)
}

/// Returns the report of runs of which the second wrote other files.
fn two_runs(old: &[(&str, &[u8])], new: &[(&str, &[u8])]) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let context = context(&directory);
    let store = Store::open(&context.store).unwrap();
    let runs = [old, new].into_iter().enumerate().map(|(second, files)| {
        let mut record = record(second as i64);
        let outputs = files
            .iter()
            .map(|(name, content)| kept(&store, name, content));
        record.ended.as_mut().unwrap().outputs = Some(outputs.collect());
        record
    });
    report(&context, runs.collect()).unwrap()
}

fn kept(store: &Store, name: &str, content: &[u8]) -> Output {
    let digest = Digest::of(content);
    if let BlobSlot::Missing(mut writer) = store.blob_slot(digest, content.len() as u64).unwrap() {
        writer.write(content).unwrap();
        writer.finish().unwrap();
    }
    Output {
        sha256: Some(digest),
        size: Some(content.len() as u64),
        ..output(name, "")
    }
}

/// Says where markup is not well-formed: every element that is opened is closed, in order.
fn unbalanced(page: &str) -> Option<String> {
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>')?;
        let name = tag.split_whitespace().next().unwrap_or_default();
        match (
            name.strip_prefix('/'),
            tag.ends_with('/') || name.starts_with('!'),
        ) {
            (_, true) => {}
            (Some(name), _) if open.last() == Some(&name) => drop(open.pop()),
            (Some(name), _) => return Some(format!("</{name}> in {open:?}")),
            (None, _) => open.push(name),
        }
    }
    (!open.is_empty()).then(|| format!("{open:?} stay open"))
}

#[test]
fn the_page_tells_where_outputs_differ() {
    let csv = |last: &str| format!("loss\n{}{last}\n", "0.5\n".repeat(9));
    let report = two_runs(
        &[
            ("metrics.csv", csv("0.25").as_bytes()),
            ("same", b"x"),
            ("gone", b"y"),
        ],
        &[("metrics.csv", csv("0.250001").as_bytes()), ("same", b"x")],
    );
    let page = page(&report);
    assert_eq!(unbalanced(&page), None);
    for piece in [
        "<h1>iris: python train.py</h1>",
        "Something else came out. No block moved",
        "<h4><code>metrics.csv</code></h4>",
        "<code>[&#39;loss&#39;][9]</code>",
        "1 of 10 elements differ (10.000 %)",
        "<title>elements 9 to 9: 1</title>",
        "only the old run wrote it",
    ] {
        assert!(page.contains(piece), "{piece} in {page}");
    }
    assert!(!page.contains("<h4><code>same</code></h4>"));
}

#[test]
fn the_page_stands_alone() {
    let page = page(&two_runs(&[("a", b"1")], &[("a", b"2")]));
    assert!(page.contains("default-src 'none'"));
    for forbidden in [
        "<script", "<link", "<img", "src=", "url(", "@import", "http:", "https:",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn states_are_told_in_words_and_colours() {
    let mut record = record(0);
    record.tower.code.state = Firmness::Recorded;
    record.tower.entropy.state = Firmness::NotHeld;
    record.tower.entropy.because = vec!["the clock is the host's".to_owned()];
    record.tower.entropy.noted.consumed = Some(vec![Consumed {
        source: "getrandom".to_owned(),
        held: "not-held".to_owned(),
        count: 3,
        by: vec!["python3.11 os.urandom at train.py:7".to_owned()],
    }]);
    let directory = tempfile::tempdir().unwrap();
    let page = page(&report(&context(&directory), vec![record]).unwrap());
    assert_eq!(unbalanced(&page), None);
    for piece in [
        "<li class=\"block held\"><strong>libraries</strong><span class=\"state\">held</span>",
        "<li class=\"block recorded\"><strong>code</strong><span class=\"state\">recorded</span>",
        "<li class=\"block loose\"><strong>entropy</strong><span class=\"state\">not held</span>",
        "<li>the clock is the host&#39;s</li>",
        "<code>python3.11 os.urandom at train.py:7</code>",
        "<span class=\"state loose\">not held</span>",
        "<h2>The run</h2>",
    ] {
        assert!(page.contains(piece), "{piece} in {page}");
    }
    // One block stands on the next, so their order is the tower's.
    let places: Vec<_> = [
        "code",
        "parameters",
        "libraries",
        "compute",
        "data",
        "entropy",
    ]
    .iter()
    .map(|name| page.find(&format!("<strong>{name}</strong>")).unwrap())
    .collect();
    assert!(places.is_sorted());
}

#[test]
fn a_run_without_an_end_has_a_page() {
    let mut record = record(0);
    record.ended = None;
    let directory = tempfile::tempdir().unwrap();
    let page = page(&report(&context(&directory), vec![record]).unwrap());
    assert_eq!(unbalanced(&page), None);
    assert!(
        page.contains("was killed before its end") && page.contains("It has not come to its end.")
    );
}

/// Returns the colours that a part of the style sheet names.
fn colours(css: &str) -> BTreeMap<String, [f64; 3]> {
    let named = css.split("--").skip(1).filter_map(|piece| {
        let (name, rest) = piece.split_once(": #")?;
        let channel = |at: usize| u8::from_str_radix(rest.get(at..at + 2)?, 16).ok();
        let channels = [channel(0)?, channel(2)?, channel(4)?];
        Some((
            name.to_owned(),
            channels.map(|channel| f64::from(channel) / 255.0),
        ))
    });
    named.collect()
}

/// Returns the contrast of two colours (WCAG 2.2, "contrast ratio").
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [red, green, blue] = colour.map(|channel| match channel <= 0.04045 {
            true => channel / 12.92,
            false => ((channel + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_stands_out_in_every_scheme() {
    let css = include_str!("page/style.css");
    let schemes: Vec<_> = css.split(":root {").skip(1).map(colours).collect();
    assert_eq!(schemes.len(), 3);
    for colours in &schemes {
        for (text, ground) in [
            ("text", "ground"),
            ("soft", "ground"),
            ("link", "ground"),
            ("held", "ground"),
            ("held", "held-ground"),
            ("recorded", "ground"),
            ("recorded", "recorded-ground"),
            ("loose", "ground"),
            ("loose", "loose-ground"),
            // Blocks that moved say so on any ground.
            ("loose", "held-ground"),
            ("loose", "recorded-ground"),
            ("text", "held-ground"),
            ("text", "recorded-ground"),
            ("text", "loose-ground"),
        ] {
            let ratio = contrast(colours[text], colours[ground]);
            // 4.5 is what level AA asks for.
            assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
        }
    }
}

fn with(text: &str) -> RunRecord {
    let mut record = record(0);
    record.environment = text.to_owned();
    record.tower.parameters.seen.argv = vec![text.to_owned()];
    record.tower.parameters.seen.env = [(text.to_owned(), text.to_owned())].into();
    record.tower.code.because = vec![text.to_owned()];
    record.tower.compute.noted.cpu = Some(text.to_owned());
    let ended = record.ended.as_mut().unwrap();
    ended.warnings = vec![text.to_owned()];
    ended.outputs.as_mut().unwrap()[0].target = Some(text.to_owned());
    record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_records_say_is_never_markup(text in "[<>&\"'a-z/! =\\x00-\\x1f\u{202e}é-]{0,30}") {
        let directory = tempfile::tempdir().unwrap();
        let plain = page(&report(&context(&directory), vec![with("x")]).unwrap());
        let page = page(&report(&context(&directory), vec![with(&format!("x{text}"))]).unwrap());
        prop_assert_eq!(unbalanced(&page), None);
        // No more tags than a page has whose record says nothing of the kind.
        prop_assert_eq!(page.matches('<').count(), plain.matches('<').count());
        prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }
}
