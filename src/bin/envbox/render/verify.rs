//! The report of a verification in words.

use envbox::ops::verify::{ALWAYS, Difference, Drawn, Verdict, VerifyReport};

/// How many lines of a kind are shown.
const SHOWN: usize = 10;

/// Returns the report; only the verdict and what differs where that is all that is wanted.
pub(crate) fn text(report: &VerifyReport, brief: bool) -> String {
    let verdict = match report.verdict {
        Verdict::Identical => "identical",
        Verdict::Diverged => "diverged",
        Verdict::Failed => "not verified",
    };
    let mut text = format!("{verdict}: {}\n", report.sentence());
    for line in &report.said {
        text += &format!("  {line}\n");
    }
    text += &differences("differs", &report.differences);
    if let Some(against) = &report.against {
        let heading = format!("differs from the run {}", against.run);
        text += &differences(&heading, &against.differences);
        if let (false, Some(moved)) = (against.differences.is_empty(), against.moved()) {
            text += &format!("\nthe lowest block that moved: {moved}\n");
        }
    }
    text += &suspects(report);
    if !brief {
        text += &drawn(report);
        text += &varied(report);
    }
    printable(&text)
}

fn differences(heading: &str, differences: &[Difference]) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{heading}:\n");
    for difference in differences.iter().take(SHOWN) {
        let is = |state: &Option<_>| {
            let unchanged = || "not written".to_owned();
            state.as_ref().map_or_else(unchanged, ToString::to_string)
        };
        let note = match difference.metadata_only {
            true => " (the content is the same)",
            false => "",
        };
        let (first, then) = (is(&difference.first), is(&difference.then));
        text += &format!("  {}: {first}; then {then}{note}\n", difference.output);
        for place in difference.places() {
            text += &format!("      {place}\n");
        }
    }
    text + &more(differences.len())
}

fn suspects(report: &VerifyReport) -> String {
    if report.verdict != Verdict::Diverged || report.differences.is_empty() {
        return String::new();
    }
    if let Some(reason) = &report.not_audited {
        return format!("\nWhat the step draws is not known: with an audit, {reason}.\n");
    }
    if report.suspects.is_empty() {
        return "\nThe audit saw nothing drawn that is not held: what it cannot see is left, such as \
                uninitialised memory, or the order in which threads run.\n"
            .to_owned();
    }
    let mut text = "\ncan be the cause:\n".to_owned();
    // Those that have one remedy stand together.
    let shown = &report.suspects[..report.suspects.len().min(SHOWN)];
    for group in shown.chunk_by(|a, b| (&a.by, &a.remedy) == (&b.by, &b.remedy)) {
        text.extend(group.iter().map(line));
        text += &format!("      {}\n", group[0].by);
        if let Some(remedy) = &group[0].remedy {
            text += &format!("      remedy: {remedy}\n");
        }
    }
    text + &more(report.suspects.len())
}

/// What the step drew and would differ elsewhere.
fn drawn(report: &VerifyReport) -> String {
    let held: Vec<&Drawn> = report.drawn.iter().filter(|draw| draw.held).collect();
    let mut text = String::new();
    if !held.is_empty() {
        text += "\nwould differ elsewhere, and is held:\n";
        text.extend(held.iter().take(SHOWN).map(|draw| line(draw)));
        text += &more(held.len());
    }
    let open: Vec<&Drawn> = report.drawn.iter().filter(|draw| !draw.held).collect();
    if report.verdict == Verdict::Identical && !open.is_empty() {
        text += "\nis not held, and did not show:\n";
        text.extend(open.iter().take(SHOWN).map(|draw| line(draw)));
        text += &more(open.len());
    }
    text
}

fn line(draw: &Drawn) -> String {
    let place = match &draw.line {
        Some(line) => match line.function.as_str() {
            "<module>" => format!("{}:{}", line.file, line.line),
            function => format!("{}:{} in {function}", line.file, line.line),
        },
        None => draw.program.clone(),
    };
    format!("  {:<16} {}  {place}\n", draw.source, draw.what)
}

fn varied(report: &VerifyReport) -> String {
    let applied = report.variations.iter().filter(|one| one.applied);
    let applied: Vec<&str> = applied.map(|one| one.variation.name()).collect();
    let mut text = String::new();
    if !applied.is_empty() {
        text += &format!("\nvaried: {}\n", applied.join(", "));
        text += &format!("always other: {ALWAYS}\n");
    }
    let left = report
        .variations
        .iter()
        .filter(|one| one.wanted && !one.applied);
    let left: Vec<String> = left
        .map(|one| {
            format!(
                "{} ({})",
                one.variation.name(),
                one.note.as_deref().unwrap_or("")
            )
        })
        .collect();
    if !left.is_empty() {
        text += &format!("not varied: {}\n", left.join(", "));
    }
    text
}

fn more(all: usize) -> String {
    match all.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("  and {more} more; --json has all\n"),
    }
}

/// A step may print and name anything: nothing of it must steer the terminal.
fn printable(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(replace).collect()
}
